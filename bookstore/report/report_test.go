package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/bookstore/load"
)

// measured is a load of ten seconds: n successes of 20 ms, and failures of 1 ms by kind.
func measured(n int, failed map[load.Kind]int) load.Summary {
	r := load.NewResult()
	r.Elapsed, r.Window = 11*time.Second, 10*time.Second
	for range n {
		r.Record("/", "", 20*time.Millisecond, true)
	}
	for kind, times := range failed {
		for range times {
			r.Record("/", kind, time.Millisecond, true)
		}
	}
	return r.Summary()
}

// row is a turn with two samples: at its start with one backend, and at its end with all. Sizes are in MiB.
func row(clients int, way Way, l load.Summary, backends int, postgres, api, proxy int64) Row {
	at := float64(clients)
	if way == Proxied {
		at += 0.5
	}
	end := &Programs{
		Postgres: Program{Memory: (postgres - 10) * mib, PageTables: 10 * mib}, API: Program{Memory: api * mib},
		Proxy: Program{Memory: proxy * mib},
	}
	r := Row{
		Clients: clients, Way: way, MaxConnections: 400, Load: l, CPU: CPU{Postgres: 1, API: 0.5, Load: 0.25},
		Samples: []Sample{
			{At: at, WarmUp: true, Sessions: Sessions{Active: 1}},
			{At: at + 0.2, Sessions: Sessions{Active: backends / 2, Idle: backends - backends/2}, Programs: end},
		},
	}
	if way == Proxied {
		r.CPU.Proxy = 0.2
		r.Wait = &Wait{Count: 100, Mean: 12, P50: 16, P99: 33}
		r.Samples[1].Queue = &Queue{Clients: clients, Waiting: clients / 2, Backends: backends}
	}
	return r
}

func example() *Report {
	return &Report{
		Setup: Setup{
			Started: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), Machine: "Model 9, 8.0 GiB", Cores: 2, Server: "PostgreSQL 15.20 (Debian)",
			Proxy: "weir", Asked: "/async_books/", MaxConnections: 400, Reserved: 3, Processes: 2, SyncPool: 150, AsyncPool: 300, AsyncOverflow: 10,
			PoolSize: 20, WarmUp: 2, Duration: 10, Memory: Pss, Private: true,
		},
		Rows: []Row{
			row(10, Direct, measured(10_000, nil), 10, 51, 14, 0),
			row(10, Proxied, measured(9_900, nil), 20, 71, 14, 4),
			row(400, Direct, measured(3_000, map[load.Kind]int{"HTTP 503 53300": 985, load.Timeout: 15}), 397, 825, 50, 0),
			row(400, Proxied, measured(9_000, nil), 20, 71, 60, 8),
		},
	}
}

func TestReportOfAnExample(t *testing.T) {
	var b strings.Builder
	if err := example().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "example.txt", b.String())
}

var update = flag.Bool("update", false, "write the files in testdata anew")

