package pool

import (
	"math/rand/v2"
	"slices"
	"time"
)

// model is the pool once more, deliberately dumb: slices, no lists, no counts,
// no planned times; whatever may be due is looked at in full. It shares with
// the pool the types, the constants and the seed of the jitter, nothing else.
type model struct {
	cfg     Config
	now     Instant
	random  rand.PCG
	paused  bool
	probe   bool
	refused bool
	since   Instant
	// pardoned is when the credentials changed last.
	pardoned Instant
	// empty is set while there are no clients, since left.
	empty bool
	left  Instant
	// contested is set while other pools wait for places.
	contested      bool
	contestedSince Instant
	// away, full, shared and flaps are the obstacles. Flaps are unasked if none was a client's.
	away, full, shared, flaps modelObstacle
	unasked                   bool

	wait  []modelWaiter  // oldest first
	dials []modelBackend // in no order
	lent  []modelBackend // in no order
	idle  []modelBackend // longest idle first

	ids []BackendID // numbers that the pool gave to the dials of this event
	out []Decision
}

type modelWaiter struct {
	c     ClientID
	since Instant
}

type modelBackend struct {
	b             BackendID
	s             SettingsID
	since, began  Instant
	born, expires Instant
	stale, proven bool
	soon          Instant // until when it is expected to come free
}

type modelObstacle struct {
	n           int
	last, retry Instant
}

func (m *model) live() int  { return len(m.idle) + len(m.lent) }
func (m *model) total() int { return m.live() + len(m.dials) }

// over reports whether a timeout that began at t is over. A timeout of 0 is off.
func (m *model) over(t Instant, d time.Duration) bool { return d > 0 && m.now >= t+Instant(d) }

// take removes backend b from one of the lists.
func take(from *[]modelBackend, b BackendID) modelBackend {
	i := slices.IndexFunc(*from, func(e modelBackend) bool { return e.b == b })
	e := (*from)[i]
	*from = slices.Delete(*from, i, i+1)
	return e
}

func (m *model) close(b BackendID, why Cause) {
	m.out = append(m.out, Decision{Kind: Close, Backend: b, Why: why})
}

func (m *model) failFirst(why Cause) {
	w := m.wait[0]
	m.wait = m.wait[1:]
	m.out = append(m.out, Decision{Kind: Fail, Client: w.c, Waited: time.Duration(m.now - w.since), Why: why})
}

func (m *model) certain() bool {
	retry := Instant(m.cfg.ServerLoginRetry)
	fresh := retry
	if !m.refused && len(m.dials) == 0 {
		fresh = min(retry, Instant(2*time.Second))
	}
	return !m.paused && m.away.n > 0 && m.live() == 0 && m.now <= m.away.last+fresh && (m.refused || !m.cfg.Patient && m.now >= m.since+retry)
}

func (m *model) wanted() bool {
	if m.empty && m.away.n > 0 && m.refused {
		return len(m.wait) > len(m.dials)+m.soon()
	}
	return len(m.wait) > len(m.dials)+m.soon() || m.total() < m.least() || m.probe && m.total() == 0 && m.away.n > 0
}

// soon is how many backends are expected to come free.
func (m *model) soon() (n int) {
	for _, e := range m.lent {
		if m.now < e.soon {
			n++
		}
	}
	return n
}

func (m *model) least() int {
	if m.empty && !m.cfg.KeepMin {
		return 0
	}
	return m.cfg.MinSize
}

// vacate closes what is idle above the least.
func (m *model) vacate(why Cause) {
	for len(m.idle) > 0 && m.live() > m.least() {
		m.close(take(&m.idle, m.idle[0].b).b, why)
	}
}

func (m *model) allowed() bool {
	room := m.cfg.Size
	if n := len(m.dials); len(m.wait) > n && m.over(m.wait[n].since, m.cfg.ReserveTimeout) {
		room += m.cfg.ReserveSize
	}
	for _, o := range []modelObstacle{m.away, m.full, m.shared} {
		if o.n > 0 && (len(m.dials) > 0 || m.now < o.retry) {
			return false
		}
	}
	return !m.paused && (m.flaps.n == 0 || m.now >= m.flaps.retry || m.unasked && len(m.wait) > 0) && m.total() < room && len(m.dials) < m.cfg.MaxDials
}

func (m *model) dial() {
	id := BackendID(0) // the pool does not dial: that will show
	if len(m.ids) > 0 {
		id, m.ids = m.ids[0], m.ids[1:]
	}
	m.dials = append(m.dials, modelBackend{b: id, since: m.now})
	m.out = append(m.out, Decision{Kind: Dial, Backend: id})
	m.probe = false
}

func (m *model) failCertain() {
	m.probe = m.probe || len(m.wait) > 0
	for len(m.wait) > 0 {
		m.failFirst(CauseLoginFailed)
	}
}

func (m *model) settle() {
	for m.wanted() && m.allowed() {
		m.dial()
	}
	if len(m.dials) == 0 && m.certain() {
		m.failCertain()
	}
}

func (m *model) jitter(d time.Duration) Instant {
	if d <= 0 {
		return 0
	}
	return Instant(m.random.Uint64() % uint64(d))
}

