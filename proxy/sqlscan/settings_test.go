package sqlscan

import (
	"runtime"
	"slices"
	"strings"
	"testing"
)

// settings writes what Settings finds as the table does.
func settings(text string, mode Mode) string {
	var out []string
	read := Settings([]byte(text), mode, func(u SettingUse) bool {
		s := map[SettingKind]string{
			SetValue: "set", SetDefault: "default", ResetAll: "reset-all", DiscardAll: "discard-all", SetForTransaction: "transaction",
			Begin: "begin", Commit: "commit", Rollback: "rollback", Savepoint: "savepoint", RollbackTo: "rollback-to",
			Release: "release", PrepareTransaction: "prepare-transaction", FinishPrepared: "finish-prepared",
		}[u.Kind]
		if u.Local {
			s = "local-" + s
		}
		if u.Name != "" {
			s += " " + u.Name
		}
		switch {
		case u.NotLiteral:
			s += "?"
		case u.Kind == SetValue:
			s += "=" + u.Value
		case u.Chain:
			s += " chain"
		}
		out = append(out, s)
		return true
	})
	if !read {
		out = append(out, "unread")
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, "; ")
}

func TestSettingsAreThoseOfTheTable(t *testing.T) {
	for _, e := range examples(t, "settings") {
		if got := settings(e.sql, e.mode); got != e.want {
			t.Errorf("%s: %q: %s, want %s", e.at, e.sql, got, e.want)
		}
	}
}

func TestSettingsStandWhereTheySay(t *testing.T) {
	const text = " /* a */ reset work_mem -- b\n ; select 1; SET LOCAL a.b = 'x'/* c */;begin; reset all;set time zone local"
	want := []string{"reset work_mem", "SET LOCAL a.b = 'x'", "reset all", "set time zone local"}
	var got []string
	Settings([]byte(text), 0, func(u SettingUse) bool {
		if u.Kind == SetValue || u.Kind == SetDefault || u.Kind == ResetAll {
			got = append(got, text[u.From:u.To])
		}
		return true
	})
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestSettingsStopWhenTheirCallerDoes(t *testing.T) {
	n := 0
	if Settings([]byte("set a.a = 1; set a.b = 1; reset a.a"), 0, func(SettingUse) bool { n++; return n < 2 }) || n != 2 {
		t.Errorf("%d settings", n)
	}
}

// TestLongTextTakesWorkInProportion counts what is allocated, which is where
// work that grows with the square of a text's length would show.
func TestLongTextTakesWorkInProportion(t *testing.T) {
	for _, part := range []string{"a.", "a,", "'a',", "'a'\n", "1,", "a = 1; set a."} {
		allocated := func(n int) uint64 {
			text := []byte("set a." + strings.Repeat(part, n) + "a = a")
			if strings.ContainsAny(part, ",\n") {
				text = []byte("set a.a = " + strings.Repeat(part, n) + "'a'")
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			Settings(text, 0, func(SettingUse) bool { return true })
			runtime.ReadMemStats(&after)
			return after.TotalAlloc - before.TotalAlloc
		}
		if small, large := allocated(200), allocated(2000); large > 20*small+10_000 {
			t.Errorf("%q: %d bytes for 200, %d for 2000", part, small, large)
		}
	}
}

func TestExitsTransactionAsInTheTable(t *testing.T) {
	for _, e := range examples(t, "exits") {
		want := map[string]bool{"exits": true, "stays": false}[e.want]
		text := []byte(e.sql)
		if got := ExitsTransaction(text, e.mode); got != want {
			t.Errorf("%s: %q: %t", e.at, e.sql, got)
		}
		if n := testing.AllocsPerRun(3, func() { ExitsTransaction(text, e.mode) }); n != 0 && e.mode <= BackslashStrings {
			t.Errorf("%s: %q: %v allocations", e.at, e.sql, n)
		}
	}
}

func TestBeginsTransactionIsOneStatement(t *testing.T) {
	for text, want := range map[string]bool{
		"BEGIN": true, "begin;": true, " Begin work ; ": true, "START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY": true, "BEGIN /* by a driver */": true,
		"": false, "select 1": false, "begin; select 1": false, "start_work()": false, "beginning": false, "COMMIT": false, "start": false,
	} {
		if got := BeginsTransaction([]byte(text), 0); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}