// golden compares with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant (%s)\n%s", got, path, want)
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
		{
			"few backends apart", func(r *Report) { r.Rows[2] = row(400, Direct, measured(1, nil), 25, 80, 1, 0) },
			"with up to 25 backends", "lie on a line",
		},
		{"all places taken", func(*Report) {}, "psql would have been refused", ""},
		{
			"all but the observer's place taken", func(r *Report) { r.Rows[2] = row(400, Direct, measured(1, nil), 396, 825, 1, 0) },
			"psql would have been refused", "",
		},
		{"places left", func(r *Report) { r.Rows[2] = row(400, Direct, measured(1, nil), 300, 640, 1, 0) }, "920 connections", "psql"},
		{
			"other failures directly", func(r *Report) { r.Rows[2].Load = measured(900, map[load.Kind]int{load.Reset: 3}) },
			"3 times connection reset", "too many clients",
		},
		{
			"the application gave up", func(r *Report) { r.Rows[2].Load = measured(900, map[load.Kind]int{"HTTP 503": 3}) },
			"3 times HTTP 503). A 503 without SQLSTATE is the application", "53300",
		},
		{"fast failures", func(*Report) {}, "half of the failures took at most 1.0 ms, half of the successes 20 ms", "no faster"},
		{"few failures", func(r *Report) { r.Rows[2].Load.FailureLatency.Count = 3 }, "Through weir", "half of the failures"},
		{"accept queues", func(r *Report) { r.Rows[0].Load.ListenOverflows = 1234 }, "1,234 times a TCP connection", ""},
		{"the machine was its own", func(r *Report) { r.Rows[2].CPU.Others = 0.29 }, "Through weir", "Other programs"},
		{
			"others on the machine", func(r *Report) { r.Rows[2].CPU.Others, r.Rows[3].CPU.Others = 0.3, 0.5 },
			"Other programs kept cores busy meanwhile: 0.30 with 400 clients directly, 0.50 with 400 clients through weir.", "",
		},
		{"a server of somebody's", func(r *Report) { r.Rows[2].CPU.Others, r.Setup.Private = 1, false }, "Through weir", "Other programs"},
		{"another pooler", func(r *Report) { r.Setup.Proxy = "PgBouncer" }, "Through PgBouncer, none", "weir"},
		{
			"no memory seen", func(r *Report) { r.Setup.Memory = NotMeasured }, "PostgreSQL's memory was not measured", "MiB with up to",
		},
		{"unfinished", func(r *Report) { r.Unfinished = "it was interrupted" }, "did not finish: it was interrupted", ""},
		{"one way only", func(r *Report) { r.Rows = r.Rows[:1] }, "direct", "Through weir"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := example()
			c.change(r)
			var b strings.Builder
			if err := r.WriteText(&b); err != nil {
				t.Fatal(err)
			}
			words := strings.Join(strings.Fields(b.String()), " ")
			if !strings.Contains(words, c.says) || c.never != "" && strings.Contains(words, c.never) {
				t.Errorf("want %q and never %q in\n%s", c.says, c.never, b.String())
			}
		})
	}
}

func TestCheckFindsWhatWasNotReached(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Report)
		want   []string // each a part of one sentence
	}{
		{"all reached", func(*Report) {}, nil},
		{"direct failures are no matter", func(r *Report) { r.Rows[0].Load = measured(1, map[load.Kind]int{load.Refused: 9}) }, nil},
		{
			"one error", func(r *Report) { r.Rows[1].Load = measured(9_900, map[load.Kind]int{"HTTP 503 53300": 1}) },
			[]string{"with 10 clients 1 of 9,901 requests through weir failed: 1 times HTTP 503 with SQLSTATE 53300"},
		},
		{"nothing answered", func(r *Report) { r.Rows[3].Load = measured(0, nil) }, []string{"no request through weir succeeded", "0.00 of the best"}},
		{"memory at the limit", func(r *Report) { r.Rows[3] = row(400, Proxied, measured(9_000, nil), 20, 78, 1, 1) }, nil},
		{
			"memory beyond it", func(r *Report) { r.Rows[3] = row(400, Proxied, measured(9_000, nil), 20, 79, 1, 1) },
			[]string{"71 MiB with 10 clients and 79 MiB with 400: 11 % more"},
		},
		{"memory unknown", func(r *Report) { r.Rows[1].Samples = nil }, []string{"memory was not measured"}},
		{"throughput at the limit", func(r *Report) { r.Rows[3].Load = measured(7_920, nil) }, nil},
		{
			"throughput beyond it", func(r *Report) { r.Rows[3].Load = measured(7_900, nil) },
			[]string{"790 requests a second with 400 clients are 0.80 of the best, 990 with 10"},
		},
		{
			"throughput lost to others", func(r *Report) { r.Rows[3].Load, r.Rows[3].CPU.Others = measured(7_900, nil), 0.5 },
			[]string{"0.80 is the limit (other programs kept 0.50 of 2 cores busy then)"},
		},
		{
			"the best in the middle", func(r *Report) {
				r.Rows = append(r.Rows, row(50, Proxied, measured(12_000, nil), 20, 71, 1, 1))
			},
			[]string{"0.75 of the best, 1200 with 50"},
		},
		{"no ladder", func(r *Report) { r.Rows = r.Rows[:2] }, []string{"1 rungs of clients through weir are no ladder"}},
		{"unfinished", func(r *Report) { r.Unfinished = "it was interrupted" }, []string{"did not finish"}},
		{
			"everything", func(r *Report) {
				r.Rows[3] = row(400, Proxied, measured(100, map[load.Kind]int{load.Reset: 2}), 20, 800, 1, 1)
			},
			[]string{"2 of 102", "more", "0.01 of the best"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := example()
			c.change(r)
			missed := r.Check()
			if len(missed) != len(c.want) {
				t.Fatalf("Check says %q, want %d sentences", missed, len(c.want))
			}
			for i, want := range c.want {
				if !strings.Contains(missed[i], want) {
					t.Errorf("Check says %q, want %q", missed[i], want)
				}
			}
		})
	}
}

