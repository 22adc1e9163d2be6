package livepage

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/proxy/status"
)

var noon = time.Unix(1_700_000_000, 0) // begins a step of each series

// pool is one that has answered so many queries, of a millisecond each.
func pool(number uint64, name string, queries int) status.Pool {
	p := status.Pool{Number: number, Database: name, User: "app", Mode: "transaction", Size: 20}
	p.Totals.Queries, p.Totals.Transactions = uint64(queries), uint64(queries/2)
	for range queries {
		p.Query.Observe(time.Millisecond)
	}
	return p
}

func at(seconds int, pools ...status.Pool) status.Snapshot {
	return status.Snapshot{At: noon.Add(time.Duration(seconds) * time.Second), Started: noon.Add(-time.Hour), Pools: pools}
}

func view(t *testing.T, s *Sampler) View {
	t.Helper()
	v, ok := s.View(true)
	if !ok {
		t.Fatal("there is nothing to show")
	}
	return v
}

func near(got, want float64) bool { return math.Abs(got-want) <= 1e-9+want*.01 }

func TestRatesAreDifferencesAndTheFirstSnapshotHasNone(t *testing.T) {
	s := NewSampler()
	if _, ok := s.View(true); ok {
		t.Error("there is a view of nothing")
	}
	s.Add(at(0, pool(1, "shop", 5000)))
	if v := view(t, s); v.Rates.Queries != 0 || v.Rates.Query.P50 != nil {
		t.Errorf("what happened before the first snapshot is counted: %+v", v.Rates)
	}
	for i := 1; i <= 20; i++ {
		s.Add(at(i, pool(1, "shop", 5000+100*i), pool(2, "late", 30*i))) // the second was opened after the first snapshot
	}
	v := view(t, s)
	if !near(v.Rates.Queries, 130) || !near(v.Rates.Transactions, 65) {
		t.Errorf("%v queries and %v transactions a second, want 130 and 65", v.Rates.Queries, v.Rates.Transactions)
	}
	for name, want := range map[string]float64{"shop": 100, "late": 30} {
		for _, p := range v.Pools {
			if p.Database == name && !near(p.Rates.Queries, want) {
				t.Errorf("%s: %v queries a second, want %v", name, p.Rates.Queries, want)
			}
		}
	}
	if p := v.Rates.Query.P50; p == nil || *p < .0005 || *p > .0011 {
		t.Errorf("half of the queries, which took 1 ms, are below %v", *p)
	}
}

func TestASnapshotThatComesLateIsSpreadOverItsTime(t *testing.T) {
	s := NewSampler()
	s.Add(at(0, pool(1, "shop", 0)))
	s.Add(at(8, pool(1, "shop", 800)))
	if v := view(t, s); !near(v.Rates.Queries, 100) {
		t.Errorf("%v queries a second, want 100", v.Rates.Queries)
	}
	s.Add(at(3, pool(1, "shop", 900))) // the clock was set back
	s.Add(at(4, pool(1, "shop", 1000)))
	view(t, s)
}

func TestAPoolThatIsOpenedAgainBeginsAnew(t *testing.T) {
	s := NewSampler()
	s.Add(at(0, pool(1, "shop", 1000)))
	s.Add(at(1))
	s.Add(at(2, pool(2, "shop", 10)))
	if n := view(t, s).Pools[0].Rates.Queries; !near(n, 10) {
		t.Errorf("%v queries a second, want 10", n)
	}
	if len(s.pools) != 1 {
		t.Errorf("%d histories of one pool", len(s.pools))
	}
}

func TestHistoryIsBounded(t *testing.T) {
	s := NewSampler()
	pools := make([]status.Pool, poolsMax+50)
	for i := range pools {
		pools[i] = status.Pool{Number: uint64(i + 1), Database: fmt.Sprintf("d%d", i), User: "app"}
	}
	for i := range 1000 {
		s.Add(at(i, pools...))
	}
	v := view(t, s)
	if len(s.pools) != poolsMax || len(s.whole.points) != 300 || len(v.Pools) != rowsMax || v.PoolsMore != poolsMax+50-rowsMax {
		t.Errorf("%d histories of %d points; %d rows and %d more", len(s.pools), len(s.whole.points), len(v.Pools), v.PoolsMore)
	}
	if first, last := v.History[0], v.History[len(v.History)-1]; first.Queries == nil || last.Ago != 0 || first.Ago != 290 {
		t.Errorf("the history goes from %+v to %+v", first, last)
	}
}

func TestWhatIsOlderThanTheHistoryIsForgotten(t *testing.T) {
	s := NewSampler()
	s.Add(at(0, pool(1, "shop", 0)))
	s.Add(at(1, pool(1, "shop", 500)))
	s.Add(at(400, pool(1, "shop", 500)))
	for _, m := range view(t, s).History {
		if m.Queries != nil && *m.Queries > 0 {
			t.Errorf("%v queries a second %v s ago", *m.Queries, m.Ago)
		}
	}
}

