package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSectionIsReplacedAndTheRestKept(t *testing.T) {
	page := "# Performance\n\nby hand\n\n" + beginMark("cpu") + "\nold\n" + endMark("cpu") + "\n\nby hand, too\n"
	got, err := replaceSection(page, "cpu", "new\n")
	want := strings.Replace(page, "old", "new", 1)
	if err != nil || got != want {
		t.Errorf("err = %v, page:\n%s\nwant:\n%s", err, got, want)
	}
	again, err := replaceSection(got, "cpu", "new\n")
	if err != nil || again != got {
		t.Errorf("a second run with the same figures changed the page: %v\n%s", err, again)
	}
}

func TestMissingSectionIsAppended(t *testing.T) {
	got, err := replaceSection("# Performance\n", "idle", "table\n")
	want := "# Performance\n\n" + beginMark("idle") + "\ntable\n" + endMark("idle") + "\n"
	if err != nil || got != want {
		t.Errorf("err = %v, page:\n%s\nwant:\n%s", err, got, want)
	}
}

func TestPageWithBrokenMarksIsRefused(t *testing.T) {
	for _, page := range []string{beginMark("cpu"), endMark("cpu"), endMark("cpu") + beginMark("cpu")} {
		if got, err := replaceSection(page, "cpu", "new\n"); err == nil {
			t.Errorf("page %q became %q", page, got)
		}
	}
}

func TestDocIsMadeAndRefreshedSectionBySection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "performance.md")
	r := Report{Command: "go run ./cmd/weirbench cpu", Date: time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC), Machine: Machine{Cores: 2, CPU: "X"}}
	for _, suite := range []string{"cpu", "idle", "cpu"} {
		r.Results = []Result{{Suite: suite, Title: "Title of " + suite, Table: Table{Columns: []string{"a", "b"}, Rows: [][]string{{"1", "x|y"}}}}}
		if err := r.WriteDoc(path); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	for _, want := range []string{"# Performance\n", "## Title of cpu\n", "## Title of idle\n", "go run ./cmd/weirbench cpu\n", "2026-11-25. 2 cores, X", "| a | b |\n| --- | --- |\n| 1 | x\\|y |\n"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	if n := strings.Count(page, "## Title of cpu"); n != 1 {
		t.Errorf("the cpu section stands %d times in\n%s", n, page)
	}
}

func TestCommandLineShowsNoPaths(t *testing.T) {
	got := CommandLine([]string{"cpu", "--pgbouncer", "/opt/rival/pgbouncer", "--weir=/home/me/weir", "-c", "8,64", "--query=select 1"})
	want := "go run ./cmd/weirbench cpu --pgbouncer pgbouncer --weir=weir -c 8,64 '--query=select 1'"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestGoalsAreJudged(t *testing.T) {
	atMost, atLeast := &goal{bound: 0.9, format: "%.2f"}, &goal{bound: 0.99, atLeast: true, format: "%.2f"}
	for _, c := range []struct {
		goal   *goal
		figure float64
		want   string
	}{
		{atMost, 0.9, "≤ 0.90 met"},
		{atMost, 0.91, "≤ 0.90 missed"},
		{atLeast, 0.995, "≥ 0.99 met"},
		{atLeast, 0.98, "≥ 0.99 missed"},
		{nil, 1, ""},
	} {
		if got := c.goal.verdict(c.figure); got != c.want {
			t.Errorf("verdict of %v on %+v = %q, want %q", c.figure, c.goal, got, c.want)
		}
	}
}

// TestGoalsOfCPUTime: each mode has its own, and the suites' default loads all have one.
func TestGoalsOfCPUTime(t *testing.T) {
	for _, c := range []struct {
		mode    string
		clients int
		tls     bool
		want    string // of a ratio of 0.85
	}{
		{"simple", 8, false, "≤ 1.10 met"},
		{"simple", 64, false, "≤ 0.90 met"},
		{"simple", 256, false, "≤ 0.90 met"},
		{"prepared", 64, false, "≤ 0.80 missed"},
		{"pipeline", 64, false, "≤ 0.40 missed"},
		{"prepared", 8, false, ""},
		{"simple", 64, true, "≤ 1.00 met"},
		{"prepared", 64, true, "≤ 1.00 met"},
	} {
		l := &Lab{TLS: c.tls}
		if got := l.cpuGoal(c.mode, c.clients).verdict(0.85); got != c.want {
			t.Errorf("%s with %d clients, TLS %t: %q, want %q", c.mode, c.clients, c.tls, got, c.want)
		}
	}
}

func TestFiguresWithTLSStandBesideThoseWithout(t *testing.T) {
	path := filepath.Join(t.TempDir(), "performance.md")
	plain := Result{Suite: "cpu", Title: "CPU time", Table: Table{Columns: []string{"plain"}}}
	secret := plain.OverTLS()
	secret.Table = Table{Columns: []string{"encrypted"}}
	for _, r := range []Result{plain, secret} {
		if err := (Report{Results: []Result{r}}).WriteDoc(path); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"## CPU time\n", "| plain |", "## CPU time, with TLS\n", "| encrypted |", beginMark("cpu"), beginMark("cpu-tls")} {
		if strings.Count(string(page), want) != 1 {
			t.Errorf("not once %q in\n%s", want, page)
		}
	}
}

func TestCPUTableComparesWithTheRival(t *testing.T) {
	l := &Lab{Programs: []Program{{Name: "weir", Kind: Weir}, {Name: "pgbouncer", Kind: PgBouncer}}}
	cell := CPUCell{Mode: "simple", Clients: 64, Rounds: map[string][]CPUSample{
		"weir":      {{MicrosPerTransaction: 8}, {MicrosPerTransaction: 9}, {MicrosPerTransaction: 8.5}},
		"pgbouncer": {{MicrosPerTransaction: 10}, {MicrosPerTransaction: 10}, {MicrosPerTransaction: 10}},
	}, Calls: map[string]CallCount{"weir": {PerTransaction: 4.11}}}
	cell.Ratios = ratios(l, cell.Rounds, func(s CPUSample) float64 { return s.MicrosPerTransaction })
	rows := l.cpuTable([]CPUCell{cell}, l.cpuGoal).Rows
	if got, want := strings.Join(rows[0], ","), "simple,64,weir,8.5,0.85 (0.80-0.90),≤ 0.90 met,0,4.1"; got != want {
		t.Errorf("weir's row is %s, want %s", got, want)
	}
	if got, want := strings.Join(rows[1], ","), "simple,64,pgbouncer,10.0,,,0,"; got != want {
		t.Errorf("the rival's row is %s, want %s", got, want)
	}
}
