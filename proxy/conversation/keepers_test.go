package conversation

import "testing"

func TestTextsThatMakeUpTheNameOfASetting(t *testing.T) {
	for text, want := range map[string]bool{
		"perform set_config('app.' || x, v, false)":                             true,
		"perform set_config(name, v, false)":                                    true,
		"execute format('set app.%s = %L', a, b)":                               true,
		"execute format('SET SESSION %I.%I to %L', a, b, c)":                    true,
		"execute format('set %I.tenant = %L', a, b)":                            true,
		"execute format('set %s = %L', a, b)":                                   true,
		"execute 'set app.' || a || ' = 1'":                                     true,
		"execute 'set ' || a || ' = 1'":                                         true,
		"execute ('set ' || a)":                                                 true,
		"execute concat('set app.', a)":                                         true,
		"s := $q$ set app.$q$ || a":                                             true,
		"do 'begin execute ''set app.'' || ''x = 1''; end'":                     true,
		"perform set_config('app.x', v, false)":                                 false,
		"perform set_config(name, v, true)":                                     false,
		"execute format('set local app.%s = %L', a, b)":                         false,
		"execute 'set local app.' || a":                                         false,
		"execute format('set app.x = %L', b)":                                   false,
		"execute 'set app.x = ' || b":                                           false,
		"execute format('set role %I', a)":                                      false,
		"execute format('set search_path to %I, public', a)":                    false,
		"execute format('set session authorization %I', a)":                     false,
		"execute format('update %I set %I = $1', a, b)":                         false,
		"execute 'update t set a.' || b || ' = 1'":                              false,
		"s := 'update t ' || 'set ' || b || ' = 1'":                             false,
		"s := s || format(' set %I = %L', a, b)":                                false,
		"raise notice 'set %', a":                                               false,
		"insert into log values ('set off at ' || now()); update t set a = b.c": false,
	} {
		var none keepers
		if got := none.makesUp([]byte(text), 0); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}
