package telemetry

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"weir/proxy/status"
)

var update = flag.Bool("update", false, "rewrite docs/metrics.md")

// sample is a Source with something in every family.
type sample struct{}

func (sample) Snapshot() status.Snapshot {
	p := status.Pool{Database: "shop", User: "app", Size: 20, OldestWait: 1500 * time.Millisecond, ServerError: "down", ServerDown: true, OldestLease: time.Minute}
	p.Shared = status.SharedLimits{DBBackends: 60, UserClients: 500}
	p.Clients[status.ClientWaiting] = 7
	p.Backends[status.BackendActive] = 20
	p.Totals.Queries, p.Totals.Dials, p.Totals.DialsFailed = 41, 5, 2
	p.Totals.DialsBy = [status.DialEnds]uint64{status.DialOK: 3, status.DialRefused: 1, status.DialFailed: 1}
	p.Totals.WaitsFailed, p.Totals.WaitsRefused, p.Totals.Timeouts[status.QueryWaitTimeout] = 10, 2, 5
	p.Wait.Observe(40 * time.Microsecond)
	p.Wait.Observe(time.Hour)
	p.Prepared = status.Prepared{Texts: 11, OnBackends: 12, Passed: 13, Saved: 14, Repeated: 15, Closed: 16, Forgotten: 17}
	p.Errors = []status.ErrorCode{{Code: "42P01", Count: 3}, {Code: "other", Count: 1}}
	p.Own = []status.ErrorCode{{Code: "53300", Count: 5}}
	p.Pinned, p.PinnedBy = 2, map[string]int{"listen": 1, "temporary object": 2}
	p.Questions = status.Questions{Asked: 20, Refused: 1, Unasked: 2, Learnt: 3, Leaks: map[string]uint64{"setting": 4}}
	return status.Snapshot{
		Started: time.Unix(1000, 0), Pools: []status.Pool{p}, Loops: []status.Loop{{Polls: 9}},
		Logins:  status.Logins{Failed: map[string]uint64{"wrong_password": 4}},
		Peers:   status.Peers{Passed: 25, Received: 26, Failed: map[string]uint64{"hops": 27}},
		Lookups: status.Lookups{Kept: 21, Found: 22, Unknown: 23, Failed: 24},
		Limits:  status.Limits{MaxClients: 10000},
		Servers: []status.Server{
			{Name: "db1:5432", Role: status.RolePrimary, Up: true, Backends: 6, Failures: 2},
			{Name: "db:5432", Address: "10.0.0.5", Role: status.RoleUnknown},
		},
		Replications: []status.Replication{{Database: "shop", User: "replica", Clients: 1}},
		Certificates: []status.Certificate{{Section: "[client_tls]", File: "/etc/weir/server.crt", Until: time.Unix(2_000_000_000, 0)}},
	}
}

