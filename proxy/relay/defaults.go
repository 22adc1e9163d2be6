package relay

import (
	"time"

	"weir/proxy/conversation"
	"weir/proxy/pgerror"
	"weir/proxy/wire"
)

// What a server gives each login changes: by ALTER ROLE and ALTER DATABASE for sessions that begin after it, by a reload for all. A
// lane asks one of its backends for that, so that a client that logs in gets what it would get from the server itself.
//
//	 a client logs in ──▶ asked lately? ── yes ──▶ it is greeted
//	                           │ no
//	                           ▼
//	an idle backend is asked; the client is greeted after the answer ── something else: older backends are closed when they come free
const (
	// askForLogin is how old an answer may be when a client logs in.
	askForLogin = time.Second
	// askForWork is how old an answer becomes while clients work and none logs in.
	askForWork = 2 * time.Second
	// askInVain is for how long a server is left alone that did not answer: it is not PostgreSQL's, or does not let this user ask.
	askInVain = time.Minute
	// askInDoubt is how old an answer must be where a backend has reported what nothing explains: it is the server's configuration, or a
	// client's doing, which may come with each transaction.
	askInDoubt = 100 * time.Millisecond
)

// defaults is what a lane knows of them.
type defaults struct {
	told
	asking  *Backend  // has been asked; nil: none
	wanted  bool      // a client has logged in and found no idle backend that could have been asked
	waiting []*Client // have logged in and wait for the answer
}

// told is what a backend has answered.
type told struct {
	found         conversation.Defaults
	since         int64  // when one was asked last; 0: it is time to ask
	redefinitions uint64 // that were known then
	vain          bool   // and did not answer
}

// inherit begins with what another lane of the pool knows.
func (d *defaults) inherit(lanes *Lanes) {
	if last := lanes.told.Load(); last != nil {
		d.told = *last
	}
}

// bequeath has lanes that come later begin with what this one knows.
func (d *defaults) bequeath(lanes *Lanes) {
	now := d.told
	lanes.told.Store(&now)
}

// spread tells the other lanes what this one has been answered.
func (l *Lane) spread() {
	l.defaults.bequeath(l.config.Lanes)
	l.config.Lanes.others(l, (*Lane).overhear)
}

// overhear takes up what another lane has been answered, as far as that is news. Clients that have waited for a backend only because nothing was known of
// what they get need none.
func (l *Lane) overhear() {
	d, last := &l.defaults, l.config.Lanes.told.Load()
	if last == nil || last.since <= d.since || d.asking != nil {
		return
	}
	nothing := d.since == 0
	l.hear(last.found)
	d.told = *last
	if !nothing {
		return
	}
	for _, c := range l.clients.items {
		if c != nil && c.state == clientWaiting && !c.greeted && l.pool.Waiting(c.id) {
			l.pool.Forget(l.now(), c.id)
			l.decided()
			l.arriveAgain(c)
		}
	}
}

// askingDue reports whether it is time to ask, where an answer may be that old.
func (l *Lane) askingDue(age time.Duration) bool {
	d := &l.defaults
	if n := l.engine.env.redefinitions.Load(); d.redefinitions != n {
		d.redefinitions, d.since, d.vain = n, 0, false
	}
	switch {
	case d.asking != nil:
		return false
	case d.vain:
		age = askInVain
	}
	return d.since == 0 || l.engine.since(d.since) > age
}

// arrive greets a client that has logged in, or asks first what its login is to give. owed is what it is to be sent before that.
func (l *Lane) arrive(c *Client, owed []byte) {
	d := &l.defaults
	if l.askingDue(askForLogin) {
		switch b := l.idleBackend(); {
		case b != nil:
			b.spare = true
			b.askDefaults()
		case d.since == 0: // what is known is doubtful, and a backend that comes free is asked before the client gets it
			c.write(owed)
			c.want()
			return
		default:
			d.wanted = true
		}
	}
	if d.asking != nil {
		c.write(owed)
		d.waiting = append(d.waiting, c)
		return
	}
	l.welcome(c, owed)
}

// welcome greets a client if it is known what a backend will report to it, and otherwise has it wait for one.
func (l *Lane) welcome(c *Client, owed []byte) {
	if params, ok := l.expected(c.talk.Set); ok {
		c.greet(owed, params)
		return
	}
	c.write(owed)
	c.want()
}

func (l *Lane) idleBackend() *Backend {
	for _, b := range l.backends {
		if b != nil && b.state == backendIdle && !b.doomed() && b.bound == nil {
			return b
		}
	}
	return nil
}

// askDefaults asks the backend, which has no client. If it is spare, the pool may lease it meanwhile.
func (b *Backend) askDefaults() {
	d := &b.lane.defaults
	d.asking, d.since, d.wanted = b, max(b.lane.engine.loop.Now(), 1), false
	b.reached = false
	b.start(conversation.AskDefaults)
}

// leaseAsks is for the lease of b to a client that is to be greeted with what b reports: that may be what logins gave once. True: the
// client goes on after an answer.
func (l *Lane) leaseAsks(c *Client, b *Backend) bool {
	d := &l.defaults
	switch {
	case d.asking != nil:
		b.move(backendLeased)
		l.engine.loop.Later(b, b.reconsider)
		d.waiting = append(d.waiting, c)
	case l.askingDue(askInVain):
		b.client, c.backend = c, b
		c.move(clientSwitching)
		b.askDefaults()
	default:
		return false
	}
	return true
}

