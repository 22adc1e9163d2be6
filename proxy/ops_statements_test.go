package proxy_test

import (
	"fmt"
	"strings"
)

// tried are settings with values that programs give them, as literals.
var tried = []struct {
	name   string
	values []string
}{
	{"work_mem", []string{"'5MB'", "8192", "'100kB'"}},
	{"search_path", []string{"alpha", "beta, public", "'beta'", `alpha, "$user"`, "''", "pg_temp, public"}},
	{"datestyle", []string{"german", "'SQL, MDY'", "ISO, DMY", "DMY", "sql"}},
	{"timezone", []string{"'UTC'", "'Europe/Rome'", "3", "'EST5EDT'"}},
	{"intervalstyle", []string{"iso_8601", "'sql_standard'"}},
	{"application_name", []string{"'one'", "'two'", "''", "'it''s'"}},
	{"client_encoding", []string{"'LATIN1'", "utf8", "'SQL_ASCII'"}},
	{"standard_conforming_strings", []string{"off", "on"}},
	{"bytea_output", []string{"'escape'", "hex"}},
	{"extra_float_digits", []string{"0", "3", "-1"}},
	{"statement_timeout", []string{"'63s'", "64000"}},
	{"lock_timeout", []string{"'62s'", "0"}},
	{"enable_seqscan", []string{"off", "on"}},
	{"client_min_messages", []string{"warning", "'error'", "notice"}},
	{"default_transaction_isolation", []string{"'repeatable read'", "serializable"}},
	{"default_transaction_read_only", []string{"on", "off"}},
	{"transaction_isolation", []string{"'serializable'"}},
	{"session_replication_role", []string{"replica", "origin"}},
	{"check_function_bodies", []string{"off"}},
	{"plan_cache_mode", []string{"force_custom_plan", "force_generic_plan"}},
	{"row_security", []string{"off"}},
	{"xmloption", []string{"document"}},
	{"temp_buffers", []string{"200", "'3MB'"}},
	{"backslash_quote", []string{"off"}},
	{"geqo_seed", []string{"0.25"}},
	{"array_nulls", []string{"off"}},
	{"lc_monetary", []string{"'C'"}},
	{"quote_all_identifiers", []string{"on"}},
	{"app.x", []string{"'one'", "'two'", "''"}},
	{"app.y", []string{"'tenant'"}},
	{"role", []string{"state_a", "'state_b'", "none"}},
	{"session_authorization", []string{"state_a", "state_b", "default"}},
	{"no_such_setting", []string{"1"}},
	{"work_mem", []string{"'much'"}},
}

// setting is a statement that changes a setting.
func (g *stateGenerator) setting() string {
	s := tried[g.IntN(len(tried))]
	v := g.pick(s.values...)
	literal := "'" + strings.ReplaceAll(strings.Trim(v, "'"), "''", "") + "'"
	switch g.IntN(12) {
	case 0, 1, 2:
		return fmt.Sprintf("set %s %s %s", s.name, g.pick("to", "="), v)
	case 3:
		return fmt.Sprintf("set session %s to %s", s.name, v)
	case 4, 5:
		return fmt.Sprintf("set local %s = %s", s.name, v)
	case 6:
		return "reset " + s.name
	case 7:
		return fmt.Sprintf("set %s to default", s.name)
	case 8, 9:
		return fmt.Sprintf("select set_config('%s', %s, %s)", s.name, literal, g.pick("false", "true"))
	case 10:
		if g.hidden && !strings.Contains(s.name, ".") {
			return fmt.Sprintf("update pg_settings set setting = %s where name = '%s'", literal, s.name)
		}
	}
	return g.pick("set time zone 'Asia/Tokyo'", "set time zone interval '+02:00' hour to minute", "set local time zone -4", "set time zone local", "set names 'LATIN1'", "set names default",
		"set schema 'alpha'", "set xml option document", "set session characteristics as transaction isolation level repeatable read", "set session characteristics as transaction read only",
		"set session characteristics as transaction read write, isolation level read committed", "set transaction read only", "set transaction isolation level serializable",
		"set role state_a", "set role none", "reset role", "set local role state_b", "set session authorization state_a", "set local session authorization state_b", "set session authorization default",
		"reset session authorization", "reset all", "reset time zone", "reset session authorization; set role state_b", "SET/**/work_mem\n=\t'6MB'", "select sets_and_reads()")
}

// stateful is a statement that leaves something in its session, or takes it away.
func (g *stateGenerator) stateful() string { return g.drawn(g.anyStateful) }