func TestFitFindsTheLineThatTheFiguresWereMadeFrom(t *testing.T) {
	fit, ok := example().BackendCost() // 31 MiB and 2 MiB each
	if !ok || fit.Rows != 4 || fit.Base < 30.9*mib || fit.Base > 31.1*mib || fit.Each < 1.99*mib || fit.Each > 2.01*mib {
		t.Errorf("fit %+v, %v; want 31 MiB and 2 MiB through 4 rows", fit, ok)
	}
	r := example()
	r.Walk = []Row{row(1000, Direct, measured(1, nil), 97, 100, 1, 0)}
	if fit, _ := r.BackendCost(); fit.Rows != 5 {
		t.Errorf("the walk's rows are left out: %+v", fit)
	}
	if _, ok := (&Report{}).BackendCost(); ok {
		t.Error("a line through nothing")
	}
}

func TestSavedReportCanBeReadAgain(t *testing.T) {
	dir := t.TempDir()
	r := example()
	r.Walk = []Row{row(1000, Direct, measured(1, nil), 97, 225, 1, 0)}
	if err := r.Save(dir); err != nil {
		t.Fatal(err)
	}
	if err := r.Save(dir); err != nil {
		t.Fatalf("over an older one: %v", err)
	}
	f, err := os.Open(filepath.Join(dir, JSONFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	again, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again, r) {
		t.Errorf("read\n%+v\nwant\n%+v", again, r)
	}
	for file, lines := range map[string]int{RowsFile: 6, SamplesFile: 11} {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll() // refuses rows of unequal length
		if err != nil || len(rows) != lines {
			t.Errorf("%s: %d lines, %v; want %d", file, len(rows), err, lines)
		}
	}
	left, _ := filepath.Glob(filepath.Join(dir, ".*"))
	if len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestReadRefusesWhatIsNoComparison(t *testing.T) {
	for _, text := range []string{"", "nonsense", "{}", `{"rows": 7}`} {
		if r, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("%q was read as %+v", text, r)
		}
	}
}

func TestFolderThatCannotBeWrittenIsToldBefore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := CheckFolder(filepath.Join(file, "below")); err == nil || !strings.Contains(err.Error(), "report's folder") {
		t.Errorf("CheckFolder: %v", err)
	}
}

func TestLoadIsPrintedWithFailuresApart(t *testing.T) {
	r := load.NewResult()
	r.Elapsed, r.Window = 3*time.Second, 2*time.Second
	for i := range 2000 {
		r.Record("/books/", "", time.Duration(i+1)*time.Millisecond, true)
	}
	for range 30 {
		r.Record("/authors/", "HTTP 503 53300", 2*time.Millisecond, true)
	}
	r.Record("/authors/", load.Reset, 3*time.Millisecond, true)
	var b strings.Builder
	if err := WriteLoad(&b, "GET http://x/: 10 clients", r.Summary()); err != nil {
		t.Fatal(err)
	}
	golden(t, "load.txt", b.String())
}

func TestNumbersForPeople(t *testing.T) {
	got := []string{
		count(0), count(999), count(1000), count(1234567),
		percent(0, 100), percent(1, 1000), percent(999, 1000), percent(1000, 1000), percent(0, 0),
		latency(0), latency(1.234), latency(1234), latency(12340), size(1 << 30), plural(1, "client"), plural(2, "process"),
	}
	want := []string{
		"0", "999", "1,000", "1,234,567", "0%", "<1%", ">99%", "100%", "0%", "-", "1.2 ms", "1234 ms", "12.3 s", "1,024 MiB",
		"1 client", "2 processes",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestJSONNamesAreStable(t *testing.T) {
	b, err := json.Marshal(example().Rows[3])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{`"clients":400`, `"way":"proxied"`, `"idle_in_transaction":0`, `"page_tables":10485760`, `"waiting":200`} {
		if !bytes.Contains(b, []byte(name)) {
			t.Errorf("%s is not in %s", name, b)
		}
	}
}
