package relay

import (
	"slices"
	"time"

	"weir/pool"
	"weir/proxy/eventloop"
	"weir/proxy/pgerror"
	"weir/proxy/prepared"
	"weir/proxy/session"
	"weir/proxy/socket"
	"weir/proxy/wire"
)

// errandTimeout bounds a command of weir's own. Each takes a server a millisecond; one that takes this long will not end.
const errandTimeout = 10 * time.Second

// want asks the pool for a backend. True: the client has one, ready for its bytes. False: it waits, or has been failed.
func (c *Client) want() bool {
	l := c.lane
	c.move(clientWaiting)
	l.pool.Want(l.now(), c.id, pool.SettingsID(c.set.ID()))
	l.decided()
	return c.state == clientLeased && !c.doomed && !c.backend.doomed
}

// decided takes the pool's decisions and carries them out, in order. Carrying one out may bring about new events; their
// decisions queue up behind the others instead of overtaking them.
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
		l.totals.Leases++
		l.lease(l.clients.at(uint32(d.Client)), l.backends[d.Backend])
	case pool.Dial:
		l.dial(d.Backend)
	case pool.Close:
		l.backends[d.Backend].dismiss()
	case pool.Fail:
		l.wait.Observe(d.Waited)
		l.totals.WaitsFailed++
		// The client may be walking its bytes just now, and the answer depends on all of them: they are kept by the end of
		// the iteration.
		c, err := l.clients.at(uint32(d.Client)), l.waitError(d)
		l.engine.loop.Condemn(func() { c.waitFailed(err) })
	}
}

// lease gives b to c. A client that is about to be closed is still known here: its backend goes straight back.
func (l *Lane) lease(c *Client, b *Backend) {
	b.move(backendLeased)
	b.leased, b.sent = l.engine.loop.Now(), false
	b.unnamed.leased()
	b.effects = 0
	b.awaits, b.deallocating = false, nil
	if c.doomed {
		l.engine.loop.Condemn(b.reconsider)
		return
	}
	b.client, c.backend = c, b
	if b.doomed { // its end was noticed in this iteration; bury sends the client back to the queue
		c.move(clientLeased)
		return
	}
	if b.set == c.set {
		c.move(clientLeased)
		c.tell(b.params)
		c.proceed()
		return
	}
	// The client's bytes wait until the settings are confirmed. Sending both at once would save a round trip, but should
	// a setting be refused, the client's statements would run without it.
	l.totals.Switches++
	c.move(clientSwitching)
	b.command(errandSwitch, string(session.AppendSwitch(nil, b.set, c.set)))
}

// proceed lets a client use the backend that has just become ready for it.
func (c *Client) proceed() {
	if c.greeted {
		c.resume()
		return
	}
	// It asked for the backend only to learn its parameters.
	b := c.backend
	c.lane.learn(c.set, b.params)
	c.greet(nil, b.params)
	b.detach()
	c.lane.engine.loop.Condemn(b.reconsider)
}

// detach parts a backend that owes nothing from its client, which becomes idle.
func (b *Backend) detach() {
	c := b.client
	b.client, c.backend = nil, nil
	c.move(clientIdle)
	if c.noMore {
		c.part()
		return
	}
	c.readOn()
}

// reconsider is for what changed outside a read: the backend may be free now.
func (b *Backend) reconsider() {
	switch {
	case b.state != backendLeased:
	case b.client == nil:
		b.release()
	case b.doubtful() && b.account.Settled():
		b.probe()
	case b.account.Free() && b.mayFree():
		b.detach()
		b.release()
	}
}

// release gives a backend without a client back to the pool, once it is fit for any other client.
func (b *Backend) release() {
	if b.account.Taint() != 0 || b.suspect {
		b.retire()
		return
	}
	switch {
	case b.account.Status() != wire.TxIdle:
		b.command(errandRollback, "ROLLBACK")
	case b.pins != 0 || b.unnamed.parsed:
		b.reset(discardAll)
	case b.lane.config.Mode == Session && b.sent && b.lane.config.ResetQuery != "":
		b.reset(b.lane.config.ResetQuery)
	case b.cancels > 0:
		b.move(backendHeld)
	case b.lane.yields:
		b.lane.yields = false
		b.retire()
	default:
		b.until = 0
		b.compareParams()
		b.move(backendIdle)
		b.lane.pool.Freed(b.lane.now(), b.id, pool.SettingsID(b.set.ID()))
		b.lane.decided()
	}
}

