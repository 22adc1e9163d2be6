package proxy_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
)

// statePrelude is what random programs find in their database. run and what stands around it hide a statement from every reader.
const statePrelude = `
create schema alpha; create schema beta;
create table alpha.t as select 'alpha' as v; create table beta.t as select 'beta' as v; create table public.t as select 'public' as v;
create sequence seq; create sequence seq2;
create function run(sql text) returns text language plpgsql volatile as $$ begin execute sql; return 'ran'; end $$;
create function run_undone(sql text) returns text language plpgsql volatile as $$ begin
	begin execute sql; raise exception 'undo'; exception when raise_exception then return 'undone'; end; end $$;
create procedure called(sql text) language plpgsql as $$ begin execute sql; end $$;
create procedure called_and_committed(sql text) language plpgsql as $$ begin execute sql; commit; execute sql; rollback; end $$;
create table texts (sql text);
create view seen as select sql, run(sql) as r from texts;
create table triggering (sql text);
create function triggered() returns trigger language plpgsql as $$ begin execute new.sql; return null; end $$;
create trigger triggers before insert on triggering for each row execute function triggered();
create domain checked as text check (run(value) = 'ran');
create view everything as
	select 'user' as what, current_user || ' ' || session_user as is union all
	select 'schemas', array_to_string(current_schemas(false), ' ') union all
	(select 'temporary', relname from pg_class where relnamespace = pg_my_temp_schema() order by 2) union all
	(select 'temporary function', proname from pg_proc where pronamespace = pg_my_temp_schema() order by 2) union all
	(select 'cursor', name from pg_cursors where is_holdable order by 2) union all
	(select 'prepared', name from pg_prepared_statements where from_sql order by 2) union all
	(select 'channel', c from pg_listening_channels() c order by 2) union all
	(select 'lock', row(classid, objid, objsubid, mode)::text from pg_locks where pid = pg_backend_pid() and locktype = 'advisory' order by 2) union all
	select 'app.x', nullif(current_setting('app.x', true), '') union all
	select 'seeded', (random() = 0.9851677175347999)::text union all
	(select name, setting from pg_settings where context in ('user', 'superuser') and name not like 'plpgsql.%'
		and (setting is distinct from reset_val or name like 'auto_explain.%') order by 1);
grant select on everything to public;
create function names_them() returns text language plpgsql as $$ begin set app.x = 'x'; set app.y = 'y'; return 'set'; end $$; -- else no list has them
create function sets_and_reads() returns text language sql volatile set work_mem = '7MB' as $$ select current_setting('work_mem') $$;
`

// stateClients is how many clients a program has, one more than weir has backends for them.
const stateClients = 3

// A stateStep is what one client does before another has its turn.
type stateStep struct {
	client int
	what   string   // connect, vanish, terminate, or "" for messages
	params []string // of connect
	lines  []string // messages, as in testdata/wire
}

func (s stateStep) String() string {
	switch s.what {
	case "":
		return fmt.Sprintf("c%d send\n%s\n----\n", s.client, strings.Join(s.lines, "\n"))
	case "connect":
		return fmt.Sprintf("c%d connect %q\n----\n", s.client, s.params)
	}
	return fmt.Sprintf("c%d %s\n----\n", s.client, s.what)
}

// stateGenerator draws programs of statements that leave state in a session, or look at it.
type stateGenerator struct {
	*rand.Rand
	given  bool // settings in startup packets
	hidden bool // statements that no text shows, too
	client int  // whose step is drawn
	inTx   [stateClients]bool
}

// newStateProgram draws a program: a list of steps in the order in which they are taken.
func newStateProgram(seed uint64, hidden bool) []stateStep {
	g := &stateGenerator{Rand: rand.New(rand.NewPCG(seed, 1)), hidden: hidden}
	g.given = g.one(2)
	var steps []stateStep
	for c := range stateClients {
		steps = append(steps, stateStep{client: c, what: "connect", params: g.startup()})
	}
	for range 10 + g.IntN(30) {
		g.client = g.IntN(stateClients)
		for range 1 + g.IntN(3) {
			steps = append(steps, g.step()...)
		}
	}
	for c := range stateClients {
		g.client = c
		if g.inTx[c] {
			steps = append(steps, stateStep{client: c, lines: g.simple(g.pick("commit", "rollback"))})
		}
		steps = append(steps, stateStep{client: c, lines: g.simple(everySetting)}, stateStep{client: c, lines: g.simple(g.look())})
	}
	for _, c := range g.Perm(stateClients) {
		steps = append(steps, stateStep{client: c, what: g.pick("vanish", "terminate")})
	}
	return steps
}

