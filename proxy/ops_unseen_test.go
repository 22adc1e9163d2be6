package proxy_test

import (
	"fmt"
	"strings"
	"testing"

	"weir/internal/pgserver"
)

// pair starts weir with two backends and returns a client whose every request a backend of its own takes that it has not had before, as far as
// it is free to: elsewhere has another client take the last one meanwhile.
func pair(t *testing.T, d *pgserver.Database) (w *weirUnderTest, c *wireClient, elsewhere func(sql string) string) {
	t.Helper()
	w = start(t, d, "[pool]\npool_size = 2\nsession_audit = \"learn\"\n")
	c, other := dial(t, w.Addr, d.Server.Superuser(), d.Name), dial(t, w.Addr, d.Server.Superuser(), d.Name)
	return w, c, func(sql string) string {
		t.Helper()
		other.Query("begin")
		defer other.Query("commit")
		return c.Query(sql)
	}
}

// hasSeed makes a function that has the seed set for it. PostgreSQL refuses that from 16 on: there it sets it itself.
const hasSeed = `do $do$begin
	create function has_it() returns void language sql set seed = 0.25 as 'select';
exception when feature_not_supported then
	create function has_it() returns void language sql as 'select setseed(0.25)';
end$do$`

// TestEmptyCustomSettingsFollow: that a setting is empty is a value, too, without which current_setting fails.
func TestEmptyCustomSettingsFollow(t *testing.T) {
	for name, set := range map[string]string{
		"set":        "set app.%s = ''",
		"set beside": "set app.%s = ''; set app.b to E'a\\nb'",
		"set_config": "select set_config('app.%s', '', false)",
	} {
		t.Run(name, func(t *testing.T) {
			d := database(t)
			_, c, elsewhere := pair(t, d)
			c.Query(fmt.Sprintf(set, "a"))
			if got := elsewhere("select 'it is ' || current_setting('app.a')"); got != "it is " {
				t.Errorf("on another backend: %q", got)
			}
		})
	}
}

// TestSettingsThatAreNamedInDataFollow: of settings whose names no text says only those can be seen that are in PostgreSQL's list. A parameter is a name
// where it stands alone in the place of one.
func TestSettingsThatAreNamedInDataFollow(t *testing.T) {
	long := "app." + strings.Repeat("n", 70)
	for name, c := range map[string]struct {
		lines []string
		read  string
	}{
		"rows":                    {simple("select count(set_config(k, v, false)) from (values ('work_mem', '5MB'), ('app.named', 'five')) as t(k, v)"), "app.named"},
		"parameter":               {alone("select set_config($1, $2, false)", "App.Named", "five"), "app.named"},
		"parameter with its type": {alone("select set_config ($2 :: text, $1, false)", "five", "app.named"), "app.named"},
		"longer than a name":      {alone("select set_config($1, $2, false)", long, "five"), long},
		"with a dollar":           {alone("select set_config($1, $2, false)", "app.a$b", "five"), "app.a$b"},
		"part of a name":          {alone("select set_config('app.' || $1, $2, false)", "named", "five"), "app.named"},
		"name of a row":           {alone("select set_config('app.' || relname, $1, false) from pg_class where relname = $2", "five", "pg_class"), "app.pg_class"},
		"one of two":              {alone("select set_config('app.b', 'x', false), set_config(lower($1), $2, false)", "APP.NAMED", "five"), "app.named"},
	} {
		t.Run(name, func(t *testing.T) {
			d := database(t)
			_, c0, elsewhere := pair(t, d)
			for range 5 { // and a statement that is known
				c0.say(c.lines)
			}
			if got := elsewhere("select current_setting('" + c.read + "', true)"); got != "five" {
				t.Errorf("then it is %q", got)
			}
		})
	}
}

