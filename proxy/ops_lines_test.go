package proxy_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"weir/internal/faultnet"
	"weir/proxy"
	"weir/proxy/status"
)

// A wait that fails, and a backend that dies in mid-transaction, each have a line with what an operator asks next.
func TestLogTellsWhereUsersAreHurt(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\n")
	holder, waiter := enter(t, w, d, "application_name", "nightly report"), enter(t, w, d, "application_name", "till")
	holder.Query("BEGIN")
	pid := holder.Query(pidQuery)
	w.hurry(t)
	refused(t, waiter.Run("SELECT 1").Err(), "53300")
	w.unhurry(t)
	expectLine(t, w, "client got no backend", "level=WARN", "reason=query_wait_timeout", "waited=", "app=till", "sqlstate=53300", "nightly report")
	expectTimeouts(t, w, status.QueryWaitTimeout, 1)

	killBackend(t, d, pid)
	holder.expectLastError("57P01")
	expectLine(t, w, "backend lost: a client was using it", "level=WARN", "backend="+pid, "in_transaction=true", "held=", `app="nightly report"`,
		"terminating connection due to administrator command")

	idle := waiter.Query(pidQuery)
	killBackend(t, d, idle)
	expectLine(t, w, "backend lost: no client was using it", "level=INFO", "backend="+idle)
	expectPool(t, w, "counting both", func(p status.Pool) bool {
		return p.Totals.BackendsBy[status.BackendLost] == 2 && p.Totals.ClientsBy[status.ClientBackendLost] == 1
	})
}

// A server that comes back is told of once, and a stranger's flood of one kind leaves room for the other kinds.
func TestLogTellsThatTheServerIsBack(t *testing.T) {
	d := database(t)
	n := faultnet.New(t, "tcp", d.Server.Addr())
	w := startAsUsual(t, d, behind(n)+"[timeouts]\nserver_login_retry = \"300ms\"") // each sweep lets ten lines more be written
	c := enter(t, w, d)
	if err := n.SetMode(faultnet.Refuse); err != nil {
		t.Fatal(err)
	}
	n.Cut()
	began := time.Now()
	for range 3 * 10 {
		refused(t, c.Run("SELECT 1").Err(), "08001")
	}
	expectLine(t, w, "no backend: dial failed")
	seconds := int(time.Since(began)/time.Second) + 2
	if n := strings.Count(w.Log.String(), "client got no backend"); n < 1 || n > 10*seconds {
		t.Errorf("%d lines of clients without a backend in less than %d seconds", n, seconds)
	}
	if err := n.SetMode(faultnet.Forward); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if err := c.Run("SELECT 1").Err(); err != nil {
			return err.Error()
		}
		return ""
	})
	expectLine(t, w, "backend again: the server lets weir in", "level=INFO", "after=")
}

// At level debug each connection has a line when it comes and when it goes, with the reason.
func TestDebugLogHasEveryConnection(t *testing.T) {
	d := database(t)
	w := startWith(t, d, "[log]\nlevel = \"debug\"\n[timeouts]\nserver_idle_timeout = \"200ms\"", proxy.Options{Level: new(slog.LevelVar)})
	c := enter(t, w, d, "application_name", "till")
	pid := c.Query(pidQuery)
	expectLine(t, w, "level=DEBUG", "client logged in", "pool="+d.Name+"/postgres", "app=till", "peer=127.0.0.1")
	expectLine(t, w, "level=DEBUG", "backend opened", "backend="+pid, "took=")
	c.Terminate()
	expectLine(t, w, "level=DEBUG", "client left", "reason=terminate", "app=till")
	expectLine(t, w, "level=DEBUG", "backend closed", "backend="+pid, "reason=server_idle_timeout", "age=")

	enter(t, w, d, "application_name", "rude").reset()
	expectLine(t, w, "client left", "reason=reset", "app=rude")
	_ = enter(t, w, d, "application_name", "silent").conn.Close()
	expectLine(t, w, "client left", "reason=closed", "app=silent")
	enter(t, w, d, "application_name", "last")
	w.Stop()
	expectLine(t, w, "client left", "reason=shutdown", "app=last")
}

// What the client named is its own mistake: it is told so in the server's words, and the server counts as well.
func TestClientsMistakeIsNotTheServersHealth(t *testing.T) {
	d := database(t)
	w := start(t, d, "")
	for code, name := range map[string][2]string{
		"3D000": {"postgres", "no_such_shop"},
		"28000": {"no_such_clerk", d.Name},
	} {
		_, err := tryDial(t, w.Addr, name[0], name[1])
		e := refused(t, err, code)
		if !strings.HasSuffix(e.Message, "does not exist") || e.Severity != "FATAL" {
			t.Errorf("told %+v, want the server's words", e)
		}
	}
	pools := w.Proxy.Snapshot().Pools
	if len(pools) != 2 {
		t.Fatalf("%d pools", len(pools))
	}
	for _, p := range pools {
		if p.ServerDown || p.ServerError == "" || p.Totals.DialsBy[status.DialRefused] == 0 || p.Totals.WaitsRefused != 1 {
			t.Errorf("%s/%s: down %t, %q, %+v", p.Database, p.User, p.ServerDown, p.ServerError, p.Totals)
		}
	}
}

// What clients hold, and for how long, is a number.
func TestOldestLeaseIsMeasured(t *testing.T) {
	d := database(t)
	w := start(t, d, "")
	c := enter(t, w, d)
	c.Query("BEGIN")
	expectPool(t, w, "holding a lease", func(p status.Pool) bool { return p.OldestLease > 0 })
	c.Query("COMMIT")
	expectPool(t, w, "without a lease", func(p status.Pool) bool { return p.OldestLease == 0 })
}
