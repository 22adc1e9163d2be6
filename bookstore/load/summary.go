package load

import (
	"maps"
	"slices"
	"time"
)

// Summary is a Result in plain figures, as JSON shows it and reports keep it.
type Summary struct {
	Seconds         float64       `json:"seconds"`        // from the first request to the last answer
	Window          float64       `json:"window_seconds"` // of sending
	Requests        int64         `json:"requests"`
	Succeeded       int64         `json:"succeeded"`
	Failed          int64         `json:"failed"`
	PerSecond       float64       `json:"succeeded_per_second"`
	Bytes           int64         `json:"bytes"`
	Latency         Distribution  `json:"latency_ms"`         // of successes
	FailureLatency  Distribution  `json:"failure_latency_ms"` // of failures
	Errors          []ErrorCount  `json:"errors"`             // the most frequent first
	Paths           []PathSummary `json:"paths,omitempty"`    // where there is more than one
	Visits          *Distribution `json:"visit_latency_ms,omitempty"`
	ListenOverflows int64         `json:"listen_overflows"`
}

// Distribution is a distribution of latencies in milliseconds.
type Distribution struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P75   float64 `json:"p75"`
	P90   float64 `json:"p90"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p99_9"`
	Max   float64 `json:"max"`
}

// ErrorCount is how often requests failed in one way.
type ErrorCount struct {
	Kind     Kind   `json:"kind"`
	SQLState string `json:"sqlstate,omitempty"`
	Count    int64  `json:"count"`
}

// PathSummary is what became of the requests for one path.
type PathSummary struct {
	Path    string       `json:"path"`
	Failed  int64        `json:"failed"`
	Latency Distribution `json:"latency_ms"` // of successes
}

// Summary sums the result up.
func (r *Result) Summary() Summary {
	s := Summary{
		Seconds: r.Elapsed.Seconds(), Window: r.Window.Seconds(),
		Requests: r.Requests(), Succeeded: r.Succeeded.Count(), Failed: r.Failed.Count(),
		PerSecond: r.PerSecond(), Bytes: r.Bytes,
		Latency: r.Succeeded.distribution(), FailureLatency: r.Failed.distribution(),
		Errors: []ErrorCount{}, ListenOverflows: r.ListenOverflows,
	}
	for _, kind := range r.KindsByCount() {
		s.Errors = append(s.Errors, ErrorCount{Kind: kind, SQLState: kind.SQLState(), Count: r.Kinds[kind]})
	}
	if len(r.Groups) > 1 {
		for _, path := range slices.Sorted(maps.Keys(r.Groups)) {
			g := r.Groups[path]
			s.Paths = append(s.Paths, PathSummary{Path: path, Failed: g.Failed, Latency: g.Succeeded.distribution()})
		}
	}
	if r.Visits.Count() > 0 {
		visits := r.Visits.distribution()
		s.Visits = &visits
	}
	return s
}

func (l Latencies) distribution() Distribution {
	at := func(p float64) float64 { return milliseconds(l.Percentile(p)) }
	return Distribution{
		Count: l.Count(), Mean: milliseconds(l.Mean()), P50: at(50), P75: at(75), P90: at(90), P95: at(95), P99: at(99),
		P999: at(99.9), Max: milliseconds(l.Max()),
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
