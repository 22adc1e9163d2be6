package relay

import (
	"errors"
	"time"

	"weir/pool"
	"weir/proxy/conversation"
	"weir/proxy/pgerror"
	"weir/proxy/status"
	"weir/proxy/wire"
)

const (
	// errandTimeout bounds a command of weir's own. Each takes a server a millisecond; one that takes this long will not end.
	errandTimeout = int64(10 * time.Second)
	// settleTimeout is how long a backend may take to finish what a client that has left asked for.
	settleTimeout = int64(60 * time.Second)
)

// begin notes that a request is about to be sent.
func (b *Backend) begin() {
	now := b.lane.engine.loop.Now()
	if b.asked == 0 {
		b.asked = now
	}
	if b.began == 0 {
		b.began = now
	}
	if b.watched != nil && b.rested != 0 {
		b.watched.idle += time.Duration(now - b.rested)
	}
	b.rested, b.kept = 0, 0
}

// follow does what conversation says becomes of a backend that has a client. True: it has left the client, and is to be cleaned.
func (b *Backend) follow() bool {
	b.lane.heedDefinitions()
	fate := b.talk.Fate()
	if fate.Asks() && b.exposed() {
		return false // cancelled comes back here
	}
	switch fate {
	case conversation.Leaves:
		b.detach()
		return true
	case conversation.Probed:
		b.probe()
	case conversation.Questioned:
		b.suspectPins()
		b.client.move(clientSwitching)
		b.startLast(conversation.Ask)
	case conversation.Refitted:
		b.switchFirst()
	case conversation.Restored:
		b.client.move(clientSwitching)
		b.start(conversation.Restore)
	case conversation.Recalled:
		b.client.move(clientSwitching)
		b.start(conversation.Recall)
	case conversation.Forbidden:
		b.client.failWith(pgerror.StatementModeTransaction)
	case conversation.TakesOn:
		b.takeOn()
	case conversation.AsksChannels:
		b.listenErrand(conversation.Channels)
	case conversation.HandsOver:
		return b.handOver()
	case conversation.Unlistens:
		b.listenErrand(conversation.Unlisten)
	case conversation.Stays:
		b.notePins()
		if b.client != nil {
			b.replaced(b.client)
		}
		if c := b.client; c != nil && c.lane.farewell != nil && c.dispensable() {
			c.failWith(c.lane.farewell)
		}
	}
	return false
}

// exposed reports whether a cancel request is on its way that would hit what is sent to the backend now: what it was meant for has been answered.
func (b *Backend) exposed() bool { return b.cancels > 0 && !b.talk.Runs() }

// reconsider is for what changed outside a read: the backend may be free now.
func (b *Backend) reconsider() {
	switch {
	case b.doomed() || b.state != backendLeased:
	case b.client == nil:
		b.clean()
	case b.follow():
		b.clean()
	}
}

// detach parts a backend that owes nothing from its client, which becomes idle.
func (b *Backend) detach() {
	b.unpinned()
	c := b.client
	b.talk.Part()
	b.client, c.backend = nil, nil
	c.move(clientIdle)
	if c.ending == endAnswered {
		c.part()
		return
	}
	if l := c.lane; l.farewell != nil {
		c.failWith(l.farewell)
		return
	}
	c.readOn()
}

// startLast sends an errand after which the backend comes free, most likely.
func (b *Backend) startLast(e *conversation.Errand) {
	b.comes()
	b.start(e)
}

// comes tells the pool that the backend is worth waiting for.
func (b *Backend) comes() {
	b.lane.pool.Coming(b.lane.now(), b.id)
	b.lane.decided()
}

// start sends an errand.
func (b *Backend) start(e *conversation.Errand) {
	if invariants && b.cancels > 0 {
		panic("relay: " + e.Name + " begins while a cancel request is under way")
	}
	b.move(backendInternal)
	b.started = b.lane.engine.loop.Now()
	b.until, b.asking = b.started+errandTimeout, e == conversation.Ask
	io := &b.lane.engine.io
	p := b.talk.Start(e, io.Borrow(512))
	was := b.reached
	b.send(p)
	b.reached = was
	io.Return(p)
}