// TestCustomSettingsFollowWhateverStandsBeside: no list has them, so they are asked for by the names that texts have for them, also where any setting may
// have been changed. Nothing has named any before.
func TestCustomSettingsFollowWhateverStandsBeside(t *testing.T) {
	many := "set app.new = 'é'"
	for i := range 20 {
		many += fmt.Sprintf("; set app.n%d = 'é'", i)
	}
	for name, sql := range map[string]string{
		"not ASCII":             "set app.new = 'é'",
		"more than a few":       many,
		"rolled back in part":   "begin; savepoint a; set app.new = 'é'; release a; savepoint b; rollback to b; commit",
		"another way to set":    "begin; select set_config('work_mem', '5MB', false); set app.new = 'é'; commit",
		"temporary table":       "set app.new = 'é'; create temp table own (); drop table own",
		"lock":                  "select pg_advisory_lock(1); set app.new to 'é'; select pg_advisory_unlock(1)",
		"DO":                    "set app.new = 'é'; do 'begin end'",
		"in DO, quoted":         `do $$begin set "app".new = 'é'; end$$`,
		"DO that fails":         "do $$begin perform set_config('app.new', 'é', false); commit; perform 1/0; end$$",
		"escapes":               `set U&"app.n\0065w" = 'é'`,
		"argument that is true": "do $$declare n text := 'app.new'; l bool; begin perform set_config(n, 'é', coalesce(l, false)); end$$",
		"long":                  "set app.new = 'é'; select 1 -- " + strings.Repeat("x", 20<<10),
	} {
		t.Run(name, func(t *testing.T) {
			d := database(t)
			_, c, elsewhere := pair(t, d)
			c.say(simple(sql))
			if got := elsewhere("select current_setting('app.new', true)"); got != "é" {
				t.Errorf("then it is %q", got)
			}
		})
	}
	t.Run("name not ASCII", func(t *testing.T) {
		d := database(t)
		_, c, elsewhere := pair(t, d)
		c.Query("set app.größe = 'x'")
		if got := elsewhere("select current_setting('app.größe', true)"); got != "x" {
			t.Errorf("then it is %q", got)
		}
	})
}

// TestWhatABindRunsIsItsClients: a domain looks at a parameter, and a plan is made, before the statement is run, and where it never is.
func TestWhatABindRunsIsItsClients(t *testing.T) {
	for name, lines := range map[string][]string{
		"domain":    {`Parse {"Query":"select $1::dom"}`, `Bind {"Parameters":[{"text":"10"}]}`, "Sync"},
		"immutable": {`Parse {"Query":"select f(10)"}`, "Bind", `Describe {"ObjectType":"P"}`, "Sync"},
	} {
		for _, times := range []int{0, 5} {
			t.Run(fmt.Sprintf("%s after %d", name, times), func(t *testing.T) {
				d := database(t)
				d.Exec(t, "create function f(n int) returns int immutable language plpgsql as $$begin if n > 9 then perform set_config('work_mem', '9MB', false); end if; return n; end$$",
					"create domain dom as int check (f(value) > 0)")
				w, c, elsewhere := pair(t, d)
				for range times {
					c.say(alone("select $1::dom", "1"))
					c.Query("select f(1)")
				}
				c.say(lines)
				if got := dial(t, w.Addr, d.Server.Superuser(), d.Name).Query("show work_mem"); got != "4MB" {
					t.Errorf("another client has %s", got)
				}
				if got := elsewhere("show work_mem"); got != "9MB" {
					t.Errorf("its client has %s", got)
				}
			})
		}
	}
}

// alone is a statement of the extended protocol that nothing follows.
func alone(sql string, values ...string) []string { return append(extended(sql, values...), "Sync") }

func simple(sql string) []string { return []string{query(sql)} }

