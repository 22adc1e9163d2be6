package relay

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"weir/pool"
	"weir/proxy/pgerror"
	"weir/proxy/status"
)

// linesPerSweep bounds what clients can make an engine write into the log of one kind between two sweeps, about a second.
const linesPerSweep = 10

// kindOfLine counts the lines of one kind, which is their message: those are fixed texts, and so are few.
type kindOfLine struct {
	written int // since the last sweep
	leftOut int // since the last line that was written
}

// lines bounds what an engine writes into the log.
type lines map[string]*kindOfLine

// swept begins another second.
func (l lines) swept() {
	for _, k := range l {
		k.written = 0
	}
}

// allow reports whether one more line of a kind may be written, and then how many were left out since the last one.
func (l lines) allow(kind string) (leftOut int, ok bool) {
	k := l[kind]
	if k == nil {
		k = &kindOfLine{}
		l[kind] = k
	}
	if k.written >= linesPerSweep {
		k.leftOut++
		return 0, false
	}
	k.written++
	leftOut, k.leftOut = k.leftOut, 0
	return leftOut, true
}

// tell writes what clients have caused into the log, unless there was much of that kind in this second. It reports whether it did.
func (e *Engine) tell(level slog.Level, message string, attributes ...any) bool {
	leftOut, ok := e.lines.allow(message)
	if !ok {
		return false
	}
	if leftOut > 0 {
		attributes = append(attributes, "lines_left_out", leftOut)
	}
	e.env.Log.Log(context.Background(), level, message, attributes...)
	return true
}

func (e *Engine) warn(message string, attributes ...any) {
	e.tell(slog.LevelWarn, message, attributes...)
}

// debugging reports whether there is a line for each connection.
func (e *Engine) debugging() bool { return e.env.Log.Enabled(context.Background(), slog.LevelDebug) }

// app is what a client calls itself.
func (c *Client) app() string {
	name, _ := c.talk.Set.Value(applicationName)
	return name
}

// timedOut counts and logs that a client has met a limit: of setting, after it had lasted for so long.
func (c *Client) timedOut(t status.Timeout, limit, lasted time.Duration) {
	c.lane.totals.Timeouts[t]++
	message := "timeout: client disconnected"
	if t == status.QueryTimeout {
		message = "timeout: server asked to cancel"
	}
	attributes := []any{"setting", t.String(), "limit", limit, "lasted", rounded(lasted), "pool", c.lane.Name(), "peer", c.peer, "app", c.app()}
	if c.backend != nil {
		attributes = append(attributes, "backend", c.backend.pid)
	}
	c.lane.engine.warn(message, attributes...)
}

// waitedInVain counts and logs a wait that has failed.
func (l *Lane) waitedInVain(c *Client, d pool.Decision, err *pgerror.Error) {
	l.totals.WaitsFailed++
	if d.Why == pool.CauseQueryWaitTimeout {
		l.totals.Timeouts[status.QueryWaitTimeout]++
	}
	if d.Why == pool.CauseLoginFailed && l.dialError != nil && l.dialError.Clients {
		l.totals.WaitsRefused++
	}
	l.engine.warn("client got no backend", "reason", d.Why.String(), "waited", rounded(d.Waited), "pool", l.Name(), "peer", c.peer, "app", c.app(),
		"sqlstate", err.Code, "error", err.Message, "detail", err.Detail)
}

// lost counts and logs the end of a backend, and what it was doing.
func (b *Backend) lost(end status.BackendEnd, cause error, c *Client) {
	if b.outlook == outlookConfused || end == status.BackendRetired { // weir's own wish, or logged already
		return
	}
	e := b.lane.engine
	attributes := []any{"pool", b.lane.Name(), "backend", b.pid, "server", b.addr, "age", rounded(e.since(b.born)), "error", cause}
	if words := b.talk.LastWords(); words != "" {
		attributes = append(attributes, "server_said", words)
	}
	if c == nil || !b.reached {
		e.tell(slog.LevelInfo, "backend lost: no client was using it", attributes...)
		return
	}
	e.warn("backend lost: a client was using it", append(attributes, "peer", c.peer, "app", c.app(), "due", b.talk.Due(),
		"in_transaction", b.began != 0, "held", rounded(e.since(b.leased)))...)
}

// endOf is why a backend is closed for that cause; nil is weir's own wish.
func (b *Backend) endOf(cause error) status.BackendEnd {
	switch {
	case cause == nil:
		return status.BackendRetired
	case b.outlook == outlookConfused:
		return status.BackendDoubted
	case errors.Is(cause, errTooLong):
		return status.BackendTooLong
	}
	return status.BackendLost
}

