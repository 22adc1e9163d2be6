package relay

import (
	"errors"
	"time"

	"weir/proxy/eventloop"
	"weir/proxy/exchange"
	"weir/proxy/pgerror"
	"weir/proxy/prepared"
	"weir/proxy/session"
	"weir/proxy/socket"
	"weir/proxy/sqlscan"
	"weir/proxy/wire"
)

// How much of a server's message the relay looks at.
const (
	looksAtNothing = iota
	looksAtType    // it settles something
	looksAtBody    // its contents matter, too
)

var looks = [256]uint8{
	wire.ServerParseComplete:      looksAtType,
	wire.ServerBindComplete:       looksAtType,
	wire.ServerCloseComplete:      looksAtType,
	wire.ServerNoData:             looksAtType,
	wire.ServerRowDescription:     looksAtType,
	wire.ServerEmptyQueryResponse: looksAtType,
	wire.ServerPortalSuspended:    looksAtType,
	wire.ServerFunctionCallResult: looksAtType,
	wire.ServerCopyInResponse:     looksAtType,
	wire.ServerCopyOutResponse:    looksAtType,
	wire.ServerCopyBothResponse:   looksAtType,
	wire.ServerCommandComplete:    looksAtBody,
	wire.ServerErrorResponse:      looksAtBody,
	wire.ServerParameterStatus:    looksAtBody,
	wire.ServerReadyForQuery:      looksAtBody,
}

var errServerQuits = errors.New("the server has ended the connection")

// OnReady is called by the loop when the backend's socket has something to say.
func (b *Backend) OnReady(e eventloop.Event) {
	if e&eventloop.Writable != 0 {
		b.drain()
	}
	if e&eventloop.Readable != 0 {
		b.read(e&eventloop.HangUp != 0)
	}
}

// read takes what the socket has, up to a turn's worth.
func (b *Backend) read(hungUp bool) {
	e := b.lane.engine
	for range readsPerTurn {
		if b.doomed {
			return
		}
		if b.client != nil && b.client.sock.Parked() {
			b.unread = true // the client drains first, then reads on
			return
		}
		b.unread = false
		p, n, err := e.receive(&b.sock, &b.carry)
		if err != nil {
			if !errors.Is(err, socket.ErrWouldBlock) {
				b.doom(err)
			}
			return
		}
		b.consume(p)
		if n < eventloop.ReadBufferLen && !hungUp && !b.sock.Pending() {
			return
		}
	}
	b.unread = true
	e.loop.Again(b.token)
}

// drain goes on with what was parked for the backend, and then lets its client be read again.
func (b *Backend) drain() {
	if err := b.sock.Drain(&b.lane.engine.io); err != nil {
		b.doom(err)
		return
	}
	if b.sock.Parked() {
		return
	}
	b.watchWrite(false)
	if b.client != nil {
		b.client.readOn()
	}
}

// consume walks p, the next bytes of the server's stream, settles the account, and forwards what is the client's.
func (b *Backend) consume(p []byte) {
	from, pos := 0, min(int(b.skip), len(p))
	b.skip -= uint32(pos)
	if b.discard {
		from = pos
		b.discard = b.skip > 0
	}
	for pos < len(p) {
		rest := p[pos:]
		if len(rest) < wire.HeaderLen {
			break
		}
		f := wire.PeekFrame(rest)
		look := looks[f.Type]
		if f.CheckServer() != wire.FrameOK {
			b.doubt("a message that no server sends", f)
			return
		}
		if look == looksAtNothing && b.client != nil && b.errand == errandNone {
			if f.Total() <= len(rest) { // rows, mostly: nothing to do but to pass them on
				pos += f.Total()
				continue
			}
			b.skip = uint32(f.Total() - len(rest))
			pos = len(p)
			break
		}
		if look == looksAtBody && len(rest) < min(f.Total(), inspectLen) {
			break
		}
		n := min(f.Total(), len(rest))
		if b.probing && f.Type == wire.ServerParseComplete && !b.probed(rest[n:]) {
			break
		}
		swallowed, instead := b.judge(f, rest[:n])
		b.skip = uint32(f.Total() - n)
		if swallowed || instead != nil {
			b.toClient(p[from:pos])
			b.toClient(instead)
			b.lane.engine.io.Return(instead)
			from = pos + n
			b.discard = b.skip > 0
		}
		pos += n
		if b.freed && b.client != nil {
			b.toClient(p[from:pos])
			from = pos
			b.detach()
		}
		if b.doomed {
			return
		}
	}
	b.toClient(p[from:pos])
	if pos < len(p) {
		b.carry = append(b.lane.engine.io.Borrow(len(p)-pos), p[pos:]...)
	}
	b.walked()
}