// probe has a server asked whose account is in doubt. Until it has answered the client is not read.
func (b *Backend) probe() {
	b.until = b.lane.engine.loop.Now() + settleTimeout
	io := &b.lane.engine.io
	p := b.talk.StartProbe(io.Borrow(512))
	b.send(p)
	io.Return(p)
}

// errandEnded takes up what the errand was for. True: the backend is to be cleaned.
func (b *Backend) errandEnded(o conversation.Outcome) bool {
	b.until = 0
	c := b.client
	if (o == conversation.OutcomeAsked || o == conversation.OutcomeClean && b.asking) && !b.talk.AskedAnew() {
		b.lane.talk.Spend(b.lane.engine.since(b.started))
	}
	switch o {
	case conversation.OutcomeClean:
		return true
	case conversation.OutcomeApplied:
		b.applied(c)
	case conversation.OutcomeRefused:
		return b.settingsRefused(c)
	case conversation.OutcomeAnswered:
		if b.follow() {
			return true
		}
		if b.client != nil {
			b.lane.engine.loop.Later(b.client, b.client.resumeHeld)
		}
	case conversation.OutcomeChecked:
		b.lane.engine.loop.Later(b, b.checked)
	case conversation.OutcomeTold:
		b.lane.engine.loop.Later(b, b.defaultsAnswered)
	case conversation.OutcomeListening:
		return b.listenErrandEnded()
	case conversation.OutcomeAsked:
		return b.answered(c)
	case conversation.OutcomeBroken:
		b.doom(errandBroken(b.talk.Refused()))
	}
	return false
}

// errandBroken says what became of a command of weir's own, of which a server need not have said anything.
func errandBroken(refused []byte) error {
	if refused == nil {
		return errors.New("after a command of weir's own the session was in a transaction")
	}
	return errors.New("a command of weir's own was refused: " + refusedText(refused))
}

// refusedText is what an error says.
func refusedText(body []byte) string { return string(wire.PeekErrorField(body, wire.FieldMessage)) }

// applied lets the client go on that waited for its settings.
func (b *Backend) applied(c *Client) {
	b.move(backendLeased)
	c.move(clientLeased)
	c.refused = 0
	b.shareParams()
	c.tell(b.talk.Params())
	b.sayReady(c)
	c.proceed()
	b.lane.engine.loop.Later(b, b.reconsider)
}

// sayReady ends a request whose ReadyForQuery has waited for settings.
func (b *Backend) sayReady(c *Client) {
	io := &b.lane.engine.io
	p := b.talk.TakeReady(io.Borrow(512))
	if len(p) > 0 {
		c.unwish()
		c.say(p)
	}
	io.Return(p)
}

// answered goes on with a client whose backend has been asked for the state of its session. True: the backend has left it, and is to be
// cleaned.
func (b *Backend) answered(c *Client) bool {
	b.move(backendLeased)
	c.move(clientLeased)
	if b.follow() {
		return true
	}
	b.lane.pool.Busy(b.lane.now(), b.id)
	b.lane.decided()
	if b.talk.Errand() == nil && b.client != nil {
		c.proceed()
		b.lane.engine.loop.Later(b, b.reconsider)
	}
	return false
}

// settingsRefused is for a client whose settings the server does not take. What may be the backend's fault, or the moment's, is
// tried once more on another backend; what the client asked for in vain it is told. What the backend cannot leave is never the client's
// fault, and a new one has nothing to leave.
func (b *Backend) settingsRefused(c *Client) bool {
	if c == nil {
		return true
	}
	stuck := b.talk.Stuck()
	b.talk.Part()
	b.client, c.backend = nil, nil
	if stuck {
		b.retire()
		c.wantAgain()
		return false
	}
	if c.refused == 0 && (!clientsMistake(b.talk.Refused()) || hasTempBuffers(c)) {
		c.refused++
		b.retire()
		c.wantAgain()
		return false
	}
	c.refused = 0
	c.failWith(settingsRefused(b.talk.Refused()))
	return true
}

