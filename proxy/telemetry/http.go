package telemetry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"weir/proxy/status"
)

// Server answers HTTP for one weir.
type Server struct {
	listener net.Listener
	http     *http.Server
	done     chan struct{}
}

// Options say what a Server shows.
type Options struct {
	Listener net.Listener // the Server's from then on
	Source   status.Source
	Ready    func() error  // why weir should get no new clients, or nil; any goroutine
	Page     http.Handler  // serves /live and what is below it, and /live.json; nil: no such page
	Token    func() string // what must be shown for all but health, or ""; nil: nothing; any goroutine
	TLS      *tls.Config   // nil: plain text
	Pprof    bool
	Most     int // connections at a time; at least 1
	Log      *slog.Logger
}

// The server's time limits. A scrape of a thousand pools takes a fraction of a second; profiles set their own.
const (
	readTimeout     = 5 * time.Second
	writeTimeout    = 30 * time.Second // for a visitor to take what it has asked for
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = time.Second
)

// Serve answers until Close.
func Serve(o Options) *Server {
	s := &Server{
		listener: o.Listener,
		http: &http.Server{
			Handler: handler(o), ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
			ConnState: newVisitors(o.Most).changed, TLSConfig: o.TLS, ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
		},
		done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		serve := s.http.Serve
		if o.TLS != nil {
			serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
		}
		if err := serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			o.Log.Error("http has ended", "error", err)
		}
	}()
	return s
}

// Address is where the server listens, with the port that the system chose.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Descriptor calls f with that of the listener.
func (s *Server) Descriptor(f func(fd int) error) error {
	raw, err := s.listener.(syscall.Conn).SyscallConn() // every listener of a network has it
	if err != nil {
		return err
	}
	trouble := raw.Control(func(fd uintptr) { err = f(int(fd)) })
	return errors.Join(trouble, err)
}

// Close lets answers under way finish, for a second, and ends the server.
func (s *Server) Close() {
	ctx, stop := context.WithTimeout(context.Background(), shutdownTimeout)
	defer stop()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
	<-s.done
}

// Registry makes a registry of weir's metrics and of its process.
func Registry(source status.Source) *prometheus.Registry {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(
		NewCollector(source),
		collectors.NewBuildInfoCollector(),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}

func handler(o Options) http.Handler {
	open, mux := http.NewServeMux(), http.NewServeMux()
	open.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	open.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := o.Ready(); err != nil {
			answer(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		answer(w, http.StatusOK, "ready")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(Registry(o.Source), promhttp.HandlerOpts{
		ErrorLog: scrapeLog{o.Log}, ErrorHandling: promhttp.ContinueOnError, // one bad series is not the end of all
	}))
	if o.Page != nil {
		mux.Handle("GET /live", o.Page)
		mux.Handle("GET /live/", o.Page)
		mux.Handle("GET /live.json", o.Page)
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if o.Page != nil && strings.Contains(r.Header.Get("Accept"), "text/html") {
			http.Redirect(w, r, "/live", http.StatusFound)
			return
		}
		answer(w, http.StatusOK, index(o))
	})
	if o.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	var rest http.Handler = mux
	if o.Token != nil {
		rest = guard(o.Token, mux)
	}
	open.Handle("/", rest)
	return open
}

// index lists what there is.
func index(o Options) string {
	text := "weir\n\n"
	if o.Page != nil {
		text += "/live     what it does now, for people; /live.json: the same for programs\n"
	}
	return text + "/metrics  for Prometheus\n/healthz  is the process alive?\n/readyz   may it get new clients?\n" + pprofLine(o.Pprof)
}

func pprofLine(on bool) string {
	if !on {
		return ""
	}
	return "/debug/pprof/  profiles\n"
}

func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = fmt.Fprintln(w, text)
}
