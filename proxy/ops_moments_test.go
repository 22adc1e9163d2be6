package proxy_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"

	"weir/proxy"
)

var momentStride = flag.Int("moment-stride", 11, "of the moments at which clients end, each so-many-th is tried; 1 is all")

// momentPrograms are what clients say that end amid it: rounds of messages in the language of scripts, each round with an answer that is waited for.
var momentPrograms = map[string][][]string{
	"settings": {
		{query("set work_mem = '5MB'")},
		{
			query("begin"), query("set local lock_timeout = '3s'"), query("savepoint a"), query("set search_path = alpha"), query("rollback to a"),
			query("commit"),
		},
		{query("set app.x = 'tenant'"), query("set role state_a")},
		{query("do $$begin perform set_config('statement_timeout', '63s', false); end$$"), query("discard all")},
	},
	"statements": {
		{parsed("s", "select $1::int"), "Sync"},
		slices.Concat(bound("s", "7"), []string{"Sync"}, bound("s", "x"), []string{"Sync", query("prepare own as select 5"), query("execute own")}),
		{`Close {"ObjectType":"S","Name":"s"}`, "Sync", query("deallocate all")},
	},
	"objects": {
		{query("create temp table own as select 7 as a")},
		slices.Concat(andSync("insert into own values (1)"), []string{query("begin"), query("create temp table o () on commit drop"), query("commit")}),
		{query("select pg_advisory_lock(11)"), query("begin"), query("select pg_advisory_xact_lock(12)"), query("commit")},
	},
	"channels": {{query("listen one")}, {query("notify one, 'x'"), query("unlisten one"), query("listen two")}},
	"cursors": {
		{query("begin; declare c cursor for select generate_series(1, 100)"), query("fetch 3 from c"), query("commit")},
		{query("declare h cursor with hold for select generate_series(1, 9)")},
		{query("fetch 2 from h"), query("close h")},
	},
	"COPY in": {
		{query("copy w from stdin"), `CopyData {"Data":"1\n"}`, `CopyData {"Data":"2\n"}`, "CopyDone"},
		{query("copy w from stdin"), `CopyData {"Data":"x\n"}`, `CopyData {"Data":"2\n"}`, "CopyDone"},
		slices.Concat(extended("copy w from stdin"), []string{"Sync", `CopyData {"Data":"1\n"}`, `CopyFail {"Message":"no"}`, "Sync"}),
	},
	"results": {
		{query("copy (select repeat('x', 2000) from generate_series(1, 2000)) to stdout")},
		{query("select repeat('x', 1000) from generate_series(1, 4000)"), query("select pg_sleep(0.01)")},
	},
	"pipeline": {
		slices.Concat(andSync("select 1"), andSync("select 1/0"), andSync("insert into w values (1)"), andSync("set work_mem = '6MB'")),
		{query("begin"), query("select 1/0"), query("rollback")},
	},
	"flushes": {
		{parsed("", "select generate_series(1, 5)"), "Bind", `Execute {"MaxRows":2}`, "Flush", `Execute {"MaxRows":2}`, "Flush", "Sync"},
	},
	"calls": {
		{`FunctionCall {"Function":870,"Arguments":["Abc"]}`, `FunctionCall {"Function":964,"Arguments":["999"]}`},
		{query("begin"), query("select nextval('seq')"), query("select currval('seq')")},
	},
}

func andSync(sql string) []string { return append(extended(sql), "Sync") }

// undeclared is the SQLSTATE of a statement that there is not.
const undeclared = "26000"

// momentEndings are how a client ends that has sent the bytes; heard is closed when it hears nothing any more.
var momentEndings = []struct {
	name string
	deaf bool // it does not read what it is told
	end  func(w *weirUnderTest, c *wireClient, heard <-chan struct{})
}{
	{name: "reset", end: func(_ *weirUnderTest, c *wireClient, _ <-chan struct{}) { c.reset() }},
	{name: "gone", end: func(_ *weirUnderTest, c *wireClient, _ <-chan struct{}) { c.Vanish() }},
	{name: "deaf and reset", deaf: true, end: func(_ *weirUnderTest, c *wireClient, _ <-chan struct{}) { c.reset() }},
	{name: "terminated", end: func(_ *weirUnderTest, c *wireClient, _ <-chan struct{}) {
		_ = c.TrySendBytes(encode(c.t, &pgproto3.Terminate{}))
		c.Vanish()
	}},
	{name: "half closed", end: func(_ *weirUnderTest, c *wireClient, heard <-chan struct{}) {
		_ = c.conn.CloseWrite()
		<-heard
		c.Vanish()
	}},
	{name: "cancelled and reset", end: func(w *weirUnderTest, c *wireClient, _ <-chan struct{}) {
		if err := tryCancel(w.Addr, c.pid, c.secret); err != nil {
			c.t.Error(err)
		}
		c.reset()
	}},
}

