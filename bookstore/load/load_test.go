package load_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
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

// at makes targets of URLs, all of the same weight.
func at(urls ...string) (targets []load.Target) {
	for _, url := range urls {
		targets = append(targets, load.Target{URL: url})
	}
	return targets
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
	r := run(t, load.Options{Targets: at(url), Concurrency: 4, Requests: 40})
	if r.Succeeded.Count() != 40 || r.Failed.Count() != 0 || r.Bytes != 400 || connections.Load() != 40 {
		t.Errorf("%d succeeded, %v failed, %d bytes, %d connections; want 40, none, 400, 40",
			r.Succeeded.Count(), r.Kinds, r.Bytes, connections.Load())
	}
	connections.Store(0)
	r = run(t, load.Options{Targets: at(url), Concurrency: 4, Requests: 40, KeepAlive: true})
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
	r := run(t, load.Options{Targets: at(url), Concurrency: clients, Requests: clients})
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
	r := run(t, load.Options{Targets: at(url), Concurrency: 1, Requests: 50, Counts: counts})
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
	if r := run(t, load.Options{Targets: at(url), Concurrency: 2, Requests: 6}); r.Kinds[load.Refused] != 6 {
		t.Errorf("failures %v, want 6 refused", r.Kinds)
	}
}

func TestSilentServerTimesOut(t *testing.T) {
	done := make(chan struct{})
	url, _, _ := counting(t, func(http.ResponseWriter, *http.Request) { <-done })
	defer close(done)
	r := run(t, load.Options{Targets: at(url), Concurrency: 2, Requests: 2, Timeout: 50 * time.Millisecond})
	if r.Kinds[load.Timeout] != 2 || r.Failed.Percentile(50) < 50*time.Millisecond {
		t.Errorf("failures %v, p50 %v; want 2 time-outs of 50ms", r.Kinds, r.Failed.Percentile(50))
	}
}

func TestDurationEndsSendingAndAwaitsAnswers(t *testing.T) {
	const duration = 500 * time.Millisecond
	done := make(chan struct{})
	answer := sync.OnceFunc(func() { time.AfterFunc(duration, func() { close(done) }) }) // when it is late
	url, _, _ := counting(t, func(http.ResponseWriter, *http.Request) {
		answer()
		<-done
	})
	r := run(t, load.Options{Targets: at(url), Concurrency: 3, Duration: duration})
	if r.Succeeded.Count() != 3 || r.Failed.Count() != 0 {
		t.Errorf("%d succeeded, failures %v; want the 3 that were sent in time", r.Succeeded.Count(), r.Kinds)
	}
	if r.PerSecond() != 0 || r.Elapsed < duration {
		t.Errorf("%v a second within %v, although no answer came in time", r.PerSecond(), r.Elapsed)
	}
}