// judge takes note of one message, or of the beginning of a long one. swallowed: it is not for the client. instead is what the client
// gets in its place, borrowed. A message may be changed where it is.
func (b *Backend) judge(f wire.Frame, message []byte) (swallowed bool, instead []byte) {
	body := message[wire.HeaderLen:]
	swallowed = b.client == nil || b.errand != errandNone && !(b.tells && f.Type == wire.ServerParameterStatus)
	if f.Type == wire.ServerErrorResponse && !swallowed && len(message) == f.Total() {
		instead = b.client.translate(body) // before the names that it mentions are taken back
	}
	switch b.note(f.Type, body) {
	case prepared.Swallow:
		swallowed = true
	case prepared.AsParseComplete:
		message[0] = wire.ServerParseComplete
	case prepared.Unknown, prepared.Pass, prepared.Impossible: // it goes on as it is; note has doubted what is impossible
	}
	return swallowed, instead
}

// walked does what had to wait until the whole read was judged.
func (b *Backend) walked() {
	if b.fatal && b.client == nil {
		b.doom(errServerQuits)
		return
	}
	if b.freed {
		b.freed = false
		b.release()
		return
	}
	c := b.client
	switch {
	case b.state == backendSettling:
		b.settleOn()
	case c == nil:
	case c.noMore && b.lastWord():
		c.part()
	case c.unread:
		c.readOn()
	}
}

// lastWord reports whether a client that sends no more has had all that it can get, as far as that is known.
func (b *Backend) lastWord() bool {
	return b.account.Due() == 0 || b.account.Copying() == exchange.CopyIn || b.doubtful()
}

// toClient forwards to the present client, if there is one.
func (b *Backend) toClient(p []byte) {
	if len(p) > 0 && b.client != nil {
		b.client.write(p)
	}
}

// note enters one message into what is known of the backend and, unless it answers a command of weir's own, into the account. The
// verdict is about completions that shared statements ask for.
func (b *Backend) note(t byte, body []byte) prepared.Verdict {
	switch t {
	case wire.ServerReadyForQuery:
		status, err := wire.PeekReadyForQuery(body)
		if err != nil {
			b.doubt("a ReadyForQuery without a status", wire.Frame{Type: t})
			break
		}
		b.ready(status)
	case wire.ServerErrorResponse:
		b.noteError(body)
	case wire.ServerParameterStatus:
		if name, value, err := wire.PeekParameterStatus(body); err == nil {
			b.report(string(name), string(value))
		}
	default:
		if b.errand == errandNone {
			return b.noteAnswer(t, body)
		}
	}
	return prepared.Pass
}

// noteAnswer enters a message that may settle something.
func (b *Backend) noteAnswer(t byte, body []byte) prepared.Verdict {
	b.account.Server(t)
	switch t {
	case wire.ServerCommandComplete:
		b.noteTag(wire.PeekTag(body))
	case wire.ServerPortalSuspended:
		b.noteTag(nil) // it has run, if not to its end
	case wire.ServerParseComplete, wire.ServerCloseComplete:
		return b.noteStatement(t)
	case wire.ServerCopyInResponse:
		if b.account.Copying() == exchange.CopyIn {
			b.unhold() // the server waits for the client
		}
	}
	return prepared.Pass
}

// noteStatement takes note that a statement was prepared or closed.
func (b *Backend) noteStatement(t byte) prepared.Verdict {
	verdict := b.book.Complete(&b.account, t, b.names())
	switch {
	case verdict == prepared.Impossible:
		b.doubt("a statement was prepared twice", wire.Frame{Type: t})
	case verdict == prepared.Unknown && t == wire.ServerParseComplete:
		b.unnamed.done = true
		if b.unnamed.named {
			b.pins |= session.PreparedStatement
		}
	}
	return verdict
}

func (b *Backend) noteTag(tag []byte) {
	b.deallocated(tag)
	if reshapes(tag) {
		b.reshaped = true
		b.lane.statements.Forget()
	}
	add, clearAll := session.Combine(b.effects, tag)
	if clearAll {
		// DISCARD ALL: the session is as it was after the backend's login. The effects are those of texts that were sent behind
		// it, too.
		b.pins = 0
		b.applied(nil)
	}
	b.pins = b.pins&^session.EndedBy(tag) | add
}

