package proxy_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestWhatAnyLengthOfTextLeavesIsItsClients: a text that weir only sees in parts, as they come, is asked about as any other.
func TestWhatAnyLengthOfTextLeavesIsItsClients(t *testing.T) {
	const seen = "select current_setting('work_mem') || ' ' || count(*) || ' ' || (random() = 0.9851677175347999) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
	for name, c := range map[string]struct{ text, is string }{
		"setting":         {"select sets(), '%'", "7MB 0 false"},
		"lock":            {"select locks(), '%'", "4MB 1 false"},
		"trigger":         {"insert into rows values ('%')", "7MB 1 false"},
		"text of another": {"select runs('set work_mem = ''9MB''', '%')", "9MB 0 false"},
		"seed":            {"select seeds(), '%'", "4MB 0 true"},
		"seed in DO":      {"do $$/*%*/begin perform seeds(); end$$", "4MB 0 true"},
		"seed in CALL":    {"/*%*/ call p()", "4MB 0 true"},
		"seed by another": {"select runs('select seeds()', '%')", "4MB 0 true"},
	} {
		for _, size := range []int{10, 100_000, 2_000_000} {
			t.Run(fmt.Sprintf("%s, %d", name, size), func(t *testing.T) {
				d := database(t)
				d.Exec(t, "create function sets() returns text language sql as $$select set_config('work_mem', '7MB', false)$$", "create function locks() returns void language sql as 'select pg_advisory_lock(7)'",
					"create function seeds() returns void language sql as 'select setseed(0.5)'", "create procedure p() language plpgsql as 'begin perform seeds(); end'",
					"create function runs(sql text, more text) returns void language plpgsql as 'begin execute sql; end'", "create table rows (a text)",
					"create function fires() returns trigger language plpgsql as 'begin perform sets(), locks(); return new; end'", "create trigger t before insert on rows for each row execute function fires()")
				w, client, elsewhere := pair(t, d)
				other := dial(t, w.Addr, d.Server.Superuser(), d.Name)
				for range 5 { // else what follows would be asked about
					client.Query(seen)
				}
				client.Query(strings.ReplaceAll(c.text, "%", strings.Repeat("x", size)))
				if got := other.Query(seen); got != "4MB 0 false" {
					t.Errorf("another client has %s", got)
				}
				if got := elsewhere(seen); got != c.is {
					t.Errorf("its client has %s, want %s", got, c.is)
				}
			})
		}
	}
}
