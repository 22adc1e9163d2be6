package proxy_test

import (
	"strings"
	"testing"
)

// TestSettingsThatCannotBeCarriedKeepTheirBackend: those that the pool's role may not set by itself, because another role or a function with the rights of
// its owner has set them, and more of them than weir carries. Whatever their client does next, they are with it, and with no other.
func TestSettingsThatCannotBeCarriedKeepTheirBackend(t *testing.T) {
	const (
		sets = "set log_min_duration_statement = 77"
		long = "set app.long = '%'"
	)
	type shown struct{ sql, is, otherwise, ends string }
	limit := shown{"show log_min_duration_statement", "77ms", "-1", "reset all"}
	value := shown{"select coalesce(left(current_setting('app.long', true), 4), '')", "xxxx", "", "reset all"}
	path := shown{"select sees()", "/own:$libdir", "$libdir", "discard all"} // the server does not show it to its client
	for name, c := range map[string]struct {
		makes string
		shown
	}{
		"function":                     {"select leaves()", limit},
		"function in DO":               {"do 'begin perform leaves(); end'", limit},
		"procedure":                    {"call leaves_it()", limit},
		"trigger":                      {"insert into rows values (1)", limit},
		"role":                         {"set role uncarried_all; " + sets + "; reset role", limit},
		"role that stays":              {"set role uncarried_all; " + sets, limit},
		"role of a transaction":        {"begin; set local role uncarried_all; " + sets + "; commit", limit},
		"set_config in a role":         {"set role uncarried_all; select set_config('log_min_duration_statement', '77', false); reset role", limit},
		"unshown, by set_config":       {"set role uncarried_all; select set_config('dynamic_library_path', '/own:$libdir', false); reset role", path},
		"unshown, by a role in DO":     {"set role uncarried_all; do $$begin set dynamic_library_path = '/own:$libdir'; end$$; reset role", path},
		"unshown, by set_config in DO": {"set role uncarried_all; do $$begin perform set_config('dynamic_library_path', '/own:$libdir', false); end$$; reset role", path},
		"setting of a library":         {"set role uncarried_all; set auto_explain.log_min_duration = 77", shown{"show auto_explain.log_min_duration", "77ms", "-1", "reset all"}},
		"unshown":                      {"select leaves_path()", path},
		"unshown, by a role":           {"set role uncarried_all; set dynamic_library_path = '/own:$libdir'; reset role", path},
		"unshown, in DO":               {"do 'begin perform leaves_path(); end'", path},
		"unshown, in a text to run":    {"select does('set dynamic_library_path = ''/own:$libdir''')", path},
		"long value":                   {long, value},
		"long value beside":            {"set work_mem = '7MB'; " + long, value},
		"long value in DO":             {"do $$begin " + long + "; end$$", value},
	} {
		makes := strings.ReplaceAll(c.makes, "%", strings.Repeat("x", 9000))
		t.Run(name, func(t *testing.T) {
			d := database(t)
			d.Exec(t, "create role uncarried login", "alter role uncarried set session_preload_libraries = 'auto_explain'", "create role uncarried_all superuser", "grant uncarried_all to uncarried",
				"create function leaves() returns void language plpgsql security definer as $$begin "+sets+"; end$$",
				"create function leaves_path() returns void language plpgsql security definer as $$begin set dynamic_library_path = '/own:$libdir'; end$$",
				"create function does(sql text) returns void language plpgsql security definer as 'begin execute sql; end'",
				"create function sees() returns text language sql security definer as $$select current_setting('dynamic_library_path')$$",
				"create procedure leaves_it() language plpgsql security definer as $$begin "+sets+"; end$$",
				"create function fires() returns trigger language plpgsql security definer as $$begin "+sets+"; return new; end$$",
				"create table rows (n int)", "grant all on rows to public", "create trigger fires before insert on rows for each row execute function fires()")
			t.Cleanup(func() {
				d.Exec(t, "drop owned by uncarried", "drop role uncarried, uncarried_all")
			})
			w := start(t, d, "[pool]\npool_size = 2\nsession_audit = \"learn\"\n")
			its, other := dial(t, w.Addr, "uncarried", d.Name), dial(t, w.Addr, "uncarried", d.Name)
			its.Query(makes)
			for _, next := range []string{
				"select 1", "select 1", "set work_mem = '5MB'", "select set_config('work_mem', '6MB', false)", "do 'begin end'", "begin; set work_mem = '5MB'; rollback",
				"select pg_advisory_lock(1), pg_advisory_unlock(1)", "create temp table own (); drop table own", "reset work_mem", "select 1",
			} {
				its.Query(next)
				other.Query("begin")
				if got := other.Query(c.sql); got != c.otherwise {
					t.Errorf("after %s: another client has %q", next, got)
				}
				if got := its.Query(c.sql); got != c.is {
					t.Errorf("after %s: its client has %q", next, got)
				}
				other.Query("commit")
			}
			its.Query(c.ends)
			if got := its.Query(c.sql); got != c.otherwise {
				t.Errorf("after %s: %q", c.ends, got)
			}
			expectPool(t, w, "pinned no more", unpinned)
			its.Query(makes)
			its.Terminate()
			third := dial(t, w.Addr, "uncarried", d.Name)
			other.Query("begin")
			for _, o := range []*wireClient{other, third} {
				if got := o.Query(c.sql); got != c.otherwise {
					t.Errorf("after its client has left another has %q", got)
				}
			}
		})
	}
}

// TestWhatALibraryDefinesIsNotTheSessions: a setting with a dot in its name may be in PostgreSQL's list, with a value that no session has given it, and that
// the pool's role may not set.
func TestWhatALibraryDefinesIsNotTheSessions(t *testing.T) {
	d := database(t)
	d.Exec(t, "create role uncarried login", "alter role uncarried set session_preload_libraries = 'auto_explain'")
	t.Cleanup(func() { d.Exec(t, "drop role uncarried") })
	w := start(t, d, "[pool]\npool_size = 1\nsession_audit = \"learn\"\n")
	c, other := dial(t, w.Addr, "uncarried", d.Name), dial(t, w.Addr, "uncarried", d.Name)
	for range 3 {
		c.Query("do $$begin set auto_explain.log_min_duration = 77; exception when insufficient_privilege then set work_mem = '5MB'; end$$")
		if got := other.Query("show work_mem"); got != "4MB" {
			t.Errorf("another client has work_mem = %s", got)
		}
		if got := c.Query("show work_mem"); got != "5MB" {
			t.Errorf("its client has work_mem = %s", got)
		}
	}
	expectPool(t, w, "pinned", unpinned)
}
