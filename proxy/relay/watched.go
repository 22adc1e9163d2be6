package relay

import (
	"strings"
	"time"

	"weir/proxy/conversation"
	"weir/proxy/status"
)

// Tracer is told about transactions that are over. Its methods are called on loops, and do not block.
type Tracer interface {
	// Samples reports whether a transaction is to be told. known: its client's text names the span that it belongs to, and that is
	// sampled or not.
	Samples(known, sampled bool) bool
	// Texts reports whether texts of statements are told.
	Texts() bool
	Ended(t status.Transaction)
}

// watched is what is kept of a backend's present transaction for the log and for tracing, as far as nothing else needs it.
type watched struct {
	heard    conversation.Heard
	waited   time.Duration // of the client, for the lease; 0 if this is not the lease's first transaction
	first    bool          // it is
	idle     time.Duration // between requests
	sqlState [5]byte       // of the last error; zero: none
}

// watch sees to it that the transactions of a backend with that client are watched if they are to be, and costs nothing otherwise.
func (b *Backend) watch(c *Client) { b.watchBy(c.limits.Load()) }

func (b *Backend) watchBy(limits *Limits) {
	tracer := b.lane.engine.env.Tracer
	switch wanted := tracer != nil || limits.SlowTransaction > 0; {
	case wanted && b.watched == nil:
		b.watched = &watched{}
		b.watched.heard.Traced = tracer != nil
		b.talk.Hear(&b.watched.heard)
	case !wanted && b.watched != nil:
		b.watched = nil
		b.talk.Hear(nil)
	}
}

// watchLease is for a client that gets the backend after it has waited for so long.
func (b *Backend) watchLease(c *Client, waited time.Duration) {
	limits := c.limits.Load()
	if limit := limits.SlowWait; limit > 0 && waited >= limit && !c.ending.decided() {
		b.lane.slowWait(c, b, waited)
	}
	if b.watchBy(limits); b.watched != nil {
		b.watched.clear()
		b.watched.waited, b.watched.first = waited, c.greeted // or nothing is asked yet but for a login
	}
}

// clear is for the next transaction.
func (w *watched) clear() {
	w.heard.Clear()
	w.waited, w.first, w.idle, w.sqlState = 0, false, 0, [5]byte{}
}

// transactionOver tells log and tracing about the client's transaction, if there was one, which is over now.
func (b *Backend) transactionOver(c *Client, end status.TransactionEnd) {
	if c == nil || b.began == 0 {
		return
	}
	e, w := b.lane.engine, b.watched
	if b.rested != 0 {
		w.idle += e.since(b.rested)
	}
	if limit := c.limits.Load().SlowTransaction; limit > 0 && e.since(b.began) >= limit {
		b.slowTransaction(c, end)
	}
	if t := e.env.Tracer; t != nil && t.Samples(w.heard.Parent.Known(), w.heard.Parent.Sampled) {
		t.Ended(b.transaction(c, end))
	}
	w.clear()
}

// transactionCut counts and tells that the client's transaction, if there is one, does not come to its end.
func (b *Backend) transactionCut(why status.TransactionEnd) {
	if b.client == nil || b.began == 0 {
		return
	}
	b.lane.totals.Unfinished[why]++
	if b.watched != nil {
		b.transactionOver(b.client, why)
	}
}

// transaction is the present one, for tracing.
func (b *Backend) transaction(c *Client, end status.TransactionEnd) status.Transaction {
	loop, w, who := b.lane.engine.loop, b.watched, c.identity()
	t := status.Transaction{
		Database: who.Database, User: who.User, PoolUser: b.lane.config.User, Peer: c.peer, Application: c.app(), Server: b.addr, Backend: b.pid,
		Epoch: loop.Epoch(), Asked: b.began, Leased: b.began, Began: b.began, Ended: loop.Now(),
		Idle: w.idle, Statements: w.heard.Statements, TraceID: w.heard.Parent.TraceID, SpanID: w.heard.Parent.SpanID, End: end, SQLState: w.failure(),
	}
	if w.first {
		t.Asked, t.Leased = b.leased-int64(w.waited), b.leased
	}
	if b.lane.engine.env.Tracer.Texts() {
		t.Statement = shown(w.heard.Text())
	}
	return t
}

// failure is the SQLSTATE of the last error; empty if there was none.
func (w *watched) failure() string {
	if w.sqlState == [5]byte{} {
		return ""
	}
	return string(w.sqlState[:])
}

// shown is the beginning of a text as the log has it.
func shown(text []byte) string {
	return strings.ToValidUTF8(string(text[:min(len(text), conversation.StatementStart)]), "?")
}

// slowWait logs a wait that has ended well, and what it was for: a statement, or a login that had to hear the server's parameters first.
func (l *Lane) slowWait(c *Client, b *Backend, waited time.Duration) {
	who := c.identity()
	attributes := []any{
		"waited", rounded(waited), "pool", l.Name(), "db", who.Database, "user", who.User, "peer", c.peer, "app", c.app(),
		"waiting", l.counts.clients[clientWaiting] - 1,
	}
	if l.limited || l.config.Lanes.pool.Live() >= l.config.Pool.Size { // else it was a pause, a slow login or the server's absence
		setting, value, section := l.bound()
		attributes = append(attributes, "limit", setting, "value", value, "set_in", section)
	} else if full, is := l.serverFull(); is {
		attributes = append(attributes, "limit", full.String())
	}
	attributes = append(attributes, "backend", b.pid, "for")
	if c.greeted {
		attributes = append(attributes, "transaction", "statement", shown(c.talk.Asks(c.carry)))
	} else {
		attributes = append(attributes, "login")
	}
	l.engine.warn("slow wait", attributes...)
}

// slowTransaction logs one that is over, and for how much of it the client had nothing under way.
func (b *Backend) slowTransaction(c *Client, end status.TransactionEnd) {
	l, w, who := b.lane, b.watched, c.identity()
	attributes := []any{
		"took", rounded(l.engine.since(b.began)), "idle", rounded(w.idle), "waited", rounded(w.waited), "statements", w.heard.Statements,
		"pool", l.Name(), "db", who.Database, "user", who.User, "peer", c.peer, "app", c.app(), "backend", b.pid, "server", b.addr,
		"statement", shown(w.heard.Text()),
	}
	if end != status.TransactionEnded {
		attributes = append(attributes, "end", end.String())
	}
	if code := w.failure(); code != "" {
		attributes = append(attributes, "sqlstate", code)
	}
	l.engine.warn("slow transaction", attributes...)
}