func (b *Backend) noteError(body []byte) {
	if code := wire.PeekErrorField(body, wire.FieldCode); len(code) >= 2 {
		b.lane.errors[[2]byte(code[:2])]++
	}
	if wire.Fatal(body) {
		b.fatal = true
	}
	if b.errand != errandNone {
		b.refused = append([]byte(nil), body...)
		return
	}
	b.pins |= session.FromError(b.effects)
	b.account.Server(wire.ServerErrorResponse)
	b.book.Failed(&b.account, b.names())
	if b.account.Skipping() {
		b.unhold() // what it was held for has been thrown away, and the server waits for a Sync
	}
	if string(wire.PeekErrorField(body, wire.FieldRoutine)) == staleRoutine {
		b.lane.statements.Forget()
	}
}

// staleRoutine is the function that refuses to run a statement whose result has other columns since it was prepared (0A000, "cached
// plan must not change result type"). The drivers prepare it again then.
const staleRoutine = "RevalidateCachedQuery"

// ready takes note of a ReadyForQuery: an errand is done, or the account says what comes next.
func (b *Backend) ready(status wire.TxStatus) {
	if b.errand != errandNone {
		b.errandDone(status)
		return
	}
	b.account.Ready(status)
	if b.reshaped && status == wire.TxIdle {
		b.reshaped = false
		b.lane.statements.Forget() // the change has been rolled back, or what was prepared elsewhere meanwhile is behind it
	}
	b.book.Failed(&b.account, b.names())
	b.measure(status)
	switch {
	case b.account.Settled():
		b.settled(status)
	case b.awaits:
		b.unhold()
	}
}

// settled decides what becomes of a backend that owes nothing, as far as is known.
func (b *Backend) settled(status wire.TxStatus) {
	switch {
	case b.doubtful() && b.client != nil:
		b.probe()
		return
	case b.doubtful(): // release retires it
	default:
		b.unnamed.settled()
		b.deallocating = nil
		if b.client != nil {
			b.client.names.Settled()
		}
		b.unhold()
		if status == wire.TxIdle && b.pins&session.PreparedStatement == 0 {
			b.effects = b.unnamed.effects // nothing else is left, neither statement nor portal, that could still do what its text says
		}
	}
	switch {
	case b.client == nil:
		b.freed = true // release decides what is left to do
	case b.set != b.client.set && b.account.Free() && b.client.skip == 0:
		b.restore()
	case b.account.Free() && b.mayFree():
		b.freed = true
	case b.lane.config.Mode == Statement && status != wire.TxIdle:
		b.client.fail(pgerror.StatementModeTransaction)
	}
}

// restore applies a client's startup settings anew after its DISCARD ALL, which has taken them back to those of the backend's login.
// In a session of its own it would have taken everything else back to them.
func (b *Backend) restore() {
	c := b.client
	b.tells = true
	c.move(clientSwitching)
	b.command(errandSwitch, string(session.AppendSwitch(nil, b.set, c.set)))
}

// unhold lets the client go on that had to wait for what its statements mean.
func (b *Backend) unhold() {
	b.awaits = false
	if c := b.client; c != nil && c.held {
		b.lane.engine.loop.Condemn(c.resumeHeld)
	}
}

// mayFree reports whether a backend that owes nothing may leave its client.
func (b *Backend) mayFree() bool {
	return b.pins == 0 && !b.unnamed.parsed && b.lane.config.Mode != Session && b.client.skip == 0 && !b.client.held
}

// measure times queries and transactions.
func (b *Backend) measure(status wire.TxStatus) {
	now := b.lane.engine.loop.Now()
	if b.asked != 0 {
		b.lane.query.Observe(time.Duration(now - b.asked))
	}
	b.asked, b.warned = 0, false
	if b.account.Due() > 0 {
		b.asked = now
	}
	if status == wire.TxIdle {
		if b.began != 0 {
			b.lane.totals.Transactions++
			b.lane.transact.Observe(time.Duration(now - b.began))
		}
		b.began, b.rested = 0, 0
		if b.asked != 0 {
			b.began = now
		}
		return
	}
	b.rested = now
}

// scanMode tells how a backend that reported params reads the text of statements.
func scanMode(params []session.Setting) sqlscan.Mode {
	var encoding, conforming string
	for _, p := range params {
		switch p.Name {
		case "client_encoding":
			encoding = p.Value
		case "standard_conforming_strings":
			conforming = p.Value
		}
	}
	return sqlscan.ModeOf(encoding, conforming)
}