func TestLoadThatRunsAlreadyIsCountedFromWhenItIsTold(t *testing.T) {
	begin := make(chan struct{})
	var n atomic.Int64
	url, _, _ := counting(t, func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case n.Add(1) < 5:
			w.WriteHeader(503) // what happens before does not count
		case n.Load() == 5:
			close(begin)
		case n.Load() == 6:
			time.Sleep(500 * time.Millisecond) // the target is slow: until the duration has passed
		}
	})
	r := run(t, load.Options{Targets: at(url), Concurrency: 1, Duration: 100 * time.Millisecond, Begin: begin})
	if r.Failed.Count() != 0 || r.Succeeded.Count() < 1 || r.Succeeded.Count() > 2 || r.Elapsed < 100*time.Millisecond {
		t.Errorf("%d succeeded, failures %v, within %v; want the one or two answers after the beginning", r.Succeeded.Count(), r.Kinds, r.Elapsed)
	}
	ctx, cancel := context.WithCancel(t.Context())
	never, _, _ := counting(t, func(http.ResponseWriter, *http.Request) { cancel() })
	r, err := load.Run(ctx, load.Options{Targets: at(never), Concurrency: 1, Duration: time.Second, Begin: make(chan struct{})})
	if err != nil || r.Requests() != 0 {
		t.Errorf("%v, %d requests of a load that never began to count", err, r.Requests())
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
	r, err := load.Run(ctx, load.Options{Targets: at(url), Concurrency: 1, Duration: time.Hour})
	if err != nil || r.Succeeded.Count() != 5 || r.Failed.Count() != 0 {
		t.Errorf("%v, %d succeeded, failures %v; want the 5 before the end", err, r.Succeeded.Count(), r.Kinds)
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	for _, opts := range []load.Options{
		{Targets: at("https://x/"), Concurrency: 1, Requests: 1},
		{Targets: at("localhost:8000"), Concurrency: 1, Requests: 1},
		{Targets: at("http://x/"), Requests: 1},
		{Targets: at("http://x/"), Concurrency: 1},
		{Concurrency: 1, Requests: 1},
		{Targets: at("http://x/"), Concurrency: 1, Requests: 1, Rate: -1},
		{Targets: []load.Target{{URL: "http://x/", Weight: 1_000_000}}, Concurrency: 1, Requests: 1},
		{Targets: at("http://x/"), Concurrency: 1_000_000, Requests: 1},
	} {
		if _, err := load.Run(t.Context(), opts); err == nil {
			t.Errorf("%+v was accepted", opts)
		}
	}
}

func TestTargetsShareTheRequestsByWeight(t *testing.T) {
	var mu sync.Mutex
	var order []string
	url, _, _ := counting(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, r.URL.RequestURI())
	})
	other, _, _ := counting(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) })
	r := run(t, load.Options{
		Targets:     []load.Target{{URL: url + "/a?x=1", Weight: 6}, {URL: url + "/b", Weight: 2}, {URL: other + "/c", Weight: 4}},
		Concurrency: 1, Requests: 12, KeepAlive: true,
	})
	if got := strings.Join(order, " "); got != "/a?x=1 /a?x=1 /b /a?x=1 /a?x=1 /a?x=1 /b /a?x=1" {
		t.Errorf("asked for %s: want three of four for /a, spread evenly", got)
	}
	s := r.Summary()
	if len(s.Paths) != 3 || s.Paths[0].Latency.Count != 6 || s.Paths[1].Latency.Count != 2 || s.Paths[2].Failed != 4 {
		t.Errorf("paths %+v, want 6, 2 and 4 failures", s.Paths)
	}
}

func TestVisitAsksForTheListingAndEachImage(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]int{}
	url, _, _ := counting(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked[r.URL.RequestURI()]++
		switch {
		case r.URL.Path == "/async_books/" && asked["/async_books/?limit=20"] < 3:
			fmt.Fprint(w, `[{"title":"A","id":7,"authors":[{"id":1}]},{"title":"B","id":9}]`)
		case r.URL.Path == "/async_books/":
			fmt.Fprint(w, `not a listing`)
		case asked["/books/9/image/"] == 2:
			w.WriteHeader(404)
		}
	})
	r := run(t, load.Options{Targets: at(url), Visit: true, Concurrency: 1, Requests: 3})
	want := map[string]int{"/async_books/?limit=20": 3, "/books/7/image/": 2, "/books/9/image/": 2}
	if fmt.Sprint(asked) != fmt.Sprint(want) {
		t.Errorf("asked %v, want %v", asked, want)
	}
	s := r.Summary()
	if s.Requests != 7 || s.Visits == nil || s.Visits.Count != 1 || r.Kinds["HTTP 404"] != 1 || r.Kinds[load.NoListing] != 1 {
		t.Errorf("%d requests, visits %+v, failures %v; want 7, one whole visit, one 404, one bad listing", s.Requests, s.Visits, r.Kinds)
	}
}