// hasTempBuffers reports whether the client has set temp_buffers, which a backend takes only before it has used a temporary table.
func hasTempBuffers(c *Client) bool {
	_, has := c.talk.Set.Value("temp_buffers")
	return has
}

// clientsMistake reports whether an error says that a setting cannot have its value, whichever backend is asked: the classes of data
// exceptions, authorization and access rules.
func clientsMistake(body []byte) bool {
	code := wire.PeekErrorField(body, wire.FieldCode)
	if len(code) < 2 {
		return false
	}
	switch string(code[:2]) {
	case "22", "28", "42":
		return true
	}
	return false
}

// settingsRefused passes on what the server said about a client's settings, as it would have said at a login of the client's
// own.
func settingsRefused(body []byte) *pgerror.Error {
	field := func(code byte) string { return string(wire.PeekErrorField(body, code)) }
	return pgerror.SettingsRefused(field(wire.FieldCode), field(wire.FieldMessage), field(wire.FieldDetail), field(wire.FieldHint))
}

// orphaned is for a backend whose client has left.
func (b *Backend) orphaned() {
	b.unpinned()
	b.transactionCut(status.TransactionLeft)
	cleaning := b.talk.Orphan()
	b.client = nil
	b.readOn()
	if b.doomed() || b.state == backendInternal { // an errand goes on; its end finds no client
		return
	}
	b.cleanBy(cleaning)
}

// clean makes a backend without a client fit for any other, step by step, and gives it back to the pool then.
func (b *Backend) clean() {
	if b.doomed() {
		return
	}
	b.cleanBy(b.talk.Cleaning())
}

func (b *Backend) cleanBy(cleaning conversation.Cleaning) {
	if b.outlook != outlookGood && cleaning != conversation.CleanAnswers {
		cleaning = conversation.CleanRetire
	}
	if b.cancels > 0 && cleaning.Holds() {
		b.hold()
		return
	}
	switch cleaning {
	case conversation.CleanNothing:
		b.release()
	case conversation.CleanAnswers:
		if b.stubborn {
			b.doom(errTooLong)
			return
		}
		b.settle()
	case conversation.CleanSync:
		b.settle()
		b.sendSync()
	case conversation.CleanRollback:
		b.startLast(conversation.Rollback)
	case conversation.CleanAsk:
		b.startLast(conversation.Ask)
	case conversation.CleanReset:
		b.lane.totals.Resets++
		b.startLast(conversation.Reset)
	case conversation.CleanRetire:
		b.retire()
	}
}

// hold has the backend wait for the end of a cancel request before anything else is done with it.
func (b *Backend) hold() {
	if b.state != backendHeld {
		b.until = 0
		b.move(backendHeld)
	}
}

// sendSync ends what the server throws away.
func (b *Backend) sendSync() {
	io := &b.lane.engine.io
	p := b.talk.AppendSync(io.Borrow(512))
	b.send(p)
	io.Return(p)
}

// settle throws away what is still due.
func (b *Backend) settle() {
	if b.state != backendSettling {
		b.move(backendSettling)
		b.until = b.lane.engine.loop.Now() + settleTimeout
	}
}

// release gives the backend back to the pool.
func (b *Backend) release() {
	switch {
	case b.lane.config.Lanes.yields.Load() && b.lane.config.Lanes.yields.CompareAndSwap(true, false):
		b.retire()
	case b.asksFirst():
	default:
		b.until = 0
		b.compareParams()
		b.freed = b.lane.engine.loop.Now()
		b.move(backendIdle)
		b.lane.pool.Freed(b.lane.now(), b.id, pool.SettingsID(b.talk.Set().ID()))
		b.lane.decided()
	}
}

// stopWork cancels what a backend is doing for a client that has gone. The sweeper repeats it, because more may be pipelined.
func (b *Backend) stopWork() {
	if b.state == backendSettling && !b.doomed() {
		b.until = b.lane.engine.loop.Now()
		b.cancel(func() {})
	}
}
