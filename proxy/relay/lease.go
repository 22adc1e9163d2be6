package relay

import (
	"context"
	"slices"
	"time"

	"weir/pool"
	"weir/proxy/conversation"
	"weir/proxy/eventloop"
	"weir/proxy/pgerror"
	"weir/proxy/session"
	"weir/proxy/socket"
	"weir/proxy/status"
)

// want asks the pool for a backend. True: the client has one, ready for its bytes. False: it waits, or has been failed.
func (c *Client) want() bool {
	c.move(clientWaiting)
	c.lane.want(c)
	return c.state == clientLeased && !c.ending.decided() && !c.backend.doomed()
}

func (l *Lane) want(c *Client) {
	l.pool.Want(l.now(), c.id, pool.SettingsID(c.talk.Set.ID()))
	l.decided()
	c.pursueLater()
}

// decided takes the pool's decisions and carries them out, in order. Carrying one out may bring about new events; their
// decisions are carried out after the others.
func (l *Lane) decided() {
	l.work = append(l.work, l.pool.Decisions()...)
	if l.working {
		return
	}
	l.working = true
	for i := 0; i < len(l.work); i++ {
		l.carryOut(l.work[i])
	}
	l.work = l.work[:0]
	l.working = false
	l.schedule()
}

func (l *Lane) carryOut(d pool.Decision) {
	switch d.Kind {
	case pool.NoDecision: // never decided
	case pool.Lease:
		l.wait.Observe(d.Waited)
		c, b := l.clients.at(uint32(d.Client)), l.backends[d.Backend]
		if c.greeted { // else it only wants to know what a backend reports
			l.totals.Leases++
		}
		b.watchLease(c, d.Waited)
		l.lease(c, b)
	case pool.Dial:
		l.dial(d.Backend)
	case pool.Close:
		l.backends[d.Backend].dismiss(d.Why)
	case pool.Abandon:
		if b := l.backends[d.Backend]; b != nil && b.state == backendDialling {
			b.abandoned = true
			b.giveUpDial()
		}
	case pool.Give:
		l.give(l.backends[d.Backend], d.Lane)
	case pool.Ask:
		l.ask(d.Lane)
	case pool.Wake:
		l.wake(d.Lane, d.Reply)
	case pool.Rest:
		l.engine.loop.Later(nil, l.rests)
	case pool.Fail:
		l.wait.Observe(d.Waited)
		// The client may be walking its bytes just now, and the answer depends on all of them: they are kept by the end of
		// the iteration.
		c, err := l.clients.at(uint32(d.Client)), l.waitError(d)
		l.waitedInVain(c, d, err)
		l.engine.loop.Later(c, func() { c.waitFailed(err) })
	}
}

// lease gives b to c. A client that is about to be closed is still known here: its backend goes straight back.
func (l *Lane) lease(c *Client, b *Backend) {
	b.lease = lease{leased: l.engine.loop.Now()}
	if b.spare { // it is being asked something, and goes on after its answer
		b.spare = false
		if !c.ending.decided() {
			b.client, c.backend = c, b
			c.move(clientSwitching)
		}
		return
	}
	if !c.greeted && !c.ending.decided() && l.leaseAsks(c, b) {
		return
	}
	if !c.ending.decided() && b.checkDue() {
		b.check(c)
		return
	}
	b.move(backendLeased)
	if c.ending.decided() {
		l.engine.loop.Later(b, b.reconsider)
		return
	}
	b.notifier.lease(c.pid, b.leased)
	b.client, c.backend = c, b
	l.join(c, b)
}

// join begins the conversation of a client and its backend.
func (l *Lane) join(c *Client, b *Backend) {
	b.unpinned()
	b.talk.Lease(&c.talk)
	if b.doomed() { // its end was noticed in this iteration; bury sends the client back to the queue
		c.move(clientLeased)
		return
	}
	if b.talk.Fits() {
		c.move(clientLeased)
		c.tell(b.talk.Params())
		c.proceed()
		return
	}
	l.totals.Switches++
	if c.greeted && b.talk.SwitchAhead() {
		c.move(clientLeased)
		c.proceed()
		return
	}
	b.switchFirst()
}