func TestMetricsFollowPrometheusRules(t *testing.T) {
	problems, err := testutil.CollectAndLint(NewCollector(sample{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestEveryFamilyIsDeclaredOnceAndEmitted(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range families {
		if seen[m.name] {
			t.Errorf("%s is declared twice", m.name)
		}
		seen[m.name] = true
		if n := testutil.CollectAndCount(NewCollector(sample{}), m.name); n == 0 {
			t.Errorf("%s is declared and never emitted", m.name)
		}
	}
}

func TestValuesComeFromTheSnapshot(t *testing.T) {
	want := `
# HELP weir_waiting_clients Clients in the queue for a backend; weir_clients has the same number as a state.
# TYPE weir_waiting_clients gauge
weir_waiting_clients{database="shop",user="app"} 7
# HELP weir_server_down 1 while the pool's last attempt to get a backend has failed for a reason that is the server's or the network's. What the client named (3D000, class 28) and a full server (53300) are none: see weir_dials_total.
# TYPE weir_server_down gauge
weir_server_down{database="shop",user="app"} 1
# HELP weir_dials_total Attempts to get a backend: ok; refused (what the client named is wrong: 3D000, class 28); full (the server has no place left: 53300); abandoned (weir has given it up for a PAUSE, or because backends come from elsewhere now); failed (all else).
# TYPE weir_dials_total counter
weir_dials_total{database="shop",outcome="abandoned",user="app"} 0
weir_dials_total{database="shop",outcome="failed",user="app"} 1
weir_dials_total{database="shop",outcome="full",user="app"} 0
weir_dials_total{database="shop",outcome="ok",user="app"} 3
weir_dials_total{database="shop",outcome="refused",user="app"} 1
# HELP weir_waits_failed_total Waits for a backend that ended in an error: query_wait_timeout, refused (what the client named is wrong), server (it cannot be reached or does not let weir in, or weir stops).
# TYPE weir_waits_failed_total counter
weir_waits_failed_total{database="shop",reason="query_wait_timeout",user="app"} 5
weir_waits_failed_total{database="shop",reason="refused",user="app"} 2
weir_waits_failed_total{database="shop",reason="server",user="app"} 3
# HELP weir_server_errors_total Errors that the server sent, by SQLSTATE; other: those beyond the 64 that came first.
# TYPE weir_server_errors_total counter
weir_server_errors_total{database="shop",sqlstate="42P01",user="app"} 3
weir_server_errors_total{database="shop",sqlstate="other",user="app"} 1
# HELP weir_oldest_lease_seconds How long the client that has had its backend longest has had it.
# TYPE weir_oldest_lease_seconds gauge
weir_oldest_lease_seconds{database="shop",user="app"} 60
# HELP weir_prepared_texts Texts of named prepared statements that clients share.
# TYPE weir_prepared_texts gauge
weir_prepared_texts{database="shop",user="app"} 11
# HELP weir_prepared_statements Named prepared statements that backends hold, each counted on each.
# TYPE weir_prepared_statements gauge
weir_prepared_statements{database="shop",user="app"} 12
# HELP weir_prepared_parses_total Parses of named statements: passed on for a client, saved because the backend held the statement, repeated by weir because a client used it on another backend.
# TYPE weir_prepared_parses_total counter
weir_prepared_parses_total{by="passed",database="shop",user="app"} 13
weir_prepared_parses_total{by="saved",database="shop",user="app"} 14
weir_prepared_parses_total{by="repeated",database="shop",user="app"} 15
# HELP weir_prepared_closed_total Named statements that weir closed on a backend to make room (max_prepared_statements).
# TYPE weir_prepared_closed_total counter
weir_prepared_closed_total{database="shop",user="app"} 16
# HELP weir_prepared_forgotten_total Texts that are shared no longer, because the schema has changed.
# TYPE weir_prepared_forgotten_total counter
weir_prepared_forgotten_total{database="shop",user="app"} 17
# HELP weir_auth_lookups_total Users looked up with auth_query: kept (answered from memory), found, unknown, failed (the lookup had no answer).
# TYPE weir_auth_lookups_total counter
weir_auth_lookups_total{outcome="kept"} 21
weir_auth_lookups_total{outcome="found"} 22
weir_auth_lookups_total{outcome="unknown"} 23
weir_auth_lookups_total{outcome="failed"} 24
# HELP weir_host_up 1 while the last attempt to log in to the server has reached it; the address is empty unless a name has several and each counts for itself. At most 256 servers.
# TYPE weir_host_up gauge
weir_host_up{address="",host="db1:5432"} 1
weir_host_up{address="10.0.0.5",host="db:5432"} 0
# HELP weir_host_standby 1 if the server was a standby at the last login, 0 if it was not; no value while that is not known.
# TYPE weir_host_standby gauge
weir_host_standby{address="",host="db1:5432"} 0
`
	err := testutil.CollectAndCompare(NewCollector(sample{}), strings.NewReader(want),
		"weir_waiting_clients", "weir_oldest_lease_seconds", "weir_waits_failed_total", "weir_server_errors_total", "weir_server_down", "weir_dials_total", "weir_prepared_texts", "weir_prepared_statements",
		"weir_prepared_parses_total", "weir_prepared_closed_total", "weir_prepared_forgotten_total", "weir_auth_lookups_total", "weir_host_up", "weir_host_standby")
	if err != nil {
		t.Error(err)
	}
}

func TestHistogramKeepsWhatIsBeyondTheLastBound(t *testing.T) {
	text := scrape(t, func() error { return nil }, "/metrics", http.StatusOK)
	for _, line := range []string{
		`weir_wait_seconds_bucket{database="shop",user="app",le="3.2768e-05"} 0`,
		`weir_wait_seconds_bucket{database="shop",user="app",le="6.5536e-05"} 1`,
		`weir_wait_seconds_bucket{database="shop",user="app",le="+Inf"} 2`,
		`weir_wait_seconds_count{database="shop",user="app"} 2`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
}

func TestReadinessFollowsTheProxy(t *testing.T) {
	var draining atomic.Bool
	ready := func() error {
		if draining.Load() {
			return errors.New("draining")
		}
		return nil
	}
	scrape(t, ready, "/readyz", http.StatusOK)
	draining.Store(true)
	if got := scrape(t, ready, "/readyz", http.StatusServiceUnavailable); got != "draining\n" {
		t.Errorf("/readyz says %q", got)
	}
	scrape(t, ready, "/healthz", http.StatusOK)
	scrape(t, ready, "/debug/pprof/", http.StatusNotFound)
}

func scrape(t *testing.T, ready func() error, path string, code int) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(Options{
		Most:     4,
		Listener: l, Source: sample{}, Ready: ready, Log: slog.New(slog.DiscardHandler),
	})
	defer s.Close()
	r, err := http.Get("http://" + s.Address() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if r.StatusCode != code {
		t.Errorf("%s: %s, want %d", path, r.Status, code)
	}
	return string(body)
}

func TestMetricsDocumentIsCurrent(t *testing.T) {
	const file = "../../docs/metrics.md"
	var b strings.Builder
	b.WriteString("# Metrics\n\nweir serves these at `/metrics` of `[http] address`, beside the Go runtime's and the process's own.\n" +
		"Counters and histograms grow from the start of a pool. This page is made from the declarations in `proxy/telemetry/metrics.go`.\n\n" +
		"| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range families {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, strings.Join(m.labels, ", "), m.help)
	}
	b.WriteString("\nHistogram bounds double from 32.8 µs to 34 s. `user` is the user as whom the pool's backends log in.\n\n" +
		"Names are shown as they are, save bytes that are no UTF-8, which are written `\\xff`. A pool that is opened while there " +
		"are " + strconv.Itoa(status.PoolsApart) + " others is summed up, for as long as it lives, with those like it as database and user `" + others +
		"`. A pool's series end with it: see `pool_idle_timeout`; what is summed up stays.\n")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Error("docs/metrics.md is not what the declarations say; run go test ./proxy/telemetry -run Document -update")
	}
}
