package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/bookstore/load"
)

// measured is a load of ten seconds: n successes of 20 ms, and failures by kind.
func measured(n int, failed map[load.Kind]int) *load.Result {
	r := load.NewResult()
	r.Elapsed, r.Window = 11*time.Second, 10*time.Second
	for range n {
		r.Record("", 20*time.Millisecond, true)
	}
	for kind, times := range failed {
		for range times {
			r.Record(kind, time.Millisecond, true)
		}
	}
	return r
}

const mib = 1 << 20

func example() *Report {
	return &Report{
		Setup: Setup{Path: "/async_books/", Cores: 2, MaxConnections: 100, Reserved: 3, PoolConns: 460, PoolSize: 20, WarmUp: 2 * time.Second, Pss: true},
		Rows: []Row{
			{Clients: 10, Way: Direct, Load: measured(10_000, nil), Backends: 10, Postgres: 50 * mib, API: 14 * mib},
			{Clients: 10, Way: Weir, Load: measured(9_900, nil), Backends: 10, Postgres: 50 * mib, API: 14 * mib, Proxy: 4 * mib},
			{Clients: 400, Way: Direct, Load: measured(3_000, map[load.Kind]int{"HTTP 503 53300": 985, load.Timeout: 15}), Backends: 97, Postgres: 224 * mib, API: 50 * mib},
			{Clients: 400, Way: Weir, Load: measured(9_000, nil), Backends: 20, Postgres: 70 * mib, API: 60 * mib, Proxy: 8 * mib},
		},
	}
}

func TestReportOfAnExample(t *testing.T) {
	var b strings.Builder
	if err := example().Write(&b); err != nil {
		t.Fatal(err)
	}
	want := `  clients     way  requests       errors   ok/s   p50   p95   p99  backends  PostgreSQL     API   weir
       10  direct    10,000            0  1,000  20ms  20ms  20ms        10      50 MiB  14 MiB      -
       10    weir     9,900            0    990  20ms  20ms  20ms        10      50 MiB  14 MiB  4 MiB

      400  direct     4,000  1,000 (25%)    300  20ms  20ms  20ms        97     224 MiB  50 MiB      -
      400    weir     9,000            0    900  20ms  20ms  20ms        20      70 MiB  60 MiB  8 MiB

GET /async_books/, a new TCP connection each, after 2s of warm-up. ok/s and latencies: answered
requests only. backends: peak in pg_stat_activity. Memory: peak, proportional set size (Pss).

* Directly, requests failed: 1,000 of 4,000 with 400 clients (985 times HTTP 503 with SQLSTATE
  53300, 15 times no answer in time). 53300 is PostgreSQL's "too many clients already": the
  application's pools may open 460 connections, the server takes 100 and keeps 3 of them for
  superusers.

* Through weir, none of 18,900 requests failed: no more than 20 backends served up to 400 clients,
  and whoever found all of them busy waited for the next free one.

* PostgreSQL's memory was 50 to 224 MiB with up to 97 backends directly, and 50 to 70 MiB with up to
  20 through weir, which itself took at most 8 MiB. Each backend cost about 2.0 MiB.

* With 400 clients, 300 requests a second were answered directly and 900 through weir, more because
  nothing was spent on refusing connections and opening new ones. A pooler adds no CPU: load,
  application, PostgreSQL and weir share 2 cores here, so with more clients each waits longer,
  whichever way it goes.
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// Whatever happened, the words must not tell of something else.
func TestWordsFollowTheFigures(t *testing.T) {
	for _, c := range []struct {
		name        string
		change      func(*Report)
		says, never string
	}{
		{"nothing failed directly", func(r *Report) { r.Rows[2].Load = measured(8_900, nil) }, "Directly, none of 18,900", "53300"},
		{"equal speed", func(r *Report) { r.Rows[2].Load = measured(8_900, nil) }, "as good as equal", "more because"},
		{"weir slower", func(r *Report) { r.Rows[2].Load = measured(18_000, nil) }, "less by what the extra hop costs", "more because"},
		{
			"weir failed", func(r *Report) { r.Rows[3].Load = measured(900, map[load.Kind]int{load.Refused: 3}) },
			"Through weir, 3 of 10,803 requests failed: 3 times connection refused", "Through weir, none",
		},
		{"few backends apart", func(r *Report) { r.Rows[2].Backends = 25 }, "with up to 25 backends", "Each backend cost"},
		{
			"other failures directly", func(r *Report) { r.Rows[2].Load = measured(900, map[load.Kind]int{load.Reset: 3}) },
			"3 times connection reset", "too many clients",
		},
		{"accept queues", func(r *Report) { r.Rows[0].Load.ListenOverflows = 1234 }, "1,234 times a TCP connection", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := example()
			c.change(r)
			words := strings.Join(r.Words(), "\n")
			if !strings.Contains(words, c.says) || c.never != "" && strings.Contains(words, c.never) {
				t.Errorf("want %q and never %q in\n%s", c.says, c.never, words)
			}
		})
	}
}

func TestNumbersForPeople(t *testing.T) {
	got := []string{
		count(0), count(999), count(1000), count(1234567),
		percent(0, 100), percent(1, 1000), percent(999, 1000), percent(1000, 1000), percent(0, 0),
		duration(0), duration(1234 * time.Microsecond), duration(1234 * time.Millisecond), duration(12340 * time.Millisecond),
	}
	want := []string{"0", "999", "1,000", "1,234,567", "0%", "<1%", ">99%", "100%", "0%", "-", "1.2ms", "1234ms", "12.3s"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", fmt.Sprint(got), fmt.Sprint(want))
	}
}