func (g *stateGenerator) anyStateful() string {
	own := 100 + g.client
	switch g.IntN(14) {
	case 0, 1, 2, 3, 4:
		return g.setting()
	case 5, 6:
		return g.pick("create temp table own (a int)", "create temporary table own as select 7 as a", "create temp table if not exists own (a int)", "drop table own", "drop table if exists own",
			"create temp table gone (a int) on commit drop", "create temp table emptied (a int) on commit delete rows", "insert into emptied values (1)", "insert into own values (1)",
			"create temp table t as select 'temp' as v", "drop table pg_temp.t", "select 8 as a into temp own", "create temp view own_view as select 9 as a", "drop view own_view",
			"create temp sequence own_seq", "select nextval('own_seq')", "create function pg_temp.f() returns int language sql as 'select 11'", "create table pg_temp.own (a int)",
			"create temp table parent (a int) on commit preserve rows", "alter table own add b int", "analyze own", "truncate own", "set search_path = pg_temp; create table own (a int)")
	case 7, 8:
		return fmt.Sprintf(g.pick("select pg_advisory_lock(%d)", "select pg_advisory_lock(%d)", "select pg_advisory_lock_shared(%d)", "select pg_advisory_unlock(%d)", "select pg_advisory_unlock(%d)",
			"select pg_advisory_unlock_shared(%d)", "select pg_advisory_xact_lock(%d)", "select pg_advisory_lock(1, %d)", "select pg_advisory_unlock(1, %d)", "select pg_try_advisory_lock(%d)",
			"select pg_advisory_lock(%d), pg_advisory_lock(99999%[1]d)", "select pg_catalog.pg_advisory_lock(%d)", "select pg_advisory_lock_shared(2, %d)"), own)
	case 9:
		return g.pick("select pg_try_advisory_lock(1)", "select pg_try_advisory_lock_shared(1)", "select pg_try_advisory_lock(1, 2)", "select pg_advisory_unlock(1)", "select pg_advisory_unlock_shared(1)",
			"select pg_advisory_unlock(1, 2)", "select pg_advisory_unlock_all()", "select pg_try_advisory_xact_lock(1)", "select pg_try_advisory_xact_lock_shared(1)", "select pg_try_advisory_lock(n) from generate_series(1, 3) n")
	case 10:
		return g.pick("declare held cursor with hold for select generate_series(1, 5)", "declare held insensitive scroll cursor with hold for select 1", "declare other cursor with hold for select 2",
			"fetch 2 from held", "fetch all from other", "close held", "close other", "close all", "declare plain cursor for select 3", "fetch plain", "move held")
	case 11:
		return g.pick("prepare own as select 5", "prepare own(int) as select $1 + 1", "prepare other as select v from t", "execute own", "execute own(3)", "execute other", "deallocate own", "deallocate prepare other",
			"deallocate all", "explain (costs off) execute own", "create temp table made as execute own")
	case 12:
		return g.pick("listen one", "listen one", "listen two", "listen \"Two\"", "unlisten one", "unlisten two", "unlisten *", "notify one", "notify one, 'a'", "notify one, 'b'", "notify two, 'c'",
			"select pg_notify('one', 'd')", "select pg_notify('Two', 'e')", "listen one; notify one, 'f'")
	}
	return g.pick("select setseed(0.5)", "set seed to 0.25", "select setseed(0.5); select random()", "load 'plpgsql'", "select nextval('seq')", "select setval('seq2', 40)", "discard temp", "discard sequences",
		"discard plans", "select txid_current() is null", "select pg_export_snapshot() is null", "lock table t in access share mode")
}

// look is a question about what the session has.
func (g *stateGenerator) look() string { return g.drawn(g.anyLook) }

func (g *stateGenerator) anyLook() string {
	if g.one(25) {
		return everySetting
	}
	if g.one(2) {
		switch s := tried[g.IntN(len(tried))]; s.name {
		case "app.x", "app.y":
			return fmt.Sprintf("select coalesce(nullif(current_setting('%s', true), ''), 'none')", s.name)
		default:
			return "show " + s.name
		}
	}
	return g.pick("select current_user, session_user", "select current_schemas(true)", "select v from t", "select v from t", "show transaction_isolation", "show transaction_read_only",
		"select name, is_holdable from pg_cursors order by 1", "select name, statement from pg_prepared_statements where from_sql order by 1",
		"select relname from pg_class where relnamespace = pg_my_temp_schema() order by 1", "select proname from pg_proc where pronamespace = pg_my_temp_schema()",
		"select pg_listening_channels() order by 1", "select classid, objid, objsubid, mode from pg_locks where pid = pg_backend_pid() and locktype = 'advisory' order by 1, 2, 3, 4",
		"select date '2020-01-31', timestamptz '2020-06-01 12:00 UTC', interval '1 day 2 hours'", "select '\\x41'::bytea, 0.1::float4, 'a\\'::text", "select * from own", "select * from own_view", "select * from emptied",
		"select pg_temp.f()", "fetch next from held", "execute own", "select to_regclass('t'), to_regclass('own')", "select 1", "")
}
