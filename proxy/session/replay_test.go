package session

import (
	"strings"
	"testing"
)

func TestSwitchIsOneStatementInASafeOrder(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to []string
		want     string // set_config shortened to name=value, or name for a reset
	}{
		{"the same", []string{"a", "1"}, []string{"a", "1"}, ""},
		{"from the base", nil, []string{"b", "2", "a", "1"}, "a=1 b=2"},
		{"to the base", []string{"b", "2", "a", "1"}, nil, "a b"},
		{"only the difference", []string{"a", "1", "b", "2", "c", "3"}, []string{"b", "2", "c", "4", "d", "5"}, "a c=4 d=5"},
		{"DateStyle begins anew", []string{"datestyle", "SQL, DMY"}, []string{"datestyle", "ISO"}, "datestyle datestyle=ISO"},
		{"a role comes last", nil, []string{"role", "r", "work_mem", "1", "zero", "0"}, "work_mem=1 zero=0 role=r"},
		{"a role goes first", []string{"role", "r", "app.a", "1"}, []string{"app.a", "2"}, "role app.a=2"},
		{"the same role steps aside", []string{"role", "r", "a", "1"}, []string{"role", "r", "a", "2"}, "role a=2 role=r"},
		{
			"the authorization that was set comes after the settings, and ends the role",
			[]string{"session authorization", "u", "role", "r"},
			[]string{"session authorization", "v", "role", "q"},
			"role session_authorization session_authorization=v role=q",
		},
		{
			"the authorization is tried, and taken back, before the role",
			[]string{"session_authorization", "u", "role", "r"},
			[]string{"session_authorization", "v", "role", "q"},
			"role session_authorization=v session_authorization role=q",
		},
	} {
		var table Table
		from, to := mustIntern(t, &table, c.from...), mustIntern(t, &table, c.to...)
		sql := string(AppendSwitch([]byte("-"), from, to))
		short := strings.NewReplacer("-SELECT ", "", "pg_catalog.set_config(E'", "", "',E'", "=", "',NULL,false) IS NULL", "", "',false)", "", ",", " ").Replace(sql)
		if short = strings.TrimPrefix(short, "-"); short != c.want {
			t.Errorf("%s: %s, want %s", c.name, short, c.want)
		}
		if n := strings.Count(sql, "SELECT "); c.want != "" && n != 1 || strings.Contains(sql, ";") {
			t.Errorf("%s: not one statement: %s", c.name, sql)
		}
	}
}

func TestSwitchIsPrintableASCII(t *testing.T) {
	var all []byte
	for c := 1; c < 256; c++ {
		all = append(all, byte(c))
	}
	var table Table
	sql := AppendSwitch(nil, nil, mustIntern(t, &table, "a.b", string(all), string(all[1:]), `x`))
	for _, c := range sql {
		if c < ' ' || c > '~' {
			t.Errorf("the statement holds the byte %#x", c)
		}
	}
	// A quote only ends a literal; inside it is doubled, and no backslash stands before it.
	if strings.Contains(string(sql), `\'`) {
		t.Errorf("a quote behind a backslash: %s", sql)
	}
}

func TestSwitchDoesNotAllocate(t *testing.T) {
	var table Table
	from := mustIntern(t, &table, "application_name", "a", "datestyle", "ISO", "role", "r")
	to := mustIntern(t, &table, "application_name", "b", "timezone", "UTC")
	buf := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { buf = AppendSwitch(buf[:0], from, to) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
