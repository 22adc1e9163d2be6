package session

import (
	"testing"

	"weir/proxy/sqlscan"
)

func TestTagTellsWhatItPins(t *testing.T) {
	for tag, want := range map[string]Pins{
		"": 0, "SELECT 1": 0, "SELECT 0": 0, "BEGIN": 0, "COMMIT": 0, "ROLLBACK": 0, "INSERT 0 1": 0, "UPDATE 3": 0,
		"CREATE TABLE": 0, "DECLARE CURSOR": 0, "SET CONSTRAINTS": 0, "PREPARE TRANSACTION": 0, "DEALLOCATE": 0,
		"DISCARD TEMP": 0, "DISCARD PLANS": 0, "DISCARD SEQUENCES": 0, "UNLISTEN": 0, "COPY 5": 0, "DROP TABLE": 0,
		"SET": SettingChanged, "RESET": SettingChanged, "LISTEN": Listen, "LOAD": Load, "PREPARE": SQLPrepare,
		"DO": Opaque, "CALL": Opaque,
	} {
		if add, clearAll := FromTag([]byte(tag)); add != want || clearAll {
			t.Errorf("%s pins %v (all ended: %t), want %v", tag, add, clearAll, want)
		}
	}
	if add, clearAll := FromTag([]byte("DISCARD ALL")); add != 0 || !clearAll {
		t.Errorf("DISCARD ALL pins %v, ends all: %t", add, clearAll)
	}
}

func TestTagTellsWhatItEnds(t *testing.T) {
	for tag, want := range map[string]Pins{
		"DEALLOCATE ALL": SQLPrepare | PreparedStatement, "DEALLOCATE": 0, "CLOSE CURSOR ALL": HeldCursor,
		"CLOSE CURSOR": 0, "UNLISTEN": 0, "RESET": 0, "DISCARD TEMP": 0, "": 0,
	} {
		if got := EndedBy([]byte(tag)); got != want {
			t.Errorf("%s ends %v, want %v", tag, got, want)
		}
	}
}

func TestTextAndTagTogetherDecide(t *testing.T) {
	for _, c := range []struct {
		text, tag string
		want      Pins
	}{
		{"select 1", "SELECT 1", 0},
		{"create table t (a int)", "CREATE TABLE", 0},
		// The tag says too little.
		{"create temp table t (a int)", "CREATE TABLE", TempObject},
		{"select 1 into temp t", "SELECT 1", TempObject},
		{"select set_config('a.b', 'c', false)", "SELECT 1", SettingChanged},
		{"select pg_advisory_lock(1)", "SELECT 1", AdvisoryLock},
		{"select setseed(0.5)", "SELECT 1", Seed},
		{"declare c cursor with hold for select 1", "DECLARE CURSOR", HeldCursor},
		// The tag says too much.
		{"set local work_mem = 1", "SET", 0},
		{"set transaction read only", "SET", 0},
		{"begin; set local work_mem = 1; set transaction read only", "SET", 0},
		{"select set_config('a.b', 'c', true)", "SELECT 1", 0},
		// But not where any SET of the text lasts, or the text does not explain it.
		{"set local work_mem = 1; set work_mem = 1", "SET", SettingChanged},
		{"select 1", "SET", SettingChanged},
		{"set local a.b = 'c", "SET", SettingChanged | Opaque},
		{"set local a.b = 1", "RESET", SettingChanged},
		// The tag says what has happened, the text only what was wanted.
		{"select 1; listen a", "SELECT 1", 0},
		{"select 1; listen a", "LISTEN", Listen},
		{"prepare p as select 1; load 'x'; do 'y'", "PREPARE", SQLPrepare},
		{"begin; declare c cursor with hold for select 1", "BEGIN", 0},
		{"do 'x'", "DO", Opaque},
		{"call p()", "CALL", Opaque},
		{`select U&"a"`, "SELECT 1", Opaque},
		// A text seen only by its tag: EXECUTE answers with that of the statement.
		{"", "LISTEN", Listen},
	} {
		add, clearAll := Combine(sqlscan.Scan([]byte(c.text), 0), []byte(c.tag))
		if add != c.want || clearAll {
			t.Errorf("%q, %s: pins %v (all ended: %t), want %v", c.text, c.tag, add, clearAll, c.want)
		}
	}
	if add, clearAll := Combine(sqlscan.Discard|sqlscan.Opaque, []byte("DISCARD ALL")); add != 0 || !clearAll {
		t.Errorf("DISCARD ALL pins %v, ends all: %t", add, clearAll)
	}
}

func TestErrorKeepsWhatRollbackKeeps(t *testing.T) {
	for text, want := range map[string]Pins{
		"select pg_advisory_lock(1), 1/0":                     AdvisoryLock,
		"select setseed(0.5), 1/0":                            Seed,
		"select dblink_connect('a', 'b'), 1/0":                Process,
		"do 'x'":                                              Opaque,
		"select 'x":                                           Opaque,
		"set work_mem = 1; select 1/0":                        0,
		"select set_config('a.b', 'c', false), 1/0":           0,
		"create temp table t (a int); listen x; select 1 / 0": 0,
	} {
		if got := FromError(sqlscan.Scan([]byte(text), 0)); got != want {
			t.Errorf("%q pins %v after an error, want %v", text, got, want)
		}
	}
}

func TestEveryEffectIsDecided(t *testing.T) {
	// What ends with its transaction, or ends something, pins nothing.
	const clean = sqlscan.SetLocal | sqlscan.SetTransaction | sqlscan.SetConfigLocal | sqlscan.Unlisten | sqlscan.AdvisoryUnlock |
		sqlscan.Deallocate | sqlscan.Execute | sqlscan.Discard | sqlscan.TransactionBlock | sqlscan.Databases | sqlscan.Sequences | sqlscan.Notify
	for e := sqlscan.Effects(1); e <= sqlscan.Process; e <<= 1 {
		if pins := FromEffects(e); (pins == 0) != (clean&e != 0) {
			t.Errorf("%v pins %v", e, pins)
		}
	}
}

func TestPinsPrintTheirReasons(t *testing.T) {
	if got := (AdvisoryLock | PreparedStatement).String(); got != "prepared statement, advisory lock" {
		t.Error(got)
	}
	if got := Pins(0).String(); got != "none" {
		t.Error(got)
	}
	if all := Process<<1 - 1; 1<<len(pinNames)-1 != all {
		t.Errorf("%d names for the pins %b", len(pinNames), all)
	}
}

func TestRulesDoNotAllocate(t *testing.T) {
	tag := []byte("DECLARE CURSOR")
	var pins Pins
	if n := testing.AllocsPerRun(100, func() {
		add, _ := Combine(sqlscan.HoldCursor, tag)
		pins |= add | EndedBy(tag) | FromError(sqlscan.HoldCursor)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCombine(b *testing.B) {
	for _, tag := range []string{"SELECT 1", "SET", "COMMIT"} {
		b.Run(tag, func(b *testing.B) {
			t := []byte(tag)
			for b.Loop() {
				Combine(0, t)
			}
		})
	}
}