func (m *model) expiry(born Instant) Instant {
	if m.cfg.ServerLifetime == 0 {
		return Never
	}
	return born + Instant(m.cfg.ServerLifetime) - m.jitter(m.cfg.ServerLifetime/10)
}

func (m *model) backoff(n int, most time.Duration) Instant {
	d := 100 * time.Millisecond
	for ; n > 1 && d < most; n-- {
		d *= 2
	}
	d = min(d, max(most, 100*time.Millisecond))
	return m.now + Instant(d) - m.jitter(d/4)
}

func (m *model) strike(o *modelObstacle, started Instant, most time.Duration) {
	if o.n == 0 || started >= o.last {
		o.n++
		o.retry = m.backoff(o.n, most)
	}
	o.last = m.now
}

// use puts a backend that is in none of the lists to use.
func (m *model) use(e modelBackend) {
	room := m.cfg.Size
	if len(m.wait) > 0 {
		room += m.cfg.ReserveSize
	}
	switch {
	case m.paused:
		m.close(e.b, CausePaused)
	case e.stale:
		m.close(e.b, CauseRenewed)
	case m.now >= e.expires:
		m.close(e.b, CauseLifetime)
	case m.live()+1 > room:
		m.close(e.b, CauseSurplus)
	case len(m.wait) > 0:
		w := m.wait[0]
		m.wait = m.wait[1:]
		m.lent = append(m.lent, e)
		m.out = append(m.out, Decision{Kind: Lease, Client: w.c, Backend: e.b, Waited: time.Duration(m.now - w.since)})
	default:
		e.since = m.now
		m.idle = append(m.idle, e)
	}
}

// abandon gives up the dials that were not given up before.
func (m *model) abandon() {
	slices.SortFunc(m.dials, func(a, b modelBackend) int { return int(a.b) - int(b.b) })
	for i := range m.dials {
		if !m.dials[i].stale {
			m.dials[i].stale = true
			m.out = append(m.out, Decision{Kind: Abandon, Backend: m.dials[i].b})
		}
	}
}

// apply plays one event. ids are the numbers of the backends that the pool
// dialled in answer to it.
func (m *model) apply(o op, now Instant, ids []BackendID) []Decision {
	m.now, m.ids, m.out = now, ids, nil
	switch o.verb {
	case "want":
		if back := m.empty; m.want(o.client, o.settings) && !back {
			return m.out
		}
	case "forget":
		m.wait = slices.DeleteFunc(m.wait, func(w modelWaiter) bool { return w.c == o.client })
		return m.out
	case "freed":
		e := take(&m.lent, o.backend)
		news := !e.proven && !e.stale && m.flaps.n > 0
		if news {
			m.flaps = modelObstacle{}
		}
		e.s, e.soon, e.proven = o.settings, 0, true
		m.use(e)
		if !news && (len(m.out) == 0 || m.out[0].Kind == Lease) {
			return m.out
		}
	case "dialled":
		e := take(&m.dials, o.backend)
		e.began, e.born, e.expires = e.since, now, m.expiry(now)
		m.use(e)
		m.succeeded(e.began)
	case "failed":
		if e := take(&m.dials, o.backend); !e.stale || o.kind == Limited {
			m.failed(e.since, o.kind)
		}
	case "lost", "discard":
		list := &m.lent
		if slices.ContainsFunc(m.idle, func(e modelBackend) bool { return e.b == o.backend }) {
			list = &m.idle
		}
		if e := take(list, o.backend); o.verb == "lost" && !e.proven && !e.stale && now <= e.born+Instant(time.Second) {
			m.flapped(e.began, list == &m.idle)
		}
	case "expel":
		if i := slices.IndexFunc(m.lent, func(e modelBackend) bool { return e.b == o.backend }); i >= 0 {
			m.lent[i].stale = true
		} else {
			m.close(take(&m.idle, o.backend).b, CauseRenewed)
		}
	case "coming":
		i := slices.IndexFunc(m.lent, func(e modelBackend) bool { return e.b == o.backend })
		if m.lent[i].soon == 0 {
			m.lent[i].soon = now + Instant(100*time.Millisecond)
		}
		return m.out
	case "busy":
		i := slices.IndexFunc(m.lent, func(e modelBackend) bool { return e.b == o.backend })
		if m.lent[i].soon == 0 {
			return m.out
		}
		m.lent[i].soon = 0
	case "reclaim":
		if len(m.idle) > 0 && m.live() > m.least() {
			m.close(take(&m.idle, m.idle[0].b).b, CauseReclaimed)
		}
		return m.out
	case "nudge":
		m.shared.retry = now
		if m.full.n > 0 {
			m.full.n, m.full.retry = 1, now
		}
	case "contested", "uncontested":
		if !m.contested {
			m.contestedSince = now
		}
		m.contested = o.verb == "contested"
	case "pardon":
		m.pardoned = now
		if m.refused {
			m.away = modelObstacle{}
		}
	case "clients":
		m.empty = false
	case "no-clients":
		if !m.empty {
			m.empty, m.left = true, now
		}
	case "vacate":
		if m.empty {
			m.vacate(CauseVacated)
		}
	case "pause":
		m.paused = true
		m.abandon()
		m.closeIdle(CausePaused)
	case "resume":
		m.paused = false
	case "configure":
		m.configure(o.cfg)
	case "renew":
		m.abandon()
		for i := range m.lent {
			m.lent[i].stale = true
		}
		for len(m.idle) > 0 {
			m.close(take(&m.idle, m.idle[0].b).b, CauseRenewed)
		}
		m.away, m.full, m.flaps, m.probe = modelObstacle{}, modelObstacle{}, modelObstacle{}, false
	case "tick":
		m.tick()
	}
	m.settle()
	return m.out
}

