package proxy_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
)

var (
	stateCells = flag.Int("state-cells", 40, "about how many cells of each matrix of session state to try; 0 is all")
	stateFrom  = flag.Int("state-from", 0, "number of the first cell")
)

// stateKinds are kinds of state, each with statements that leave it, and what shows it to the client that has it.
var stateKinds = []struct{ name, makes, shows string }{
	{"SET", "set work_mem = '5MB'", "show work_mem"},
	{"SET SESSION", "set session search_path to alpha", "select v from t"},
	{"SET that is reported", "set datestyle = 'German'", "show datestyle"},
	{"SET that composes", "set datestyle = dmy", "show datestyle"},
	{"SET LOCAL", "set local work_mem = '6MB'", "show work_mem"},
	{"SET TIME ZONE", "set time zone 'Asia/Tokyo'", "show timezone"},
	{"SET NAMES", "set names 'LATIN1'", "show client_encoding"},
	{"SET of a custom setting", "set app.x = 'tenant'", "select nullif(current_setting('app.x', true), '')"},
	{"SET ROLE", "set role state_a", "select current_user"},
	{"SET SESSION AUTHORIZATION", "set session authorization state_b", "select session_user, current_user"},
	{"SET SESSION CHARACTERISTICS", "set session characteristics as transaction isolation level serializable", "show default_transaction_isolation"},
	{"set_config", "select set_config('statement_timeout', '63s', false)", "show statement_timeout"},
	{"set_config, local", "select set_config('lock_timeout', '63s', true)", "show lock_timeout"},
	{"RESET", "reset enable_sort", "show enable_sort"},
	{"RESET ALL", "reset all", "show enable_sort"},
	{"temporary table", "create temp table own as select 7 as a", "select * from own"},
	{"SELECT INTO TEMP", "select 8 as a into temp own", "select * from own"},
	{"ON COMMIT DROP", "create temp table own (a int) on commit drop", "select * from own"},
	{"temporary table by its schema", "create table pg_temp.t as select 'temp' as v", "select v from t"},
	{"temporary view", "create temp view own as select 9 as a", "select * from own"},
	{"temporary sequence", "create temp sequence own_seq", "select nextval('own_seq')"},
	{"temporary function", "create function pg_temp.f() returns int language sql as 'select 11'", "select proname from pg_proc where pronamespace = pg_my_temp_schema()"},
	{"advisory lock", "select pg_advisory_lock(11)", "select pg_advisory_unlock(11)"},
	{"advisory lock, twice", "select pg_advisory_lock(11), pg_advisory_lock(11)", "select pg_advisory_unlock(11)"},
	{"advisory lock, shared", "select pg_advisory_lock_shared(12)", "select pg_advisory_unlock_shared(12)"},
	{"advisory lock, two keys", "select pg_advisory_lock(1, 2)", "select pg_advisory_unlock(1, 2)"},
	{"advisory lock, tried", "select pg_try_advisory_lock(13)", "select pg_advisory_unlock(13)"},
	{"advisory lock, tried, shared", "select pg_try_advisory_lock_shared(3, 4)", "select pg_advisory_unlock_shared(3, 4)"},
	{"advisory lock, one of two given back", "select pg_advisory_lock(14), pg_advisory_lock(15), pg_advisory_unlock(14)", "select pg_advisory_unlock(15)"},
	{"advisory lock, given back", "select pg_advisory_lock(14), pg_advisory_unlock_all()", "select pg_advisory_unlock(14)"},
	{"advisory lock of a transaction", "select pg_advisory_xact_lock(16)", "select pg_advisory_unlock(16)"},
	{"cursor WITH HOLD", "declare held cursor with hold for select generate_series(1, 3)", "fetch 1 from held"},
	{"PREPARE", "prepare own as select 5", "execute own"},
	{"DEALLOCATE", "deallocate missing", "execute own"},
	{"LISTEN", "listen one", "select pg_listening_channels()"},
	{"UNLISTEN", "unlisten one", "select pg_listening_channels()"},
	{"setseed", "select setseed(0.5)", "select random() = 0.9851677175347999"},
	{"LOAD", "load 'auto_explain'", "show auto_explain.log_min_duration"},
	{"nextval", "select nextval('seq')", "select currval('seq'), lastval()"},
	{"setval", "select setval('seq2', 7)", "select currval('seq2')"},
}

// everything shows all that a session can have, a row each, and the settings that are not as after its login.
const everything = "select * from public.everything"