func TestQuantilesLieWithinTheirBuckets(t *testing.T) {
	var h status.Histogram
	c := grown(&h, &status.Histogram{})
	if _, ok := c.quantile(.5); ok {
		t.Error("there is a median of nothing")
	}
	for range 90 {
		h.Observe(100 * time.Microsecond) // from 65.5 to 131 µs
	}
	for range 10 {
		h.Observe(time.Minute) // beyond the last bound
	}
	c = grown(&h, &status.Histogram{})
	if d, _ := c.quantile(.5); d < 65*time.Microsecond || d > 132*time.Microsecond {
		t.Errorf("p50 is %s", d)
	}
	if d, _ := c.quantile(.99); d != status.Bound(status.Buckets-2) {
		t.Errorf("p99 is %s, want the last bound", d)
	}
}

// sample has something of everything.
func sample() status.Snapshot {
	p := pool(1, "shop", 0)
	p.Clients = [status.ClientStates]int{status.ClientIdle: 100, status.ClientWaiting: 7, status.ClientActive: 20}
	p.Backends = [status.BackendStates]int{status.BackendActive: 20, status.BackendDialling: 1}
	p.Paused, p.Bound = true, "size"
	p.OldestWait, p.OldestLease, p.InTx, p.Pinned = 1500*time.Millisecond, 2*time.Minute, 2, 1
	p.Waiter = status.Peer{Client: 7, Address: "10.0.0.7:1", Application: "<b>till</b>"}
	p.Holder = status.Peer{Client: 8, Address: "10.0.0.8:1", Application: "report", Backend: 4711}
	p.Pins = []status.Pin{{Client: 9, Peer: "10.0.0.9:1", Application: "import", Backend: 4712, Reasons: []string{"temporary object", "LISTEN"}, Since: noon.Add(-time.Minute), Statement: "CREATE TEMP TABLE secret\xff"}}
	p.Errors, p.Own = []status.ErrorCode{{Code: "42P01", Count: 3}}, []status.ErrorCode{{Code: "53300", Count: 5}}
	p.Questions = status.Questions{Asked: 12, Learnt: 3, Leaks: map[string]uint64{"advisory_lock": 1}}
	p.Totals.Doubts[status.DoubtStream] = 1
	down := status.Pool{Number: 2, Database: "reports", User: "app", Mode: "session", ServerDown: true, ServerError: "connection refused"}
	s := at(0, p, down)
	s.Limits.MaxClients, s.Dropped = 130, 4
	s.Logins = status.Logins{Now: 2, Max: 1000, Succeeded: 12345, Failed: map[string]uint64{"wrong_password": 6, "gone": 7}, Shed: 1}
	s.Replications = []status.Replication{{Clients: 2}}
	return s
}

// get is an answer of a page that has the sample, which may show texts or not.
func get(t *testing.T, path string, texts bool) *httptest.ResponseRecorder {
	t.Helper()
	page := &Page{Sampler: NewSampler(), Texts: func(*http.Request) bool { return texts }, More: func() More {
		return More{
			Listeners: []string{"127.0.0.1:6432"},
			Hosts:     []status.Host{{Database: "shop", Host: "db", Port: 5432, Backends: 20, Tried: true}, {Database: "reports", Host: "/run/postgresql", Trouble: "connection refused"}},
			Failures:  []status.Failure{{SQLState: "42P01", Ago: time.Second, Database: "shop", User: "app", Peer: "10.0.0.6:1", App: "till", Text: `relation "secret" does not exist`}},
		}
	}}
	page.Sampler.Add(sample())
	next := sample()
	next.At = next.At.Add(time.Second)
	next.Pools[0].Totals.WaitsFailed = 2
	next.Logins.Failed = map[string]uint64{"wrong_password": 6, "gone": 9}
	page.Sampler.Add(next)
	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return w
}

// A pool's name is a stranger's choice.
func TestNamesOfPoolsAreEscaped(t *testing.T) {
	if got := breakable(`<b>"x"</b>/a&b`); got != "&lt;b&gt;&#34;x&#34;&lt;/<wbr>b&gt;/<wbr>a&amp;b" {
		t.Error(got)
	}
}