// discardAll is the only command that takes back all of what pins a backend (manual, "DISCARD").
const discardAll = "DISCARD ALL"

func (b *Backend) reset(query string) {
	b.lane.totals.Resets++
	b.command(errandReset, query)
}

// dial makes one more backend, if the limits over pools allow.
func (l *Lane) dial(id pool.BackendID) {
	for int(id) >= len(l.backends) {
		l.backends = append(l.backends, nil)
	}
	b := &Backend{lane: l, id: id, born: l.engine.loop.Now(), book: prepared.Book{Max: l.config.MaxStatements}}
	l.backends[id] = b
	l.counts.backends[backendDialling]++
	l.limited = !l.config.Places.Take(l)
	if l.limited {
		b.forget()
		l.pool.DialFailed(l.now(), id, pool.Failure{Kind: pool.Limited})
		l.decided()
		return
	}
	l.totals.Dials++
	go func() {
		d, failure := l.config.Dial(l.ctx)
		if !l.engine.loop.Post(func() { l.dialled(b, d, failure) }) {
			l.abandonDialled(d)
		}
	}()
}

// abandonDialled closes a connection that comes too late for its loop, if there is one, and gives up its place.
func (l *Lane) abandonDialled(d *Dialled) {
	if d != nil {
		closeFD(d.FD)
	}
	l.config.Places.Give(l)
}

// dialled takes a new backend into the pool, or tells the pool why there is none.
func (l *Lane) dialled(b *Backend, d *Dialled, failure *DialError) {
	if failure != nil {
		l.dialFailed(b, failure)
		return
	}
	if l.ctx.Err() != nil { // the engine has been abandoned meanwhile
		l.abandonDialled(d)
		return
	}
	l.dialling.Observe(l.engine.since(b.born))
	l.dialError = nil
	b.sock, b.pid, b.askToCancel, b.addr, b.params = socket.NewTLS(d.FD, d.TLS), d.PID, d.Cancel, d.Addr, d.Params
	b.mode = scanMode(d.Params)
	b.account.Reset()
	token, err := l.engine.loop.Register(d.FD, b, eventloop.First)
	if err != nil {
		b.sock.Close(&l.engine.io)
		l.dialFailed(b, &DialError{Failure: pool.Failure{Kind: pool.Unreachable}, Client: pgerror.Unreachable(d.Addr, err.Error()), Err: err})
		return
	}
	b.token = token
	if b.sock.Pending() {
		l.engine.loop.Again(token) // what TLS has read already is no event
	}
	b.params = l.adopt(d.Params)
	b.move(backendIdle)
	l.pool.Dialled(l.now(), b.id)
	l.decided()
}

// adopt compares what a new backend reports with what clients were told so far: a server whose defaults have changed tells
// the clients that come from now on. It returns the list to keep, which is shared if it has the same values.
func (l *Lane) adopt(params []session.Setting) []session.Setting {
	known, ok := l.known[nil]
	if ok && slices.Equal(known, params) {
		return known
	}
	l.forgetKnown()
	l.learn(nil, params)
	return params
}

func (l *Lane) dialFailed(b *Backend, failure *DialError) {
	l.config.Places.Give(l)
	b.forget()
	l.totals.DialsFailed++
	l.dialError = failure
	l.warnDial(failure)
	l.pool.DialFailed(l.now(), b.id, failure.Failure)
	l.decided()
}

// warnEvery bounds how often one pool logs that its server cannot be had.
const warnEvery = int64(10 * time.Second)

func (l *Lane) warnDial(failure *DialError) {
	now := l.engine.loop.Now()
	if l.warned != 0 && now-l.warned < warnEvery || !l.engine.mayLog() { // any name that a client thinks of has a pool
		return
	}
	l.warned = now
	l.engine.env.Log.Warn("no backend: dial failed", "pool", l.Name(), "error", failure.Err)
}
