package proxy_test

import "testing"

// left is what shows one kind of state, and what a session has that is as after its login.
type left struct{ sql, fresh string }

var leftKinds = map[string]left{
	"setting": {"show work_mem", "4MB"},
	"custom":  {"select coalesce(nullif(current_setting('app.given', true), ''), 'none')", "none"},
	"lock":    {"select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()", "0"},
	"seed":    {"select random() in (select n from seeded)", "f"},
}

// givenPrelude has functions that leave something, and such as run what they are given.
const givenPrelude = `
create table seeded (n float8); do $$begin perform setseed(0.25); insert into seeded select random() from generate_series(1, 50); end$$;
create function sets() returns text language plpgsql as $$begin set work_mem = '9MB'; return 'set'; end$$;
create function locks() returns text language plpgsql as $$begin perform pg_advisory_lock(7); return 'locked'; end$$;
create function seeds() returns text language plpgsql as $$begin perform setseed(0.25); return 'sown'; end$$;
create function names(n text) returns text language plpgsql as $$begin perform set_config('app.' || n, 'it', false); return 'named'; end$$;
create function runs(sql text) returns text language plpgsql as $$begin execute sql; return 'ran'; end$$;
create procedure called(sql text) language plpgsql as $$begin execute sql; end$$;
create table triggering (sql text);
create function triggered() returns trigger language plpgsql as $$begin execute new.sql; return null; end$$;
create trigger triggers before insert on triggering for each row execute function triggered();
create view seen as select set_config('app.given', 'seen', false) as it;
create table defaulting (a int, b text default set_config('app.given', 'default', false));
create function standard() returns text language sql begin atomic select set_config('app.given', 'standard', false); end;
`

// expectOwn has a client show on another backend what it has, and others that they have none of it, while it is there and when it has left.
func expectOwn(t *testing.T, w *weirUnderTest, c *wireClient, k left, elsewhere func(string) string, enter func() *wireClient) {
	t.Helper()
	if got := enter().Query(k.sql); got != k.fresh {
		t.Errorf("another client has %s", got)
	}
	if got := elsewhere(k.sql); got == k.fresh {
		t.Errorf("its client has %s, as before", got)
	}
	c.Terminate()
	for range 3 {
		if got := enter().Query(k.sql); got != k.fresh {
			t.Errorf("a later client has %s", got)
		}
	}
}

// TestWhatExecuteRunsIsItsClients: by the same text two clients may execute what is not the same.
func TestWhatExecuteRunsIsItsClients(t *testing.T) {
	d := database(t)
	d.Exec(t, givenPrelude)
	for name, c := range map[string]struct{ prepared, execute, kind string }{
		"setting":       {"select sets()", "execute st", "setting"},
		"lock":          {"select locks()", "execute st", "lock"},
		"seed":          {"select seeds()", "execute st", "seed"},
		"name made up":  {"select names('given')", "execute st", "custom"},
		"text":          {"select runs($1)", "execute st('select setseed(0.25)')", "seed"},
		"text of CALL":  {"call called($1)", "execute st('select setseed(0.25)')", "seed"},
		"custom":        {"select runs($1)", "execute st('set app.given = 1')", "custom"},
		"amid others":   {"select sets()", "select 1; execute st; select 2", "setting"},
		"CREATE TABLE":  {"select sets()", "create temp table x as execute st; drop table x", "setting"},
		"EXPLAIN":       {"select seeds()", "explain analyze execute st", "seed"},
		"SQL's PREPARE": {"", "prepare own as select runs($1); execute own('select setseed(0.25)'); deallocate own", "seed"},
	} {
		for _, way := range []string{"simple", "extended"} {
			if way == "extended" && (name == "amid others" || name == "CREATE TABLE" || name == "SQL's PREPARE") {
				continue // several statements
			}
			t.Run(name+", "+way, func(t *testing.T) {
				w, client, elsewhere := pair(t, d)
				enter := func() *wireClient { return dial(t, w.Addr, d.Server.Superuser(), d.Name) }
				lines := simple(c.execute)
				if way == "extended" {
					lines = alone(c.execute)
				}
				first := enter()
				first.say([]string{parsed("st", "select $1::text"), "Sync"})
				for range 5 {
					first.Query("execute st('x')")
					first.say(simple("select runs('select 1')"))
				}
				first.Terminate()
				harmless := enter()
				harmless.say([]string{parsed("st", "select 1"), "Sync"})
				for range 5 {
					harmless.say(alone("execute st"))
					harmless.say(simple("execute st"))
				}
				harmless.Terminate()
				client.say([]string{parsed("st", c.prepared), "Sync"})
				client.say(lines)
				expectOwn(t, w, client, leftKinds[c.kind], elsewhere, enter)
			})
		}
	}
}