func TestPageSaysWhatHurtsFirst(t *testing.T) {
	page := get(t, "/live", true).Body.String()
	last := 0
	for _, part := range []string{ // in this order
		"Server down", "reports/app: connection refused", "Clients wait", "7 clients for shop/app, the longest for 1.5 s", "Waits failed",

		"Paused", "Clients near the limit", "127 of 130", "Backend kept", "Doubts", "Session state leaked", "Log lines lost",
		"100 idle", "&lt;b&gt;till&lt;/b&gt;", "10.0.0.7:1 · client 7", "report", "pool_size 20 is reached", "2 min 0 s", "Queries per second",
		"reports/<wbr>app", "shop/<wbr>app", "temporary object, LISTEN", "1 min 1 s", "CREATE TEMP TABLE secret?", "Last errors", "relation &#34;secret&#34;", "/run/postgresql", "db:5432", "53300", "42P01", "12\u202f345", "left before the end", "failed: wrong password", "advisory lock",
	} {
		i := strings.Index(page[last:], part)
		if i < 0 {
			t.Errorf("the page does not say %q after %q", part, page[max(0, last-30):last])
			continue
		}
		last += i
	}
	for _, never := range []string{"ZgotmplZ", "Logins failed", "<b>till", "http://", "https://", "style="} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %s", never)
		}
	}
}

func TestTextsOfStatementsAreShownOnlyWhereTheyMayBe(t *testing.T) {
	for _, path := range []string{"/live", "/live/now", "/live.json"} {
		for texts, want := range map[bool]bool{true: true, false: false} {
			if got := strings.Contains(get(t, path, texts).Body.String(), "secret"); got != want {
				t.Errorf("%s with %t has the text: %t", path, texts, got)
			}
		}
	}
}

func TestTextsAreNotForNamesThatAnybodyCanGiveThisMachine(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1:9127": true, "127.0.0.1": true, "[::1]:9127": true, "[::1]": true, "localhost:9127": true, "LOCALHOST": true, "10.0.0.1:1": true,
		"evil.example:9127": false, "localhost.evil.example": false, "127.0.0.1.evil.example:9127": false, "": false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/live", nil)
		r.Host = host
		if got := NamesThisMachine(r); got != want {
			t.Errorf("Host %q: %t", host, got)
		}
	}
}

func TestNumbersAreJSON(t *testing.T) {
	var v View
	w := get(t, "/live.json", true)
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	if v.Clients.Waiting != 7 || v.Waits[0].Behind.Application != "report" || v.Pins[0].Who.Backend != 4712 || len(v.Pools) != 2 || !v.Pools[0].ServerDown {
		t.Errorf("%+v", v)
	}
}

// A pool that nobody uses is forgotten after minutes, and its number with it.
func TestSinceTheStartCountsPoolsThatAreForgotten(t *testing.T) {
	was := sample()
	s := at(0)
	s.Bygone = []status.Pool{was.Pools[0].Counted(), was.Pools[0].Counted()}
	sampler := NewSampler()
	sampler.Add(s)
	v, _ := sampler.View(true)
	want := []Error{{Code: "53300", Weirs: 10}, {Code: "42P01", Servers: 6}}
	if !slices.Equal(v.Errors, want) || v.Session.Asked != 24 || v.Session.Learnt != 6 || len(v.Pools) != 0 {
		t.Errorf("got %+v", v)
	}
	doubts := slices.ContainsFunc(v.Troubles, func(tr Trouble) bool { return tr.What == "Doubts" && strings.HasPrefix(tr.Text, "2 ") })
	leaked := slices.ContainsFunc(v.Troubles, func(tr Trouble) bool { return strings.HasPrefix(tr.Text, "2 times") })
	if !doubts || !leaked {
		t.Errorf("got %+v", v.Troubles)
	}
}

// Whatever a client's name says, the page runs no script but its own, and no other page can show it in a frame.
func TestPageAllowsNothingFromElsewhere(t *testing.T) {
	for _, path := range []string{"/live", "/live/now", "/live/live.css", "/live/live.js"} {
		h := get(t, path, true).Header()
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} {
			if !strings.Contains(h.Get("Content-Security-Policy"), part) {
				t.Errorf("%s: no %s", path, part)
			}
		}
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

func TestTimesHaveThreeDigitsAndAUnit(t *testing.T) {
	for s, want := range map[float64]string{
		0: "0 s", 42e-6: "42 µs", 3.27e-3: "3.3 ms", 9.96e-3: "10 ms", .25: "250 ms", .9996: "1 s", 1.5: "1.5 s", 59: "59 s", 61: "1 min 1 s",
		3725: "1 h 2 min", 90000: "1 d 1 h",
	} {
		if got := seconds(s); got != want {
			t.Errorf("%g is written %q, want %q", s, got, want)
		}
	}
	if grouped(1234567) != "1\u202f234\u202f567" || grouped(999) != "999" || rate(3.14) != "3.1" || rate(1234.4) != "1\u202f234" {
		t.Errorf("%s %s %s %s", grouped(1234567), grouped(999), rate(3.14), rate(1234.4))
	}
}