// TestClientsThatEndAtAnyMomentLeaveNothing ends clients between any two messages of theirs, and amid each, in every way. The next one gets the only
// backend, finds nothing of them there, and is hit by nothing that was meant for them.
func TestClientsThatEndAtAnyMomentLeaveNothing(t *testing.T) {
	d := database(t)
	d.Exec(t, statePrelude, "create table w (a int)")
	withRoles(t, d)
	inEachWay(t, func(t *testing.T, toml string, o proxy.Options, secret bool) {
		w := startWith(t, d, toml+"[pool]\npool_size = 1\nsession_audit = \"always\"\n", o)
		w.secret = secret
		next := enter(t, w, d)
		clean := fmt.Sprint(next.Run(everything).Rows)
		n := 0
		for _, name := range slices.Sorted(maps.Keys(momentPrograms)) {
			for _, m := range momentsOf(t, momentPrograms[name]) {
				ending := momentEndings[n / *momentStride % len(momentEndings)]
				if n++; n%*momentStride != 0 {
					continue
				}
				c := enter(t, w, d)
				heard := c.live(m, ending.deaf)
				next.inBackground("select 'it waits'")
				ending.end(w, c, heard)
				<-heard
				if got := next.Answer(); got.First() != "it waits" {
					t.Fatalf("%s, %s after %v: the next client hears %v", name, ending.name, m, got)
				}
				got := fmt.Sprint(next.Run(everything).Rows) + next.Run("execute own").code() + next.Run("select currval('seq')").code()
				if got != clean+undeclared+undrawn {
					t.Fatalf("%s, %s after %v: the next client finds %s, want %s", name, ending.name, m, got, clean)
				}
			}
		}
		next.Terminate()
		expectAtRest(t, w)
	})
}

// inEachWay runs a test on one loop and on several, in plain text and with TLS.
func inEachWay(t *testing.T, f func(t *testing.T, toml string, o proxy.Options, secret bool)) {
	for _, loops := range []int{1, 3} {
		for _, secret := range []bool{false, true} {
			t.Run(fmt.Sprintf("loops=%d,tls=%v", loops, secret), func(t *testing.T) {
				var o proxy.Options
				o.SweepEvery(sweepEvery)
				o.SpreadPools()
				toml := fmt.Sprintf("[loops]\ncount = %d\n%s", loops, inPlainText)
				if secret {
					toml = fmt.Sprintf("[loops]\ncount = %d\n%s", loops, bothTLS(t))
				}
				f(t, toml, o, secret)
			})
		}
	}
}

// moment is when a client ends: it has had the answers to some rounds, and has sent the beginning of the next.
type moment struct{ rounds, rest []byte }

func (m moment) String() string { return fmt.Sprintf("%q and %q", m.rounds, m.rest) }

// momentsOf are the moments between any two messages of a program, and amid each.
func momentsOf(t *testing.T, rounds [][]string) (all []moment) {
	t.Helper()
	var before []byte
	for _, lines := range rounds {
		var sent []byte
		for _, line := range lines {
			message, err := parseMessages(line)
			if err != nil {
				t.Fatal(err)
			}
			half := len(message)/2 + 1
			all = append(all, moment{before, slices.Clone(sent)}, moment{before, slices.Concat(sent, message[:half])})
			sent = append(sent, message...)
		}
		all = append(all, moment{before, sent})
		before = slices.Concat(before, sent, queryBytes("")) // no state of a transaction refuses that
	}
	return all
}

// live brings a client to a moment. What it hears then is read and forgotten, unless it is deaf; heard is closed when it hears nothing any more.
func (c *wireClient) live(m moment, deaf bool) (heard <-chan struct{}) {
	c.t.Helper()
	c.SendBytes(m.rounds)
	for left, empty := bytes.Count(m.rounds, queryBytes("")), false; left > 0; {
		answer, err := c.TryReceive()
		switch answer.(type) {
		case nil:
			c.t.Fatalf("%v: %v", m, err)
		case *pgproto3.EmptyQueryResponse:
			empty = true
		case *pgproto3.ReadyForQuery:
			if empty {
				left, empty = left-1, false
			}
		}
	}
	c.SendBytes(m.rest)
	ended := make(chan struct{})
	if deaf {
		close(ended)
		return ended
	}
	go func() {
		defer close(ended)
		_ = c.conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, c.conn); onlyTimeouts(err) != nil {
			c.t.Errorf("the connection of a client that has ended stays open: %v", err)
		}
	}()
	return ended
}