// TestWhatIsGivenToRunIsItsClients: text in the parameters of a Bind, or in a literal, may be run by what has it, whether that is a function or a procedure.
func TestWhatIsGivenToRunIsItsClients(t *testing.T) {
	d := database(t)
	d.Exec(t, givenPrelude)
	const seed, custom, madeUp = "select setseed(0.25)", "set app.given = 'it'", "select set_config('app.' || 'given', 'it', false)"
	for name, c := range map[string]struct {
		lines []string
		kind  string
	}{
		"CALL, seed":                  {alone("call called($1)", seed), "seed"},
		"CALL, function":              {alone("call called($1)", "select seeds()"), "seed"},
		"CALL, custom":                {alone("call called($1)", custom), "custom"},
		"CALL, name made up":          {alone("call called($1)", madeUp), "custom"},
		"PostgreSQL's own, seed":      {alone("select query_to_xml($1, true, true, '') is null", seed), "seed"},
		"PostgreSQL's own, function":  {alone("select query_to_xml($1, true, true, '') is null", "select seeds()"), "seed"},
		"PostgreSQL's own, custom":    {alone("select query_to_xml($1, true, true, '') is null", "select set_config('app.given', 'it', false)"), "custom"},
		"function, custom":            {alone("select runs($1)", custom), "custom"},
		"function, name made up":      {alone("select runs($1)", madeUp), "custom"},
		"literal, custom":             {simple("select runs('set \"app\".given = 1')"), "custom"},
		"literal, name made up":       {simple("select runs('select set_config(''app.'' || ''given'', ''it'', false)')"), "custom"},
		"trigger, custom":             {alone("insert into triggering values ($1)", custom), "custom"},
		"default in DO":               {simple("do $$begin insert into defaulting values (1); end$$"), "custom"},
		"view in DO":                  {simple("do $$begin perform it from seen; end$$"), "custom"},
		"standard body in DO":         {simple("do $$begin perform standard(); end$$"), "custom"},
		"standard body in a function": {alone("select runs($1)", "select standard()"), "custom"},
	} {
		for _, known := range []bool{false, true} { // what the functions do
			t.Run(name+map[bool]string{false: "", true: ", known"}[known], func(t *testing.T) {
				w, client, elsewhere := pair(t, d)
				enter := func() *wireClient { return dial(t, w.Addr, d.Server.Superuser(), d.Name) }
				if known {
					client.Query("do 'begin end'")
				}
				client.say(c.lines)
				expectOwn(t, w, client, leftKinds[c.kind], elsewhere, enter)
			})
		}
	}
}

// TestWhatIsRolledBackPinsNothing: nor do settings of which nobody can be asked.
func TestWhatIsRolledBackPinsNothing(t *testing.T) {
	d := database(t)
	w, c, _ := pair(t, d)
	for _, set := range []string{
		"select set_config('app.' || 'given', 'it', false)", "do $$begin perform set_config('app.' || 'given', 'it', false); end$$", "set app.größe = 'it'", "set work_mem = '5MB'; select set_config('app.' || 'given', 'it', false)",
	} {
		for _, fails := range []string{"select 1", "select 1/0"} {
			c.Query("begin")
			c.Query(set)
			_, _ = c.TryRun(fails)
			c.Query("rollback")
			c.Query("select 1")
			expectPool(t, w, "no pin after "+set, unpinned)
		}
	}
}