// switchFirst brings the backend to its client's settings. The client's bytes wait until that is confirmed: should a setting be refused, its
// statements would run without it.
func (b *Backend) switchFirst() {
	if c := b.client; c.state != clientSwitching {
		c.move(clientSwitching)
	}
	b.start(conversation.Switch)
}

// proceed lets a client use the backend that has just become ready for it.
func (c *Client) proceed() {
	if c.greeted {
		c.resume()
		return
	}
	// It asked for the backend only to learn its parameters.
	b := c.backend
	c.lane.learn(c.talk.Login, b.talk.Params())
	c.greet(nil, b.talk.Params())
	b.detach()
	c.lane.engine.loop.Later(b, b.reconsider)
}

// dial makes one more backend, if the limits over pools allow.
func (l *Lane) dial(id pool.BackendID) {
	b := &Backend{lane: l, id: id, born: l.engine.loop.Now(), number: l.engine.env.Number()}
	l.hold(b)
	l.counts.backends[backendDialling]++
	where, owed := l.config.Places.Owed(l.config.Lanes)
	l.limited = !owed && !l.config.Places.Take(l.config.Lanes)
	if owed || l.limited {
		why := pool.Limited
		if owed {
			why = pool.Full
			l.lack = &where
		}
		b.forget()
		l.pool.DialFailed(l.now(), id, pool.Failure{Kind: why})
		l.decided()
		return
	}
	l.totals.Dials++
	l.sayReserve()
	b.giveUpDial = l.startDial(func(d *Dialled, failure *DialError) { l.dialled(b, d, failure) })
}

// startDial dials beside the loop, which has done called then. giveUp says that the dial is of no use any more.
func (l *Lane) startDial(done func(*Dialled, *DialError)) (giveUp func()) {
	ctx, stop := context.WithCancel(l.ctx)
	go func() {
		d, failure := l.config.Dial(ctx)
		stop()
		if !l.engine.loop.Post(func() { done(d, failure) }) {
			l.abandonDialled(d)
		}
	}()
	return func() { time.AfterFunc(abandonAfter, stop) }
}

// abandonAfter is the time that a login has to come to its end after it is of no use any more: one that is broken off leaves a line in the server's log.
const abandonAfter = 500 * time.Millisecond

// abandonDialled closes a connection that comes too late for its loop, if there is one, and gives up its place.
func (l *Lane) abandonDialled(d *Dialled) {
	if d != nil {
		closeFD(d.FD)
		d.gone()
	}
	l.config.Places.Give(l.config.Lanes)
}

// dialled takes a new backend into the pool, or tells the pool why there is none.
func (l *Lane) dialled(b *Backend, d *Dialled, failure *DialError) {
	switch {
	case failure != nil && b.abandoned:
		l.dialAbandoned(b)
		return
	case failure != nil:
		l.dialFailed(b, failure)
		return
	}
	if l.ctx.Err() != nil { // the engine has been abandoned meanwhile
		l.abandonDialled(d)
		return
	}
	l.config.Places.Admitted(l.config.Lanes)
	l.dialling.Observe(l.engine.since(b.born))
	b.sock, b.pid, b.askToCancel, b.addr, b.left = socket.NewTLS(d.FD, d.TLS), d.PID, d.Cancel, d.Addr, d.Gone
	token, err := l.engine.loop.Register(d.FD, b, eventloop.First)
	if err != nil {
		b.sock.Close(&l.engine.io)
		d.gone()
		l.dialFailed(b, &DialError{Failure: pool.Failure{Kind: pool.Unreachable}, Client: pgerror.Unreachable(d.Addr, err.Error()), Err: err})
		return
	}
	b.token = token
	if !l.listener.connected() {
		l.addr = d.Addr
	}
	l.engine.env.Notifiers.add(process{b.addr, b.pid}, &b.notifier)
	b.sayOpened()
	if b.sock.Pending() {
		l.engine.loop.Again(token) // what TLS has read already is no event
	}
	b.talk = conversation.NewServer(&l.talk, l.adopt(d.Params))
	b.freed = l.engine.loop.Now()
	b.move(backendIdle)
	l.dialError, l.lack = nil, nil
	l.totals.DialsBy[status.DialOK]++
	b.opened()
	// One that the pool will close at once is asked nothing: the server would log that it cannot send its answer.
	if !l.defaults.found.Known && !l.pool.Unwanted(b.id) && l.askingDue(askForLogin) {
		b.spare = true
		b.askDefaults()
	}
	l.pool.Dialled(l.now(), b.id)
	l.decided()
}