// say sends messages and reads what they are answered with, up to the first ReadyForQuery.
func (c *wireClient) say(lines []string) {
	c.t.Helper()
	p, err := parseMessages(strings.Join(lines, "\n"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.SendBytes(p)
	c.Answer()
}

// TestSeedIsItsClients: the seed of random() can be set as a setting, which is in no list and which nothing takes back.
func TestSeedIsItsClients(t *testing.T) {
	for name, seed := range map[string]string{
		"set": "set seed = 0.25", "local": "begin; set local seed to 0.25; commit", "rolled back": "begin; set seed = 0.25; rollback",
		"set_config": "select set_config('seed', '0.25', false)", "set_config, local": "select set_config('seed', '0.25', true)",
		"DO": "do $$begin perform setseed(0.25); end$$", "SET in DO": "do $$begin set local seed = 0.25; end$$", "function": "select seeds()",
		"function of functions": "select calls_it()", "clause of a function": "select has_it()",
		// before it is known what the functions do:
		"function in DO": "do $$begin perform seeds(); end$$", "function in CALL": "call calls_it_too()", "text for a function": "select runs('select seeds()')",
		"function far behind": "select length('" + strings.Repeat("x", 1000) + "'), seeds()", "function in a long text": "select length('" + strings.Repeat("x", 100_000) + "'), seeds()",
		"function in a long DO": "do $$/*" + strings.Repeat("x", 100_000) + "*/begin perform seeds(); end$$", "function in a very long text": "select length('" + strings.Repeat("x", 2_000_000) + "'), seeds()",
	} {
		t.Run(name, func(t *testing.T) {
			d := database(t)
			d.Exec(t, "create function seeds() returns void language sql as 'select setseed(0.25)'",
				"create function calls_it() returns void language plpgsql as 'begin perform public.Seeds(); end'", "create procedure calls_it_too() language plpgsql as 'begin perform seeds(); end'",
				"create function runs(sql text) returns void language plpgsql as 'begin execute sql; end'",
				hasSeed)
			const draw = "select string_agg(random()::text, ' ') from generate_series(1, 5)"
			self := dial(t, d.Server.Addr(), d.Server.Superuser(), d.Name)
			self.Query(seed)
			want := self.Query(draw)
			w, c, elsewhere := pair(t, d)
			c.Query(seed)
			if got := elsewhere(draw); got != want {
				t.Errorf("its client drew %s, want %s", got, want)
			}
			c.Query(seed)
			c.Terminate()
			for range 3 {
				if got := dial(t, w.Addr, d.Server.Superuser(), d.Name).Query(draw); got == want {
					t.Error("another client drew the same numbers")
				}
			}
		})
	}
}

// TestWhatAFunctionCallLeavesIsItsClients: the message names its function by a number, of which nobody knows what it does.
func TestWhatAFunctionCallLeavesIsItsClients(t *testing.T) {
	d := database(t)
	const draw = "select string_agg(random()::text, ' ') from generate_series(1, 5)"
	self := dial(t, d.Server.Addr(), d.Server.Superuser(), d.Name)
	self.Query("select setseed(0.25)")
	want := self.Query(draw)
	w, c, elsewhere := pair(t, d)
	setseed, err := parseMessages(`FunctionCall {"Function":1599,"Arguments":["0.25"]}`)
	if err != nil {
		t.Fatal(err)
	}
	c.SendBytes(setseed)
	if a := c.Answer(); a.Err() != nil {
		t.Fatal(a.Err())
	}
	if got := elsewhere(draw); got != want {
		t.Errorf("its client drew %s, want %s", got, want)
	}
	c.SendBytes(setseed)
	c.Answer()
	c.Terminate()
	for range 3 {
		if got := dial(t, w.Addr, d.Server.Superuser(), d.Name).Query(draw); got == want {
			t.Error("another client drew the same numbers")
		}
	}
}

// TestTemporarySlotsAreTheirClients: what a server's process keeps beside what PostgreSQL calls the session's state ends with the client.
func TestTemporarySlotsAreTheirClients(t *testing.T) {
	d := database(t)
	const slots = "select count(*) from pg_replication_slots where slot_name = 'unseen'"
	_, c, elsewhere := pair(t, d)
	c.Query("select slot_name from pg_create_physical_replication_slot('unseen', false, true)")
	if got := elsewhere("select active_pid = pg_backend_pid() from pg_replication_slots where slot_name = 'unseen'"); got != "t" {
		t.Errorf("the client's temporary slot is its own: %q", got)
	}
	c.Terminate()
	self := dial(t, d.Server.Addr(), d.Server.Superuser(), d.Name)
	eventually(t, func() string {
		if n := self.Query(slots); n != "0" {
			return "the slot outlives its client"
		}
		return ""
	})
}

// TestConnectionsOfDblinkAreTheirClients: others could use them, with their maker's rights.
func TestConnectionsOfDblinkAreTheirClients(t *testing.T) {
	d := database(t)
	self := dial(t, d.Server.Addr(), d.Server.Superuser(), d.Name)
	if self.Query("select count(*) from pg_available_extensions where name = 'dblink'") == "0" {
		t.Skip("this server has no dblink")
	}
	d.Exec(t, "CREATE EXTENSION dblink")
	w, c, elsewhere := pair(t, d)
	c.Query(fmt.Sprintf("select dblink_connect('mine', 'host=%s port=%s user=%s dbname=%s')",
		self.Query("select split_part(current_setting('unix_socket_directories'), ',', 1)"), self.Query("show port"), d.Server.Superuser(), d.Name))
	if got := elsewhere("select a from dblink('mine', 'select 42') as t(a int)"); got != "42" {
		t.Errorf("through its connection the client gets %q", got)
	}
	other := dial(t, w.Addr, d.Server.Superuser(), d.Name)
	const connections = "select coalesce(dblink_get_connections()::text, 'none')"
	if got := other.Query(connections); got != "none" {
		t.Errorf("another client has the connections %s", got)
	}
	c.Terminate()
	for range 3 {
		if got := dial(t, w.Addr, d.Server.Superuser(), d.Name).Query(connections); got != "none" {
			t.Errorf("a later client has the connections %s", got)
		}
	}
}

// TestTrustEndsWithDefinitions: a statement that was found to leave nothing may leave something once a function, a trigger or the like is
// another one.
func TestTrustEndsWithDefinitions(t *testing.T) {
	const (
		harmless = "select $1::text"
		leaving  = "select set_config('work_mem', (9000 + $1) || 'kB', false)"
		function = "create or replace function changes(int) returns text language sql as $f$%s$f$"
		trigger  = "create trigger leaves after insert on rows for each row execute function leaves()"
	)
	for name, change := range map[string]struct{ use, to string }{
		"function":   {"select changes(%d)", fmt.Sprintf(function, leaving)},
		"in a block": {"select changes(%d)", "begin; " + fmt.Sprintf(function, leaving) + "; commit"},
		"in DO":      {"select changes(%d)", "do $d$begin " + fmt.Sprintf(function, leaving) + "; end$d$"},
		"trigger":    {"insert into rows values (%d)", trigger},
		"enabled":    {"insert into more values (%d)", "alter table more enable trigger leaves"},
	} {
		t.Run(name, func(t *testing.T) {
			d := database(t)
			d.Exec(t, fmt.Sprintf(function, harmless), "create table rows (n int)", "create table more (n int)",
				"create function leaves() returns trigger language plpgsql as $$begin perform set_config('work_mem', (9000 + new.n) || 'kB', false); return new; end$$",
				"create trigger leaves after insert on more for each row execute function leaves()", "alter table more disable trigger leaves",
				"create role migrates login superuser")
			w := start(t, d, "[pool]\npool_size = 1\nsession_audit = \"learn\"\n[loops]\ncount = 2\n")
			t.Cleanup(func() { d.Exec(t, "drop role migrates") })
			c, other := dial(t, w.Addr, d.Server.Superuser(), d.Name), dial(t, w.Addr, d.Server.Superuser(), d.Name)
			for i := range 8 {
				c.Query(fmt.Sprintf(change.use, i))
			}
			dial(t, w.Addr, "migrates", d.Name).Query(change.to)
			c.Query(fmt.Sprintf(change.use, 9))
			if got := other.Query("show work_mem"); got != "4MB" {
				t.Errorf("another client has work_mem = %s", got)
			}
			if got := c.Query("show work_mem"); got != "9009kB" {
				t.Errorf("its client has work_mem = %s", got)
			}
		})
	}
}

// TestTrustEndsWithDefinitionsPastWeir: of what is defined by others weir learns by the server's counters, some seconds later.
func TestTrustEndsWithDefinitionsPastWeir(t *testing.T) {
	d := database(t)
	d.Exec(t, "create function changes(int) returns text language sql as $$select $1::text$$")
	w := start(t, d, "[pool]\npool_size = 1\nsession_audit = \"learn\"\n")
	c, other := dial(t, w.Addr, d.Server.Superuser(), d.Name), dial(t, w.Addr, d.Server.Superuser(), d.Name)
	for i := range 8 {
		c.Query(fmt.Sprintf("select changes(%d)", i))
	}
	d.Exec(t, "create or replace function changes(int) returns text language sql as $$select set_config('work_mem', (9000 + $1) || 'kB', false)$$")
	eventually(t, func() string {
		c.Query("select changes(9)")
		if got := other.Query("show work_mem"); got != "4MB" {
			other.Query("reset work_mem")
			return "another client has work_mem = " + got
		}
		return ""
	})
}

// TestSettingsWhoseNamesAFunctionMakesUp stay with their client: weir cannot ask for them, so they must not meet another client, however often
// the function was found to change no setting that is known.
func TestSettingsWhoseNamesAFunctionMakesUp(t *testing.T) {
	d := database(t)
	d.Exec(t, "create function sets(text, text) returns text language sql as $$select set_config('app.' || $1, $2, false)$$",
		"create function calls_it(text, text) returns void language plpgsql as $$begin perform sets($1, $2); end$$",
		"create procedure p(text, text) language plpgsql as $$begin execute format('set app.%s = %L', $1, $2); end$$")
	run := map[string]string{
		"a function":      "select sets('made', 'up')",
		"one that calls":  "select calls_it('made', 'up')",
		"DO":              "do $$begin perform set_config('app.' || 'made', 'up', false); end$$",
		"DO with EXECUTE": "do $$begin execute format('set app.%s = %L', 'made', 'up'); end$$",
		"DO in quotes":    "do 'begin execute ''set app.'' || ''made = up''; end'",
		"DO that calls":   "do $$begin perform sets('made', 'up'); end$$",
		"CALL":            "call p('made', 'up')",
	}
	for name, body := range map[string]string{
		"format":                "execute format('set app.%s to %L', $1, $2);",
		"format in upper case":  "EXECUTE  FORMAT( 'SET SESSION app.%I = %L', $1, $2 );",
		"format of both parts":  "execute format('set %I.%I = %L', 'app', $1, $2);",
		"argument":              "perform set_config('app.' || $1, $2, $1 = '');",
		"arguments in brackets": "perform set_config (concat('app.', $1), coalesce($2, ''), not (true));",
		"format of the whole":   "execute format('set %s = %L', 'app.' || $1, $2);",
		"concatenation":         "execute 'set app.' || $1 || ' = ' || quote_literal($2);",
		"of the whole":          "execute 'set ' || 'app.' || $1 || ' = ' || quote_literal($2);",
		"concat":                "execute concat('set app.', $1, ' = ', quote_literal($2));",
		"a variable":            "s := 'set app.' || $1 || ' = ' || quote_literal($2); execute s;",
		"dollar quotes":         "execute format($q$set app.%s = %L$q$, $1, $2);",
	} {
		function := "f_" + strings.ReplaceAll(name, " ", "_")
		d.Exec(t, "create function "+function+"(text, text) returns void language plpgsql as $f$declare s text; begin "+body+" end$f$")
		run[name] = "select " + function + "('made', 'up')"
	}
	for name, set := range run {
		t.Run(name, func(t *testing.T) {
			w, c, elsewhere := pair(t, d)
			for range 5 {
				c.Query(set)
				c.Query("discard all")
			}
			c.Query(set)
			if got := elsewhere("select current_setting('app.made', true)"); got != "up" {
				t.Errorf("its client has %q", got)
			}
			c.Terminate()
			for range 3 {
				if got := dial(t, w.Addr, d.Server.Superuser(), d.Name).Query("select current_setting('app.made', true)"); got == "up" {
					t.Error("another client has it")
				}
			}
		})
	}
}

// TestStateThatAFunctionLeavesNowAndThen: a function that has left nothing before may leave something the next time. Its text says what, or that it
// runs a text that it is given.
func TestStateThatAFunctionLeavesNowAndThen(t *testing.T) {
	const branch = "create function %s(n int) returns text language plpgsql as $f$begin if n > 9 then %s; end if; return 'done'; end$f$"
	seen := map[string]string{
		"setting": "select current_setting('work_mem')", "custom": "select coalesce(current_setting('app.branch', true), '')",
		"lock":      "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
		"temporary": "select count(*) from pg_class where relnamespace = pg_my_temp_schema()",
		"cursor":    "select count(*) from pg_cursors where name = 'held'", "statement": "select count(*) from pg_prepared_statements where from_sql",
		"role": "select current_user", "channel": "select count(*) from pg_listening_channels()", "dollar": "select coalesce(current_setting('app.a$b', true), '')",
		"limit": "select coalesce(nullif(current_setting('pg_trgm.similarity_threshold', true), '0.3'), '')",
	}
	for name, c := range map[string]struct {
		make []string
		use  string // with %s for what comes first and then for what leaves something
		last string
		kind string
	}{
		"SET":                {[]string{fmt.Sprintf(branch, "f", "set work_mem = '9MB'")}, "select f(%s)", "10", "setting"},
		"set_config":         {[]string{fmt.Sprintf(branch, "f", "perform set_config('app.branch', 'x', false)")}, "select f(%s)", "10", "custom"},
		"lock":               {[]string{fmt.Sprintf(branch, "f", "perform pg_try_advisory_lock(n)")}, "select f(%s)", "10", "lock"},
		"temporary table":    {[]string{fmt.Sprintf(branch, "f", "create temp table own (a int)")}, "select f(%s)", "10", "temporary"},
		"cursor":             {[]string{fmt.Sprintf(branch, "f", "execute 'declare held cursor with hold for select 1'")}, "select f(%s)", "10", "cursor"},
		"PREPARE":            {[]string{fmt.Sprintf(branch, "f", "prepare p as select 1")}, "select f(%s)", "10", "statement"},
		"role":               {[]string{fmt.Sprintf(branch, "f", "set role pg_monitor")}, "select f(%s)", "10", "role"},
		"LISTEN":             {[]string{fmt.Sprintf(branch, "f", "listen ch")}, "select f(%s)", "10", "channel"},
		"text":               {[]string{"create function f(sql text) returns void language plpgsql as 'begin execute sql; end'"}, "select f('%s')", "create temp table own (a int)", "temporary"},
		"format":             {[]string{fmt.Sprintf(branch, "f", "execute format('set %I = %L', 'work_mem', '9MB')")}, "select f(%s)", "10", "setting"},
		"standard body":      {[]string{"create function f(n int) returns text language sql return case when n > 9 then set_config('work_mem', '9MB', false) end"}, "select f(%s)", "10", "setting"},
		"function of others": {[]string{fmt.Sprintf(branch, `"Inner one"`, "set work_mem = '9MB'"), `create function f(n int) returns text language sql as 'select public."Inner one"(n)'`}, "select f(%s)", "10", "setting"},
		"trigger": {[]string{
			fmt.Sprintf(branch, "g", "set work_mem = '9MB'"), "create table rows (n int)",
			"create function f() returns trigger language plpgsql as 'begin perform g(new.n); return new; end'",
			"create trigger t before insert on rows for each row execute function f()",
		}, "insert into public.rows (n) values (%s)", "10", "setting"},
		"view of a view": {
			[]string{fmt.Sprintf(branch, "f", "set work_mem = '9MB'"), "create view a as select n, f(n) from generate_series(1, 10) n", "create view b as select * from a"},
			"select * from b where n = %s", "10", "setting",
		},
		"standard body that calls": {[]string{fmt.Sprintf(branch, "g", "set work_mem = '9MB'"), "create function f(n int) returns text language sql begin atomic select g(n); end"}, "select f(%s)", "10", "setting"},
		"partition": {[]string{
			fmt.Sprintf(branch, "g", "set work_mem = '9MB'"), "create table rows (n int) partition by range (n)", "create table part partition of rows default",
			"create function f() returns trigger language plpgsql as 'begin perform g(new.n); return new; end'",
			"create trigger t before insert on part for each row execute function f()",
		}, "insert into rows (n) values (%s)", "10", "setting"},
		"table that inherits": {[]string{
			fmt.Sprintf(branch, "g", "set work_mem = '9MB'"), "create table rows (n int)", "create table kid () inherits (rows)", "insert into kid select generate_series(1,10)",
			"create function f() returns trigger language plpgsql as 'begin perform g(new.n); return new; end'",
			"create trigger t before update on kid for each row execute function f()",
		}, "update rows set n = n where n = %s", "10", "setting"},
		"cascade": {[]string{
			fmt.Sprintf(branch, "g", "set work_mem = '9MB'"), "create table rows (n int primary key)", "create table kid (n int references rows on delete cascade)", "insert into rows select generate_series(1,10)", "insert into kid select generate_series(1,10)",
			"create function f() returns trigger language plpgsql as 'begin perform g(old.n); return old; end'",
			"create trigger t before delete on kid for each row execute function f()",
		}, "delete from rows where n = %s", "10", "setting"},
		"trigger of another trigger's table": {[]string{
			fmt.Sprintf(branch, "g", "set work_mem = '9MB'"), "create table rows (n int)", "create table log (n int)",
			"create function f() returns trigger language plpgsql as 'begin perform g(new.n); return new; end'",
			"create trigger t before insert on log for each row execute function f()",
			"create function h() returns trigger language plpgsql as 'begin insert into log values (new.n); return new; end'",
			"create trigger t before insert on rows for each row execute function h()",
		}, "insert into rows (n) values (%s)", "10", "setting"},
		"function that writes into its table": {[]string{
			fmt.Sprintf(branch, "g", "set work_mem = '9MB'"), "create table log (n int)",
			"create function f() returns trigger language plpgsql as 'begin perform g(new.n); return new; end'",
			"create trigger t before insert on log for each row execute function f()",
			"create function h(n int) returns int language sql as 'insert into log values (n) returning n'",
		}, "select h(%s)", "10", "setting"},
		"domain":                                 {[]string{fmt.Sprintf(branch, "f", "set work_mem = '9MB'"), "create domain dom as int check (f(value) is not null)"}, "select %s::dom", "10", "setting"},
		"aggregate":                              {[]string{"create function f(s text, n int) returns text language plpgsql as $$begin if n > 9 then set work_mem = '9MB'; end if; return s; end$$", "create aggregate agg (int) (sfunc = f, stype = text)"}, "select agg(%s)", "10", "setting"},
		"index":                                  {[]string{"create function f(n int) returns int immutable language plpgsql as $$begin if n > 9 then perform set_config('work_mem', '9MB', false); end if; return n; end$$", "create table rows (n int)", "create index on rows (f(n))"}, "insert into rows (n) values (%s)", "10", "setting"},
		"name made up":                           {[]string{fmt.Sprintf(branch, "g", "set work_mem = '9MB'"), "create function f(name text, n int) returns void language plpgsql as $$begin execute format('select %I($1)', name) using n; end$$"}, "select f('g', %s)", "10", "setting"},
		"not ASCII":                              {[]string{fmt.Sprintf(branch, "Öffne", "set work_mem = '9MB'")}, "select Öffne(%s)", "10", "setting"},
		"behind a comment":                       {[]string{fmt.Sprintf(branch, "f", "-- more\n set work_mem = '9MB'")}, "select f(%s)", "10", "setting"},
		"behind another":                         {[]string{fmt.Sprintf(branch, "f", "/* more */ set work_mem = '9MB'")}, "select f(%s)", "10", "setting"},
		"name in quotes":                         {[]string{fmt.Sprintf(branch, "f", "set \"work_mem\" = '9MB'")}, "select f(%s)", "10", "setting"},
		"function as a column":                   {[]string{"create table rows (n int)", "insert into rows select generate_series(1,10)", "create function f(r rows) returns text language plpgsql as $$begin if r.n > 9 then set work_mem = '9MB'; end if; return 'x'; end$$"}, "select rows.f from rows where n = %s", "10", "setting"},
		"text in a variable":                     {[]string{"create function f(n int) returns text language plpgsql as $$declare q text := 'select 1'; begin if n > 9 then q := 'set work_mem = ''9MB'''; end if; execute q; return 'x'; end$$"}, "select f(%s)", "10", "setting"},
		"exclusion":                              {[]string{"create function f(n int) returns int immutable language plpgsql as $$begin if n > 9 then perform set_config('work_mem', '9MB', false); end if; return n; end$$", "create table rows (n int, exclude (f(n) with =))"}, "insert into rows (n) values (%s)", "10", "setting"},
		"lock in a view":                         {[]string{"create table rows (n int)", "insert into rows values (1), (10)", "create view v as select n from rows where n < 10 or pg_try_advisory_lock(n)"}, "select * from v where n = %s", "10", "lock"},
		"setting in a rule":                      {[]string{"create table rows (n int)", "create rule r as on insert to rows where new.n > 9 do also select set_config('app.branch', 'x', false)"}, "insert into rows values (%s)", "10", "custom"},
		"setting in a trigger":                   {[]string{"create table rows (n int)", "create function f() returns trigger language plpgsql as 'begin return new; end'", "create trigger t before insert on rows for each row when (new.n > 9 and set_config('app.branch', 'x', false) > '') execute function f()"}, "insert into rows values (%s)", "10", "custom"},
		"setting in a check":                     {[]string{"create table rows (n int check (n < 10 or set_config('work_mem', '9MB', false) > ''))"}, "insert into rows values (%s)", "10", "setting"},
		"lock in a policy":                       {[]string{"create table rows (n int)", "insert into rows values (1), (10)", "alter table rows enable row level security, force row level security", "grant all on rows to pg_monitor", "create policy p on rows using (n < 10 or pg_try_advisory_lock(1, n))"}, "begin; set local role pg_monitor; select * from rows where n = %s; commit", "10", "lock"},
		"shared lock of two keys, standard body": {[]string{"create function f(n int) returns bool language sql begin atomic select case when n > 9 then pg_try_advisory_lock_shared(1, n) end; end"}, "select f(%s)", "10", "lock"},
		"custom setting in a standard body":      {[]string{"create function f(n int) returns text language sql begin atomic select case when n > 9 then set_config('app.branch', 'x', false) end; end"}, "select f(%s)", "10", "custom"},
		"name with a dollar":                     {[]string{fmt.Sprintf(branch, "f", "perform set_config('app.a$b', 'x', false)")}, "select f(%s)", "10", "dollar"},
		"UPDATE of pg_settings":                  {[]string{fmt.Sprintf(branch, "f", "update pg_settings set setting = '9MB' where name = 'work_mem'")}, "select f(%s)", "10", "setting"},
		"event trigger": {[]string{
			"create table rows (n int)", fmt.Sprintf(branch, "g", "set work_mem = '9MB'"),
			"create function f() returns event_trigger language plpgsql as $$begin perform g(length(obj_description('rows'::regclass))); end$$", "create event trigger e on ddl_command_end execute function f()",
		}, "comment on table rows is '%s'", "ten letters", "setting"},
		"of pg_trgm":  {[]string{"create extension pg_trgm", "create function f(n int) returns text language plpgsql as 'begin if n > 9 then perform set_limit(0.9); end if; return show_limit(); end'"}, "select f(%s)", "10", "limit"},
		"pg_settings": {nil, "update pg_settings set setting = '9MB' where name = '%s'", "work_mem", "setting"},
		"ts_stat":     {nil, "select count(*) from ts_stat('select to_tsvector(''simple'', %s::text)')", "set_config(''work_mem'', ''9MB'', false)", "setting"},
	} {
		t.Run(name, func(t *testing.T) {
			d := database(t)
			d.Exec(t, c.make...)
			w, client, elsewhere := pair(t, d)
			first := []string{"1", "2", "3", "4", "5"}
			switch name {
			case "text":
				first = []string{"select 1", "select 2", "select 3", "select 4", "select 5"}
			case "pg_settings":
				first = []string{"maintenance_work_mem", "no", "no", "no", "no"}
			}
			fresh := client.Query(seen[c.kind])
			for _, harmless := range first {
				client.Query(fmt.Sprintf(c.use, harmless))
			}
			client.Query(fmt.Sprintf(c.use, c.last))
			if got := elsewhere(seen[c.kind]); got == fresh {
				t.Errorf("its client has %q, as before", got)
			}
			if got := dial(t, w.Addr, d.Server.Superuser(), d.Name).Query(seen[c.kind]); got != fresh {
				t.Errorf("another client has %q, want %q", got, fresh)
			}
			client.Terminate()
			for range 3 {
				if got := dial(t, w.Addr, d.Server.Superuser(), d.Name).Query(seen[c.kind]); got != fresh {
					t.Errorf("a later client has %q, want %q", got, fresh)
				}
			}
		})
	}
}

// TestSameTextUnderAnotherMeaning: a text that has left nothing may leave something once a search_path leads it into pg_temp, and so may the name of a
// statement of PREPARE that stands for another one.
func TestSameTextUnderAnotherMeaning(t *testing.T) {
	const (
		temporary = "select count(*) from pg_class where relnamespace = pg_my_temp_schema()"
		locks     = "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
	)
	for name, c := range map[string]struct {
		first, then []string
		seen        string
	}{
		"CREATE TABLE AS": {[]string{"create table made as select 1", "drop table made"}, []string{"set search_path = 'pg_temp'", "create table made as select 1"}, temporary},
		"SELECT INTO":     {[]string{"select 1 into made", "drop table made"}, []string{"select set_config('search_path', 'pg_' || 'temp', false)", "select 1 into made"}, temporary},
		"in one transaction": {
			[]string{"create table made as select 1", "drop table made"},
			[]string{"begin", "select set_config('search_path', 'pg_' || 'temp', false)", "create table made as select 1", "commit"},
			temporary,
		},
		"EXECUTE": {
			[]string{"prepare p as select 1", "execute p", "deallocate p"},
			[]string{"prepare p as select pg_advisory_lock(1)", "execute p", "deallocate p"},
			locks,
		},
	} {
		for _, audit := range []string{"learn", "off"} {
			t.Run(name+", "+audit, func(t *testing.T) {
				d := database(t)
				w := start(t, d, "[pool]\npool_size = 2\nsession_audit = \""+audit+"\"\n")
				client := dial(t, w.Addr, d.Server.Superuser(), d.Name)
				for range 5 {
					for _, sql := range c.first {
						client.Query(sql)
					}
				}
				for _, sql := range c.then {
					client.Query(sql)
				}
				if got := dial(t, w.Addr, d.Server.Superuser(), d.Name).Query(c.seen); got != "0" {
					t.Errorf("another client has %s", got)
				}
				if got := client.Query(c.seen); got != "1" {
					t.Errorf("its client has %s", got)
				}
			})
		}
	}
}

// TestQuestionOutlivesATimeLimitOfTheSession: a session's statement_timeout may be shorter than a question takes. It is asked once more without it.
func TestQuestionOutlivesATimeLimitOfTheSession(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\nsession_audit = \"learn\"\n")
	c, other := dial(t, w.Addr, d.Server.Superuser(), d.Name), dial(t, w.Addr, d.Server.Superuser(), d.Name)
	lock := direct(t, d)
	ask(t, lock, "BEGIN; LOCK TABLE pg_catalog.pg_depend IN ACCESS EXCLUSIVE MODE") // in which a question reads
	c.Query("do $$begin perform set_config('statement_timeout', '100ms', false); end$$")
	watch := direct(t, d)
	eventually(t, func() string {
		if ask(t, watch, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'BEGIN%statement_timeout TO 0%'") == "1" {
			return ""
		}
		return "the question is not asked without the limit"
	})
	ask(t, lock, "ROLLBACK")
	if got := other.Query("select current_setting('statement_timeout')"); got != "0" {
		t.Errorf("the next client has a limit of %s", got)
	}
	if got := c.Query("select current_setting('statement_timeout')"); got != "100ms" {
		t.Errorf("its own client has a limit of %s", got)
	}
	if q := w.Proxy.Snapshot().Pools[0].Questions; q.Refused != 0 {
		t.Errorf("%d questions were refused", q.Refused)
	}
}