// everySetting shows all that a session can set, but for what the language plpgsql adds when it is first used.
const everySetting = "select name, setting from pg_settings where context in ('user', 'superuser') and name not like 'plpgsql.%' order by name"

func (g *stateGenerator) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g *stateGenerator) one(in int) bool { return g.IntN(in) == 0 }

func (g *stateGenerator) startup() []string {
	var params []string
	if !g.given {
		return nil
	}
	if g.one(3) {
		params = append(params, "application_name", g.pick("job one", "job two"))
	}
	if g.one(4) {
		params = append(params, "options", g.pick("-c work_mem=3MB", "-c search_path=beta -c statement_timeout=61s", "-c app.x=login"))
	}
	if g.one(6) {
		params = append(params, g.pick("datestyle", "DateStyle"), "SQL, DMY")
	}
	if g.one(6) {
		params = append(params, "client_encoding", g.pick("LATIN1", "UTF8"))
	}
	if g.one(8) {
		params = append(params, "TimeZone", "Asia/Tokyo")
	}
	return params
}

// step is the next of a client's: the start or the end of a transaction, a statement, or a new connection.
func (g *stateGenerator) step() []stateStep {
	c := g.client
	send := func(lines []string) []stateStep { return []stateStep{{client: c, lines: lines}} }
	switch n := g.IntN(40); {
	case n == 0:
		g.inTx[c] = false
		return []stateStep{{client: c, what: g.pick("vanish", "terminate")}, {client: c, what: "connect", params: g.startup()}}
	case n < 5 && !g.inTx[c]:
		g.inTx[c] = true
		return send(g.simple(g.pick("begin", "begin", "begin isolation level repeatable read", "start transaction read only", "begin; "+g.stateful())))
	case n < 14 && g.inTx[c]:
		g.inTx[c] = false
		return send(g.simple(g.pick("commit", "commit", "rollback", "rollback", "end", "abort", "select 1/0; commit", g.stateful()+"; commit", "commit; "+g.stateful())))
	case n < 18 && g.inTx[c]:
		return send(g.simple(g.pick("savepoint s", "savepoint s", "savepoint r", "rollback to s", "rollback to s", "release s", "rollback to r", "savepoint s; "+g.stateful()+"; rollback to s")))
	case n == 18:
		return send(g.simple(g.pick("select 1/0", "selec 1", "select * from missing")))
	case n < 22:
		return send(g.simple(g.drawn(g.tidying)))
	case n < 28:
		return send(g.shown(g.look()))
	}
	if g.one(8) {
		return send(g.pipeline())
	}
	return send(g.carried(g.stateful()))
}

// tidying takes away what keeps a backend, all at once or one by one.
func (g *stateGenerator) tidying() string {
	return g.pick("discard all", "discard all", "discard all", "close all; deallocate all; unlisten *; select pg_advisory_unlock_all(); discard temp", "reset all", "discard temp", "discard plans",
		"discard sequences", "deallocate all", "close all", "unlisten *", "select pg_advisory_unlock_all()", "reset session authorization", "reset role")
}

func query(sql string) string { return fmt.Sprintf(`Query {"String":%q}`, sql) }

func parsed(name, sql string) string {
	return fmt.Sprintf(`Parse {"Name":%q,"Query":%q}`, name, sql)
}

// bound is a Bind and an Execute of a statement's unnamed portal.
func bound(name string, values ...string) []string {
	var params []string
	for _, v := range values {
		params = append(params, fmt.Sprintf(`{"text":%q}`, v))
	}
	return []string{fmt.Sprintf(`Bind {"PreparedStatement":%q,"Parameters":[%s]}`, name, strings.Join(params, ",")), "Execute"}
}

func extended(sql string, values ...string) []string {
	return append([]string{parsed("", sql)}, bound("", values...)...)
}

func (g *stateGenerator) simple(sql string) []string { return []string{query(sql)} }

// shown is a question in one of the ways in which drivers ask.
func (g *stateGenerator) shown(sql string) []string {
	if g.one(2) {
		return g.simple(sql)
	}
	return append(extended(sql), "Sync")
}

// Statements after which weir is known to differ.
var (
	notYet = regexp.MustCompile("temp_buffers|current_schemas.true|pg_temp") // the temporary schema outlives its client on a backend

	// Of a setting that the client's login gave, RESET gives the server's default until the transaction is over where no text shows it.
	notHiddenAfterLogin = regexp.MustCompile("(?i)reset|default|discard all|zone local")
)

