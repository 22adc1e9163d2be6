package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the API's own. The label route is a path of the table of routes, method one that the route knows, so both
// are bounded whatever strangers ask for.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	away     *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bookstore_http_requests_total",
			Help: "Requests answered, by route, method and status.",
		}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "bookstore_http_request_duration_seconds",
			Help:    "Time from a request's header to the end of its answer, by route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "bookstore_http_requests_in_flight",
			Help: "Requests being answered now.",
		}),
		away: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bookstore_database_unavailable_total",
			Help: "Requests answered 503 because the database was busy or away, by SQLSTATE; none if it gave no answer.",
		}, []string{"sqlstate"}),
	}
	r.MustRegister(m.requests, m.seconds, m.inFlight, m.away)
	return m
}

// begin counts a request; what it returns is called with the status at its end.
func (m *metrics) begin(route, method string, known bool) (end func(status int)) {
	if !known {
		method = "other"
	}
	began := time.Now()
	m.inFlight.Inc()
	return func(status int) {
		m.inFlight.Dec()
		m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
		m.seconds.WithLabelValues(route).Observe(time.Since(began).Seconds())
	}
}

func (m *metrics) unavailable(sqlstate string) {
	if sqlstate == "" {
		sqlstate = "none"
	}
	m.away.WithLabelValues(sqlstate).Inc()
}

// Count lets what another part of the shop answers on a route count among the API's requests.
func (a *API) Count(route string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		end := a.metrics.begin(route, r.Method, r.Method == http.MethodGet || r.Method == http.MethodPost)
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() { end(seen.status) }()
		h.ServeHTTP(seen, r)
	})
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