// asksFirst has a backend that comes free asked, if it is time.
func (b *Backend) asksFirst() bool {
	age := askForWork
	if b.lane.defaults.wanted {
		age = askForLogin
	}
	if !b.lane.askingDue(age) {
		return false
	}
	b.comes()
	b.askDefaults()
	return true
}

// defaultsAnswered goes on after the answer. Not amid a handler: the pool may close the backend.
func (b *Backend) defaultsAnswered() {
	if b.doomed() {
		return
	}
	l := b.lane
	l.defaults.vain = !b.talk.Defaults().Known && string(wire.PeekErrorField(b.talk.Refused(), wire.FieldCode)) != pgerror.CodeQueryCanceled
	b.compareParams()
	changed := l.hear(b.talk.Defaults())
	l.spread()
	c := b.client
	switch {
	case b.doomed(): // the pool has closed it
	case b.spare:
		b.spare = false
		b.move(backendIdle)
		if b.bound != nil {
			b.setOut()
		}
	case c == nil:
		b.clean()
	case changed:
		b.client, c.backend = nil, nil
		b.retire()
		c.wantAgain()
	default:
		b.move(backendLeased)
		l.join(c, b)
	}
	l.defaultsAsked(b)
}

// hear compares an answer with what was known. True: logins give something else now.
func (l *Lane) hear(found conversation.Defaults) (changed bool) {
	was := l.defaults.found
	if !found.Known {
		return false
	}
	l.defaults.found = found
	if found.Defined != was.Defined && was.Defined != "" {
		l.talk.Relearn()
		l.talk.Statements.Forget()
	}
	switch {
	case !was.Known:
		return false
	case found.Altered != was.Altered:
		l.engine.env.Log.Info("defaults of logins have changed: backends are replaced", "pool", l.Name())
		since := l.defaults.since
		l.renew()
		found.Reported = "" // that was before
		l.defaults.found, l.defaults.since = found, since
		return true
	case found.Reported != was.Reported && was.Reported != "":
		l.forgetKnown()
	}
	return false
}

// renew has all backends replaced as soon as they are free, because logins get something else.
func (l *Lane) renew() {
	l.forgetKnown()
	l.defaults.found, l.defaults.since = conversation.Defaults{}, 0
	l.defaults.bequeath(l.config.Lanes)
	l.pool.Renew(l.now())
	l.decided()
}

// gaveNoAnswer takes note that b has not answered in time. Others, also those of other lanes, are not asked for a while, lest each client that
// logs in waits as long.
func (l *Lane) gaveNoAnswer(b *Backend) {
	if l.defaults.asking == b {
		l.defaults.vain = true
		l.spread()
	}
}

// defaultsAsked lets clients go on that waited for b's answer, which has come or will not come.
func (l *Lane) defaultsAsked(b *Backend) {
	d := &l.defaults
	if d.asking != b {
		return
	}
	waiting := d.waiting
	d.asking, d.waiting = nil, nil
	for _, c := range waiting {
		l.engine.loop.Later(c, func() { l.arriveAgain(c) })
	}
}

// arriveAgain lets a client go on that has waited for an answer. It is in no queue.
func (l *Lane) arriveAgain(c *Client) {
	if c.ending.decided() {
		return
	}
	if c.state != clientWaiting {
		c.move(clientWaiting)
	}
	if c.waitsTooLong() {
		return
	}
	c.move(clientLogin)
	if l.askingDue(askInVain) { // something has been changed since the question
		l.arrive(c, nil)
		return
	}
	l.welcome(c, nil)
}

// doubtDefaults has the lane ask soon: before it greets the next client, or when a backend comes free.
func (l *Lane) doubtDefaults() {
	l.defaults.since = min(l.defaults.since, max(l.engine.loop.Now()-int64(askForWork-askInDoubt), 1))
}

// changed tells all lanes, also those of other pools, what a command on a backend may have changed.
func (e *Env) changed(c conversation.Changes) {
	if c&conversation.ChangesLogins != 0 {
		e.redefinitions.Add(1)
	}
	if c&conversation.ChangesStatements != 0 {
		e.definitions.Add(1)
	}
	if c&conversation.ChangesTexts != 0 {
		e.reshapings.Add(1)
	}
}

// relearn has the lane learn anew what statements do: one that is trusted was found to leave state on another lane.
func (l *Lane) relearn() { l.talk.Relearn() }

// heedDefinitions has the lane learn anew what statements do, and prepare texts anew, if such a command has been carried out. It comes before a
// statement is judged, and before it is judged what those of a transaction have left: one may have waited for the command's locks.
func (l *Lane) heedDefinitions() {
	if n := l.engine.env.reshapings.Load(); n != l.reshapings {
		l.reshapings = n
		l.talk.Statements.Forget()
	}
	if n := l.engine.env.definitions.Load(); n != l.definitions {
		l.definitions = n
		l.talk.Relearn()
	}
}