// adopt compares what a new backend reports with what clients were told so far: a server whose defaults have changed tells
// the clients that come from now on. It returns the list to keep, which is shared if it has the same values.
func (l *Lane) adopt(params []session.Setting) []session.Setting {
	known, ok := l.config.Lanes.known.of(nil)
	if ok && slices.Equal(known, params) {
		return known
	}
	l.forgetKnown()
	l.learn(nil, params)
	return params
}

// dialAbandoned tells the pool that a dial has ended which weir itself has given up: that says nothing of the server.
func (l *Lane) dialAbandoned(b *Backend) {
	l.config.Places.Unused(l.config.Lanes)
	b.forget()
	l.totals.DialsBy[status.DialAbandoned]++
	l.pool.DialFailed(l.now(), b.id, pool.Failure{})
	l.decided()
}

func (l *Lane) dialFailed(b *Backend, failure *DialError) {
	l.config.Places.Unused(l.config.Lanes)
	l.lack = nil
	if failure.Failure.Kind == pool.Full {
		l.lack = &failure.Full
		l.config.Places.Full(l.config.Lanes, failure.Full)
	}
	b.forget()
	l.totals.DialsFailed++
	l.totals.DialsBy[failure.end()]++
	l.dialError, l.failed = failure, l.engine.loop.Now()
	l.config.Lanes.trouble.Store(&trouble{failure, l.failed})
	l.warnDial(failure)
	l.sayDialFailed(b, failure)
	l.pool.DialFailed(l.now(), b.id, failure.Failure)
	l.decided()
}

// waitError is what a client is told whose wait has failed.
func (l *Lane) waitError(d pool.Decision) *pgerror.Error {
	switch {
	case d.Why == pool.CauseLoginFailed && l.dialError != nil:
		return l.dialError.Client
	case l.engine.env.PgBouncer: // which has one word for all of them
	case l.pool.Counts().Paused:
		return pgerror.Paused(d.Waited.Round(time.Millisecond), l.Name())
	case !l.limited && l.config.Lanes.pool.Live() == 0:
		if t := l.config.Lanes.trouble.Load(); t != nil && t.at > l.config.Lanes.pool.Reached() {
			return t.failure.Client
		}
	}
	if full, is := l.serverFull(); is {
		return pgerror.NoBackendAtFullServer(l.describeWait(d.Waited), full.String())
	}
	return pgerror.NoBackend(l.describeWait(d.Waited))
}

// serverFull is what has no place left at the server and keeps the pool smaller than its size, if that is what does.
func (l *Lane) serverFull() (full Full, is bool) {
	if l.lack == nil {
		return 0, false
	}
	return *l.lack, !l.limited && l.pool.Counts().Full && l.config.Lanes.pool.Live() < l.config.Pool.Size
}

// trouble is the last dial of a pool that has failed, on whichever lane: those that wait on the others wait for the same.
type trouble struct {
	failure *DialError
	at      int64
}