// stateEnds are what follows upon a statement. begin and end stand around it.
var stateEnds = []struct{ name, begin, end string }{
	{"at once", "", ""},
	{"commit", "begin", "commit"},
	{"rollback", "begin", "rollback"},
	{"rollback to a savepoint", "begin; savepoint s", "rollback to s; commit"},
	{"release of a savepoint", "begin; savepoint s", "release s; commit"},
	{"error", "begin", "select 1/0"},
	{"error, then a savepoint", "begin; savepoint s", "select 1/0; rollback to s; commit"},
	{"disconnect", "begin", ""},
	{"loss of backends", "", "lose"},
}

// TestStateStaysWithItsClient: every kind of state, brought about in every way, with every end, is with the client that has made
// it, as in a session of its own, and with no other: two others look at each backend that they can get, while the first client is
// there and after it has left.
//
// With session_audit = "learn" the ways that hide a statement are left out: one and the same text does something now and then there.
func TestStateStaysWithItsClient(t *testing.T) {
	t.Run("always", func(t *testing.T) { tryStates(t, "always", slices.Concat(plainly, concealing)) })
	t.Run("learn", func(t *testing.T) { tryStates(t, "learn", plainly) })
}

func tryStates(t *testing.T, audit string, ways []way) {
	l := newStateLane(t)
	l.stay = true
	withRoles(t, l.own)
	l.w = start(t, l.pooled, stateConfig(audit))
	all := len(stateKinds) * len(ways) * len(stateEnds)
	stride := 1
	if *stateCells > 0 {
		stride = max(1, all / *stateCells)
	}
	for stride > 1 && (stride%2 == 0 || stride%3 == 0 || stride%5 == 0 || stride%len(ways) == 0) {
		stride++ // so that each kind comes with each way and each end, sooner or later
	}
	tried := 0
	for n := *stateFrom; n < all; n += stride {
		kind, way, end := stateKinds[n/len(stateEnds)/len(ways)], ways[n/len(stateEnds)%len(ways)], stateEnds[n%len(stateEnds)]
		if !*stateEverything && unseen(kind.name, n/len(stateEnds)%len(ways) >= len(plainly)) {
			continue
		}
		tried++
		if _, err := l.run(stateCell(kind.makes, kind.shows, way, end.begin, end.end)); err != nil {
			t.Errorf("-state-from=%d: %s, %s, %s: %v", n, kind.name, way.name, end.name, err)
			if l.failures++; l.failures >= *stateFailures {
				return
			}
			l.w.Stop()
			l.w = start(t, l.pooled, stateConfig(audit))
		}
	}
	for c := range stateClients {
		if l.clients[c] != nil {
			_ = l.leave(stateStep{client: c})
		}
	}
	t.Logf("%d of %d cells", tried, all)
}

// unseen reports whether state of that kind is known to reach other clients.
func unseen(kind string, concealed bool) bool {
	switch kind {
	case "nextval", "setval": // currval and lastval are those of the backend
		return true
	case "setseed", "LOAD": // no question shows it
		return concealed
	}
	return false
}

// stateCell is the program of one cell: client 0 makes the state, 1 and 2 look for it.
func stateCell(makes, shows string, w way, begin, end string) []stateStep {
	steps := []stateStep{{client: 0, what: "connect"}}
	say := func(client int, sql ...string) {
		for _, s := range sql {
			steps = append(steps, stateStep{client: client, lines: []string{query(s)}})
		}
	}
	strangers := func() {
		say(1, "begin; "+everything)
		say(2, "begin; "+everything)
		say(1, "commit", "select currval('seq')")
		say(2, "commit")
	}
	if begin != "" {
		say(0, begin)
	}
	steps = append(steps, stateStep{client: 0, lines: w.lines(makes)})
	switch end {
	case "":
		if begin != "" { // it leaves amid its transaction
			strangers()
			break
		}
		fallthrough
	default:
		for s := range strings.SplitSeq(end, "; ") {
			if s != "" && s != "lose" {
				say(0, s)
			}
		}
		if end == "lose" {
			steps = append(steps, stateStep{what: "lose"})
			strangers()
			break
		}
		if strings.HasPrefix(end, "select 1/0") {
			say(0, "rollback")
		}
		strangers()
		say(0, everything, shows, shows)
		strangers()
		say(0, shows)
	}
	steps = append(steps, stateStep{client: 0, what: "vanish"})
	strangers()
	return append(steps, stateStep{client: 0, what: "connect"}, stateStep{client: 0, lines: []string{query(everything)}}, stateStep{client: 0, what: "terminate"})
}

// lose ends weir's backends, as a server does that is shut down.
func (l *stateLane) lose() error {
	sql := fmt.Sprintf("select count(pg_terminate_backend(pid, 20000)) from pg_stat_activity where datname = '%s'", l.pooled.Name)
	_, err := tryAsk(l.watch, sql)
	return err
}