// drawn draws until there is a statement that weir can be held to.
func (g *stateGenerator) drawn(draw func() string) string {
	for {
		sql := draw()
		if *stateEverything || !notYet.MatchString(sql) {
			return sql
		}
	}
}

// carried is a statement in one of the ways in which it can come to the server.
func (g *stateGenerator) carried(sql string) []string {
	name := g.pick("a", "b", "c")
	switch n := g.IntN(14); {
	case n < 3:
		return g.simple(sql)
	case n < 5:
		return append(extended(sql), "Sync")
	case n == 5:
		return append([]string{`Close {"ObjectType":"S","Name":"` + name + `"}`, parsed(name, sql)}, append(bound(name), "Sync")...)
	case n == 6:
		return append(bound(name), "Sync")
	case n == 7:
		return []string{parsed("", sql), `Describe {"ObjectType":"S"}`, "Sync", bound("")[0], "Execute", "Sync"}
	case n == 8:
		return g.simple("select 1; " + sql + "; select 2")
	case n == 9:
		return g.simple(sql + "; " + g.stateful())
	case n == 10:
		return g.simple("begin; " + sql + "; " + g.pick("commit", "rollback", "select 1/0"))
	case g.hidden && !(g.given && notHiddenAfterLogin.MatchString(sql)):
		return g.concealed(sql)
	}
	return g.simple(sql)
}

// pipeline is several statements without a wait.
func (g *stateGenerator) pipeline() []string {
	var lines []string
	for range 2 + g.IntN(4) {
		lines = append(lines, extended(g.pick(g.stateful(), g.look(), g.stateful(), "select 1/0"))...)
		if g.one(2) {
			lines = append(lines, "Sync")
		}
	}
	return append(lines, "Sync")
}

// concealed is a statement that something else runs.
func (g *stateGenerator) concealed(sql string) []string {
	return concealing[g.IntN(len(concealing))].lines(sql)
}

// way is how a statement comes to the server.
type way struct {
	name  string
	lines func(sql string) []string
}

func quoted(sql string) string { return "'" + strings.ReplaceAll(sql, "'", "''") + "'" }

// around is a simple query with the statement as a literal in place of %s.
func around(query string) func(string) []string {
	return func(sql string) []string {
		return []string{fmt.Sprintf(`Query {"String":%q}`, strings.ReplaceAll(query, "%s", quoted(sql)))}
	}
}

// plainly are the ways in which a statement comes as what it is.
var plainly = []way{
	{"simple", func(sql string) []string { return []string{query(sql)} }},
	{"multi-statement", func(sql string) []string { return []string{query("select 1; " + sql + "; select 2")} }},
	{"extended", func(sql string) []string { return append(extended(sql), "Sync") }},
	{"prepared", func(sql string) []string {
		return append(append([]string{`Close {"ObjectType":"S","Name":"a"}`, parsed("a", sql), `Describe {"ObjectType":"S","Name":"a"}`, "Sync"}, bound("a")...), "Sync")
	}},
	{"pipelined", func(sql string) []string {
		return append(append(append(extended("select 1"), extended(sql)...), extended("select 2")...), "Sync")
	}},
}

// concealing are the ways in which something else runs a statement.
var concealing = []way{
	{"function", around("select run(%s)")},
	{"function of a parameter", func(sql string) []string { return append(extended("select run($1)", sql), "Sync") }},
	{"function that undoes it", around("select run_undone(%s)")},
	{"DO", around("do $do$ begin execute %s; end $do$")},
	{"CALL", func(sql string) []string { return append(extended("call called($1)", sql), "Sync") }},
	{"CALL with COMMIT", around("call called_and_committed(%s)")},
	{"view", around("delete from texts; insert into texts values (%s); select r from seen; truncate texts")},
	{"trigger", func(sql string) []string { return append(extended("insert into triggering values ($1)", sql), "Sync") }},
	{"domain", around("select %s::checked is null")},
	{"COPY", around("copy (select run(%s)) to stdout")},
	{"EXPLAIN ANALYZE", around("explain (analyze, buffers off, costs off, timing off, summary off) select run(%s)")},
	{"query_to_xml", around("select query_to_xml('select run('||quote_literal(%s)||')', true, true, '') is null")},
	{"cursor", around("declare fetched cursor for select run(%s); fetch fetched; close fetched")},
	{"EXECUTE", around("prepare hidden as select run(%s); execute hidden; deallocate hidden")},
}