// A target that stalls once makes every request late that was due meanwhile. A closed loop would see one slow request.
func TestOpenLoopCountsTheLatenessThatAStallCauses(t *testing.T) {
	var n atomic.Int64
	stall := 300 * time.Millisecond
	url, _, _ := counting(t, func(http.ResponseWriter, *http.Request) {
		if n.Add(1) == 10 {
			time.Sleep(stall) // the target is slow
		}
	})
	r := run(t, load.Options{Targets: at(url), Concurrency: 1, Rate: 100, Requests: 60, KeepAlive: true})
	if r.Succeeded.Count() != 60 || r.Failed.Count() != 0 {
		t.Fatalf("%d succeeded, failures %v", r.Succeeded.Count(), r.Kinds)
	}
	// About 30 requests were due during the stall; the median of those was half the stall late.
	if got := r.Succeeded.Percentile(75); got < stall/6 {
		t.Errorf("p75 is %v: the stall of %v is hidden", got, stall)
	}
}

func TestOpenLoopCountsWhatNobodyWasFreeToSend(t *testing.T) {
	const duration = 500 * time.Millisecond
	done := make(chan struct{})
	answer := sync.OnceFunc(func() { time.AfterFunc(duration, func() { close(done) }) }) // when the load's time is over
	url, _, _ := counting(t, func(http.ResponseWriter, *http.Request) {
		answer()
		<-done
	})
	r := run(t, load.Options{Targets: at(url), Concurrency: 2, Rate: 400, Duration: duration})
	if r.Succeeded.Count() != 2 || r.Kinds[load.NotSent] != 198 {
		t.Errorf("%d succeeded, failures %v; want 2, and 198 not sent", r.Succeeded.Count(), r.Kinds)
	}
	if got := r.Failed.Max(); got < duration*9/10 {
		t.Errorf("the longest of those not sent waited %v, want nearly %v", got, duration)
	}
}

func TestOpenLoopThatIsCancelledCountsWhatWasDue(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url, _, _ := counting(t, func(_ http.ResponseWriter, r *http.Request) {
		time.AfterFunc(100*time.Millisecond, cancel)
		<-r.Context().Done()
	})
	r, err := load.Run(ctx, load.Options{Targets: at(url), Concurrency: 1, Rate: 100, Duration: time.Hour})
	if n := r.Kinds[load.NotSent]; err != nil || r.Succeeded.Count() != 0 || n < 5 || n > 1000 {
		t.Errorf("%v, %d succeeded, failures %v; want some that were due and not sent", err, r.Succeeded.Count(), r.Kinds)
	}
}

func TestKeptConnectionThatTheServerClosedIsOpenedAnew(t *testing.T) {
	url, connections, _ := counting(t, func(w http.ResponseWriter, r *http.Request) {
		// The answer says "keep", and the server closes all the same.
		c, _, _ := w.(http.Hijacker).Hijack()
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		c.Close()
	})
	r := run(t, load.Options{Targets: at(url), Concurrency: 1, Requests: 5, KeepAlive: true})
	if r.Succeeded.Count() != 5 || connections.Load() != 5 {
		t.Errorf("%d succeeded on %d connections, failures %v; want 5 on 5", r.Succeeded.Count(), connections.Load(), r.Kinds)
	}
}

func TestSummaryTellsTheResultInFigures(t *testing.T) {
	r := load.NewResult()
	r.Elapsed, r.Window = 3*time.Second, 2*time.Second
	for i := range 100 {
		r.Record("/", "", time.Duration(i+1)*time.Millisecond, i < 90)
	}
	r.Record("/", "HTTP 503 53300", 2*time.Millisecond, true)
	b, err := json.Marshal(r.Summary())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"seconds":3,"window_seconds":2,"requests":101,"succeeded":100,"failed":1,"succeeded_per_second":45,"bytes":0,` +
		`"latency_ms":{"count":100,"mean":50.503,"p50":50.015,"p75":75.007,"p90":90.047,"p95":95.039,"p99":99.007,"p99_9":100.031,"max":100.031},` +
		`"failure_latency_ms":{"count":1,"mean":2,"p50":2,"p75":2,"p90":2,"p95":2,"p99":2,"p99_9":2,"max":2},` +
		`"errors":[{"kind":"HTTP 503 53300","sqlstate":"53300","count":1}],"listen_overflows":0}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}
