package load_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/bookstore/load"
)

func run(t *testing.T, opts load.Options) *load.Result {
	t.Helper()
	r, err := load.Run(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// counting serves h and counts TCP connections and the most requests that were under way at once.
func counting(t *testing.T, h http.HandlerFunc) (url string, connections, peak *atomic.Int64) {
	t.Helper()
	connections, peak = new(atomic.Int64), new(atomic.Int64)
	var now atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for old := peak.Load(); n > old && !peak.CompareAndSwap(old, n); old = peak.Load() {
		}
		h(w, r)
	}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.URL, connections, peak
}

func TestEachRequestHasItsOwnConnectionUnlessKept(t *testing.T) {
	url, connections, _ := counting(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "0123456789") })
	r := run(t, load.Options{URL: url, Concurrency: 4, Requests: 40})
	if r.Succeeded.Count() != 40 || r.Failed.Count() != 0 || r.Bytes != 400 || connections.Load() != 40 {
		t.Errorf("%d succeeded, %v failed, %d bytes, %d connections; want 40, none, 400, 40",
			r.Succeeded.Count(), r.Kinds, r.Bytes, connections.Load())
	}
	connections.Store(0)
	r = run(t, load.Options{URL: url, Concurrency: 4, Requests: 40, KeepAlive: true})
	if r.Succeeded.Count() != 40 || connections.Load() > 4 {
		t.Errorf("kept alive: %d succeeded on %d connections, want 40 on at most 4", r.Succeeded.Count(), connections.Load())
	}
}

func TestAllClientsAreUnderWayAtOnce(t *testing.T) {
	const clients = 30
	var arrived sync.WaitGroup
	arrived.Add(clients)
	url, _, peak := counting(t, func(http.ResponseWriter, *http.Request) {
		arrived.Done()
		arrived.Wait() // nobody is answered before all are here
	})
	r := run(t, load.Options{URL: url, Concurrency: clients, Requests: clients})
	if r.Succeeded.Count() != clients || peak.Load() != clients {
		t.Errorf("%d succeeded, %d at once, want %d", r.Succeeded.Count(), peak.Load(), clients)
	}
}

func TestFailuresAreCountedByKindAndApart(t *testing.T) {
	var n atomic.Int64
	url, _, _ := counting(t, func(w http.ResponseWriter, _ *http.Request) {
		switch n.Add(1) % 5 {
		case 0:
			w.WriteHeader(503)
			fmt.Fprint(w, `{"detail":"database unavailable: sorry, too many clients already (SQLSTATE 53300)"}`)
		case 1:
			w.WriteHeader(500)
		case 2:
			c, _, _ := w.(http.Hijacker).Hijack()
			c.Close()
		case 3:
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "less than that")
		}
	})
	counts := &load.Counts{}
	r := run(t, load.Options{URL: url, Concurrency: 1, Requests: 50, Counts: counts})
	want := map[load.Kind]int64{"HTTP 503 53300": 10, "HTTP 500": 10, load.CutShort: 20}
	if fmt.Sprint(r.Kinds) != fmt.Sprint(want) || r.Succeeded.Count() != 10 || r.Failed.Count() != 40 {
		t.Errorf("%d succeeded, failures %v; want 10, %v", r.Succeeded.Count(), r.Kinds, want)
	}
	if counts.Succeeded.Load() != 10 || counts.Failed.Load() != 40 {
		t.Errorf("counts %d and %d, want 10 and 40", counts.Succeeded.Load(), counts.Failed.Load())
	}
	if kinds := r.KindsByCount(); kinds[0] != load.CutShort || kinds[2].SQLState() != "53300" || kinds[1].SQLState() != "" {
		t.Errorf("kinds %v", kinds)
	}
}

func TestNobodyListensIsRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	l.Close()
	if r := run(t, load.Options{URL: url, Concurrency: 2, Requests: 6}); r.Kinds[load.Refused] != 6 {
		t.Errorf("failures %v, want 6 refused", r.Kinds)
	}
}

func TestSilentServerTimesOut(t *testing.T) {
	done := make(chan struct{})
	url, _, _ := counting(t, func(http.ResponseWriter, *http.Request) { <-done })
	defer close(done)
	r := run(t, load.Options{URL: url, Concurrency: 2, Requests: 2, Timeout: 50 * time.Millisecond})
	if r.Kinds[load.Timeout] != 2 || r.Failed.Percentile(50) < 50*time.Millisecond {
		t.Errorf("failures %v, p50 %v; want 2 time-outs of 50ms", r.Kinds, r.Failed.Percentile(50))
	}
}

func TestDurationEndsSendingAndAwaitsAnswers(t *testing.T) {
	url, _, _ := counting(t, func(http.ResponseWriter, *http.Request) { time.Sleep(150 * time.Millisecond) }) // the target is slow
	r := run(t, load.Options{URL: url, Concurrency: 3, Duration: 50 * time.Millisecond})
	if r.Succeeded.Count() != 3 || r.Failed.Count() != 0 {
		t.Errorf("%d succeeded, failures %v; want the 3 that were sent in time", r.Succeeded.Count(), r.Kinds)
	}
	if r.PerSecond() != 0 || r.Elapsed < 150*time.Millisecond {
		t.Errorf("%v a second within %v, although no answer came in time", r.PerSecond(), r.Elapsed)
	}
}

func TestCancelledLoadReturnsWhatItHas(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var n atomic.Int64
	done := make(chan struct{})
	url, _, _ := counting(t, func(http.ResponseWriter, *http.Request) {
		if n.Add(1) > 5 {
			cancel()
			<-done
		}
	})
	defer close(done)
	r, err := load.Run(ctx, load.Options{URL: url, Concurrency: 1, Duration: time.Hour})
	if err != nil || r.Succeeded.Count() != 5 || r.Failed.Count() != 0 {
		t.Errorf("%v, %d succeeded, failures %v; want the 5 before the end", err, r.Succeeded.Count(), r.Kinds)
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	for _, opts := range []load.Options{
		{URL: "https://x/", Concurrency: 1, Requests: 1},
		{URL: "localhost:8000", Concurrency: 1, Requests: 1},
		{URL: "http://x/", Requests: 1},
		{URL: "http://x/", Concurrency: 1},
	} {
		if _, err := load.Run(t.Context(), opts); err == nil {
			t.Errorf("%+v was accepted", opts)
		}
	}
}
