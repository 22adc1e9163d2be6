package dial

import (
	"slices"
	"strings"
	"testing"

	"weir/proxy/session"
)

// What a connect_query sets at its beginning are settings of the login, and the rest is run as it stands.
func TestConnectQueryBeginsWithSettings(t *testing.T) {
	set := func(names ...string) (settings []session.Setting) {
		for _, s := range names {
			name, value, _ := strings.Cut(s, "=")
			settings = append(settings, session.Setting{Name: name, Value: value})
		}
		return settings
	}
	for query, want := range map[string]struct {
		settings []session.Setting
		rest     string
	}{
		"":                               {},
		"select 1":                       {rest: "select 1"},
		"SET search_path = a, b":         {settings: set("search_path=a, b")},
		"set statement_timeout to '9s';": {settings: set("statement_timeout=9s")},
		"/* x */ set work_mem = '1MB' -- y\n; ;SET SESSION app.tenant = 'it''s'; select f(); set work_mem = '2MB'": {
			settings: set("work_mem=1MB", "app.tenant=it's"), rest: "select f(); set work_mem = '2MB'",
		},
		"set work_mem = 1; set work_mem = 2; set time zone 'UTC'": {settings: set("work_mem=2", "timezone=UTC")},
		"set role app": {settings: set("role=app")},
		// What a login cannot ask for, or is not known to the letter, ends the beginning.
		"set work_mem = 1; set session authorization app; set jit = off": {settings: set("work_mem=1"), rest: "set session authorization app; set jit = off"},
		"set local work_mem = 1":                               {rest: "set local work_mem = 1"},
		"set work_mem = default; set jit = off":                {rest: "set work_mem = default; set jit = off"},
		"set session characteristics as transaction read only": {rest: "set session characteristics as transaction read only"},
		"begin; set work_mem = 1; commit":                      {rest: "begin; set work_mem = 1; commit"},
		`set app.x = 'a\b'`:                                    {rest: `set app.x = 'a\b'`},
		"set app.x = 'a":                                       {rest: "set app.x = 'a"},
		"set app.x = f(1)":                                     {rest: "set app.x = f(1)"},
	} {
		if settings, rest := splitConnectQuery(query); !slices.Equal(settings, want.settings) || rest != want.rest {
			t.Errorf("%s: got %q and %q, want %q and %q", query, settings, rest, want.settings, want.rest)
		}
	}
	long := "set app.x = '" + strings.Repeat("x", splitMax) + "'"
	if settings, rest := splitConnectQuery(long); settings != nil || rest != long {
		t.Errorf("a long one was parted into %d settings and %d bytes", len(settings), len(rest))
	}
}

func TestSettingsOfTheConnectQueryWin(t *testing.T) {
	was := []session.Setting{{Name: "work_mem", Value: "1"}, {Name: "jit", Value: "on"}}
	got := under(was, session.Setting{Name: "JIT", Value: "off"})
	if want := []session.Setting{{Name: "work_mem", Value: "1"}, {Name: "JIT", Value: "off"}}; !slices.Equal(got, want) || was[1].Value != "on" {
		t.Errorf("got %v, want %v; before: %v", got, want, was)
	}
}