// dismissal is why the pool closes a backend.
func dismissal(why pool.Cause) status.BackendEnd {
	switch why {
	case pool.CauseLifetime:
		return status.BackendLifetime
	case pool.CauseIdleTimeout:
		return status.BackendIdleTimeout
	case pool.CausePoolIdle, pool.CauseVacated:
		return status.BackendPoolIdle
	case pool.NoCause, pool.CauseSurplus, pool.CauseReclaimed, pool.CauseQueryWaitTimeout, pool.CauseLoginFailed:
	default:
	}
	return status.BackendSurplus
}

// because notes why the client's connection ends, unless that is known.
func (c *Client) because(end status.ClientEnd) {
	if c.end == status.ClientStays {
		c.end = end
	}
}

// endBecause is why a client is disconnected that is told err.
func (c *Client) endBecause(err *pgerror.Error) status.ClientEnd {
	if !c.greeted && err.Code != pgerror.CodeAdminShutdown && err.Code != pgerror.CodeCannotConnectNow {
		return status.ClientRefused
	}
	switch err.Code {
	case pgerror.CodeIdleSessionTimeout:
		return status.ClientIdleTimeout
	case pgerror.CodeIdleTransactionTimeout:
		return status.ClientIdleInTransaction
	case pgerror.CodeTransactionTimeout:
		return status.ClientTransactionTimeout
	case pgerror.CodeQueryCanceled:
		return status.ClientQueryTimeout
	case pgerror.CodeConnectionFailure:
		return status.ClientBackendLost
	case pgerror.CodeProtocolViolation:
		return status.ClientViolation
	case pgerror.CodeAdminShutdown, pgerror.CodeCannotConnectNow:
		return status.ClientShutdown
	}
	return status.ClientOther
}

// left counts and logs that a client is gone.
func (c *Client) left() {
	c.because(status.ClientShutdown)
	c.lane.totals.ClientsBy[c.end]++
	c.sayLeft()
	if e := c.lane.engine; e.debugging() {
		e.env.Log.Debug("client left", "reason", c.end.String(), "pool", c.lane.Name(), "peer", c.peer, "app", c.app(), "client", c.number)
	}
}

// arrived logs a client that has logged in.
func (c *Client) arrived() {
	if e := c.lane.engine; e.debugging() {
		e.env.Log.Debug("client logged in", "pool", c.lane.Name(), "peer", c.peer, "app", c.app(), "client", c.number)
	}
}

// opened logs a backend that has logged in, and that there is one again after dials had failed.
func (b *Backend) opened() {
	l := b.lane
	e := l.engine
	if l.troubled != 0 {
		if l.warned != 0 {
			e.tell(slog.LevelInfo, "backend again: the server lets weir in", "pool", l.Name(), "server", b.addr, "after", rounded(e.since(l.troubled)))
		}
		l.troubled, l.warned = 0, 0
	}
	if e.debugging() {
		e.env.Log.Debug("backend opened", "pool", l.Name(), "server", b.addr, "backend", b.pid, "took", rounded(e.since(b.born)))
	}
}

// closed counts and logs that a backend is gone.
func (b *Backend) closed(end status.BackendEnd) {
	l := b.lane
	l.totals.BackendsBy[end]++
	b.sayClosed(end)
	if e := l.engine; e.debugging() {
		e.env.Log.Debug("backend closed", "reason", end.String(), "pool", l.Name(), "server", b.addr, "backend", b.pid, "age", rounded(e.since(b.born)))
	}
}

// warnEvery bounds how often one pool logs that its server cannot be had.
const warnEvery = int64(10 * time.Second)

// warnDial logs a failed dial.
func (l *Lane) warnDial(failure *DialError) {
	now := l.engine.loop.Now()
	if l.troubled == 0 {
		l.troubled = max(now, 1)
	}
	if l.warned != 0 && now-l.warned < warnEvery {
		return
	}
	if l.engine.env.PgBouncer && failure.Client != nil {
		if _, ok := l.engine.lines.allow("server login failed"); ok { // one key: the text has a stranger's words in it
			l.engine.env.Log.Warn("server login failed: FATAL "+failure.Client.InPgBouncersWords().Message, "pool", l.Name())
		}
	}
	// Any name that a client thinks of has a pool.
	if l.engine.tell(slog.LevelWarn, "no backend: dial failed", "pool", l.Name(), "error", failure.Err) {
		l.warned = max(now, 1)
	}
}

// rounded is a duration as a person reads it.
func rounded(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}
