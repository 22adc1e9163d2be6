package relay

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/proxy/conversation"
	"weir/proxy/pgerror"
	"weir/proxy/session"
	"weir/proxy/status"
)

// pinning is since when the state of its client's session keeps a backend.
type pinning struct {
	since int64 // 0: nothing keeps it
	quiet int64 // when the client was last answered outside of a transaction

	posted session.Pins // on the pool's board
}

// pinboard is what the lanes of a pool know of each other's pinned backends. Any goroutine.
type pinboard struct {
	count atomic.Int32
	mu    sync.Mutex
	held  map[*Backend]pinned
}

// pinned is a backend that state of a session keeps, as others may know it.
type pinned struct {
	since     int64
	pins      session.Pins
	statement string
}

func (p *pinboard) put(b *Backend, as pinned) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil {
		p.held = map[*Backend]pinned{}
	}
	p.held[b] = as
	p.count.Store(int32(len(p.held)))
}

func (p *pinboard) remove(b *Backend) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.held, b)
	p.count.Store(int32(len(p.held)))
}

// longest describes the pin that has lasted for longest.
func (p *pinboard) longest(now int64) (oldest pgerror.Pin) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, as := range p.held {
		if held := time.Duration(now - as.since); oldest.Reasons == "" || held > oldest.Held {
			oldest = pgerror.Pin{Reasons: as.pins.String(), Held: held, Statement: as.statement}
		}
	}
	return oldest
}

// notePins is for a backend that stays with its client: it looks whether state of the session keeps it. Within a transaction that is
// not certain.
func (b *Backend) notePins() {
	l := b.lane
	switch {
	case !b.talk.Free():
		return
	case b.talk.Pins() == 0:
		b.unpinned()
		return
	}
	b.pinning.quiet = l.engine.loop.Now()
	b.pinnedNow()
	if limit := l.config.MaxPinned; limit > 0 && int(l.config.Lanes.pins.count.Load()) > limit && l.config.Mode != Session && b.client != nil {
		// Its text did not say that it would.
		l.logPin("client ended: too many backends are pinned", b)
		b.client.failWith(pgerror.TooManyPinned(l.Name(), limit, b.talk.PinnedBy(), l.longestPinned()).WithSeverity(pgerror.SeverityFatal))
	}
}

// suspectPins is for a backend that is about to be asked whether a pin is one: until then it counts, or two clients could pin the last
// backend that may be pinned.
func (b *Backend) suspectPins() {
	if b.talk.Pins()&^(session.Opaque|session.SettingChanged) != 0 {
		b.pinnedNow()
	}
}

func (b *Backend) pinnedNow() {
	p := &b.pinning
	if p.since == 0 {
		p.since = max(b.lane.engine.loop.Now(), 1)
	}
	if pins := b.talk.Pins(); p.posted != pins {
		p.posted = pins
		b.lane.config.Lanes.pins.put(b, pinned{p.since, pins, b.talk.PinnedBy()})
	}
}

// unpinned is for a backend that no state keeps, or that is gone.
func (b *Backend) unpinned() {
	if b.pinning.since != 0 {
		b.pinning = pinning{}
		b.lane.config.Lanes.pins.remove(b)
	}
}

// boundPins has statements refused that would pin one more backend than may be pinned.
func (l *Lane) boundPins() {
	l.talk.Full = nil
	if l.config.MaxPinned > 0 {
		l.talk.Full = l.full
	}
}

// full describes a pool that has as many pinned backends as it may have; false: it has fewer.
func (l *Lane) full() (full conversation.Full, is bool) {
	limit := l.config.MaxPinned
	if int(l.config.Lanes.pins.count.Load()) < limit {
		return full, false
	}
	return conversation.Full{Pool: l.Name(), Max: limit, Oldest: l.longestPinned()}, true
}

// longestPinned describes the pin of the pool that has lasted for longest.
func (l *Lane) longestPinned() pgerror.Pin { return l.config.Lanes.pins.longest(l.engine.loop.Now()) }

func (b *Backend) pin() pgerror.Pin {
	return pgerror.Pin{Reasons: b.talk.Pins().String(), Held: b.lane.engine.since(b.pinning.since), Statement: b.talk.PinnedBy()}
}

// sweepPin ends a client that does not use the backend that its session keeps. True: it did.
func (b *Backend) sweepPin(c *Client) bool {
	limit := b.lane.config.PinIdleTimeout
	if limit == 0 || b.pinning.since == 0 || !b.talk.Free() || b.lane.config.Mode == Session || !b.lane.engine.over(b.pinning.quiet, limit) {
		return false
	}
	b.lane.logPin("client ended: pin_idle_timeout", b)
	c.failWith(pgerror.PinIdleTimeout(limit, b.pin()))
	return true
}

func (l *Lane) logPin(what string, b *Backend) {
	p := b.pin()
	l.engine.warn(what, "pool", l.Name(), "peer", b.client.peer, "app", b.client.app(), "backend", b.pid,
		"pins", p.Reasons, "held", p.Held.Round(time.Millisecond), "statement", p.Statement)
}

// snapshotPin adds a pinned backend.
func (l *Lane) snapshotPin(s *status.Pool, b *Backend) {
	pins := b.talk.Pins()
	if b.state != backendLeased || pins == 0 {
		return
	}
	s.Pinned++
	p := status.Pin{Backend: b.pid, Reasons: pins.Names(), Statement: strings.ToValidUTF8(b.talk.PinnedBy(), "?")}
	if b.pinning.since != 0 {
		p.Since = time.Now().Add(-l.engine.since(b.pinning.since))
	}
	if c := b.client; c != nil {
		peer := c.snapshotPeer()
		p.Client, p.Peer, p.Application = peer.Client, peer.Address, peer.Application
	}
	s.Pins = append(s.Pins, p)
	if s.PinnedBy == nil {
		s.PinnedBy = map[string]int{}
	}
	for _, reason := range p.Reasons {
		s.PinnedBy[reason]++
	}
}