func (m *model) closeIdle(why Cause) {
	for len(m.idle) > 0 {
		m.close(take(&m.idle, m.idle[0].b).b, why)
	}
}

// want reports whether an idle backend answered it.
func (m *model) want(c ClientID, s SettingsID) bool {
	m.empty = false
	switch {
	case len(m.idle) > 0:
		best := len(m.idle) - 1
		for i := best; i >= 0 && i > len(m.idle)-5; i-- {
			if m.idle[i].s == s {
				best = i
				break
			}
		}
		e := take(&m.idle, m.idle[best].b)
		m.lent = append(m.lent, e)
		m.out = append(m.out, Decision{Kind: Lease, Client: c, Backend: e.b})
		return true
	case len(m.wait) == 0 && m.certain():
		m.probe = true
		m.out = append(m.out, Decision{Kind: Fail, Client: c, Why: CauseLoginFailed})
	default:
		m.wait = append(m.wait, modelWaiter{c, m.now})
	}
	return false
}

func (m *model) succeeded(started Instant) {
	m.away, m.probe = modelObstacle{}, false
	if started >= m.shared.last {
		m.shared = modelObstacle{}
	}
	if m.full.n > 0 && started >= m.full.last {
		if m.live() >= m.cfg.Size || m.now > m.full.last+Instant(time.Minute) {
			m.full = modelObstacle{}
		} else {
			m.full.n, m.full.retry = 1, m.backoff(1, 5*time.Second)
		}
	}
}

func (m *model) flapped(began Instant, idle bool) {
	if m.now > m.flaps.last+Instant(10*time.Second) {
		m.flaps = modelObstacle{}
	}
	m.unasked = idle && (m.unasked || m.flaps.n == 0)
	m.strike(&m.flaps, began, time.Second)
}

func (m *model) failed(started Instant, kind FailureKind) {
	switch kind {
	case Limited:
		m.shared = modelObstacle{1, m.now, m.now + Instant(time.Second)}
	case Full:
		m.away = modelObstacle{}
		m.strike(&m.full, started, 5*time.Second)
	case Unreachable, Refused:
		if kind == Refused && started <= m.pardoned {
			return
		}
		if m.away.n > 0 && started > m.away.last+2*Instant(m.cfg.ServerLoginRetry) {
			m.away = modelObstacle{}
		}
		if m.away.n == 0 {
			m.since = started
		}
		most := m.cfg.ServerLoginRetry
		if kind == Unreachable {
			most = min(most, time.Second)
		}
		m.strike(&m.away, started, most)
		m.refused = kind == Refused
		if m.certain() {
			m.failCertain()
		}
	}
}

func (m *model) configure(cfg Config) {
	old := m.cfg.ServerLifetime
	m.cfg = cfg.checked()
	if old != m.cfg.ServerLifetime {
		// In the order of their numbers, as the pool draws its jitter.
		var all []*modelBackend
		for i := range m.idle {
			all = append(all, &m.idle[i])
		}
		for i := range m.lent {
			all = append(all, &m.lent[i])
		}
		slices.SortFunc(all, func(a, b *modelBackend) int { return int(a.b) - int(b.b) })
		for _, e := range all {
			e.expires = m.expiry(e.born)
		}
	}
	for len(m.idle) > 0 && m.live() > m.cfg.Size {
		m.close(take(&m.idle, m.idle[0].b).b, CauseSurplus)
	}
}

func (m *model) tick() {
	for len(m.wait) > 0 && m.over(m.wait[0].since, m.cfg.QueryWaitTimeout) {
		m.failFirst(CauseQueryWaitTimeout)
	}
	for _, e := range slices.Clone(m.idle) {
		if m.now >= e.expires {
			m.close(take(&m.idle, e.b).b, CauseLifetime)
		}
	}
	for len(m.idle) > 0 && m.live() > m.least() {
		e, why := m.idle[0], NoCause
		switch {
		case m.over(e.since, m.cfg.ServerIdleTimeout):
			why = CauseIdleTimeout
		case m.contested && m.over(e.since, 20*time.Millisecond) && m.over(m.contestedSince, 20*time.Millisecond):
			why = CauseReclaimed
		}
		if why == NoCause {
			break
		}
		m.close(take(&m.idle, e.b).b, why)
	}
	if m.empty && m.over(m.left, m.cfg.PoolIdleTimeout) {
		m.vacate(CausePoolIdle)
	}
}
