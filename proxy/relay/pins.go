package relay

import (
	"strings"
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
	if limit := l.config.MaxPinned; limit > 0 && l.pinned > limit && l.config.Mode != Session && b.client != nil {
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
	if b.pinning.since == 0 {
		b.pinning.since = max(b.lane.engine.loop.Now(), 1)
		b.lane.pinned++
		b.lane.boundPins()
	}
}

// unpinned is for a backend that no state keeps, or that is gone.
func (b *Backend) unpinned() {
	if b.pinning.since != 0 {
		b.pinning = pinning{}
		b.lane.pinned--
		b.lane.boundPins()
	}
}

// boundPins has statements refused that would pin one more backend than may be pinned.
func (l *Lane) boundPins() {
	l.talk.Full = nil
	if limit := l.config.MaxPinned; limit > 0 && l.pinned >= limit {
		l.talk.Full = func() conversation.Full {
			return conversation.Full{Pool: l.Name(), Max: limit, Oldest: l.longestPinned()}
		}
	}
}

// longestPinned describes the pin that has lasted for longest.
func (l *Lane) longestPinned() (oldest pgerror.Pin) {
	for _, b := range l.backends {
		if b != nil && b.pinning.since != 0 {
			if p := b.pin(); p.Held >= oldest.Held {
				oldest = p
			}
		}
	}
	return oldest
}

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
