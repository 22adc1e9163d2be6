package replication

import (
	"weir/proxy/generation"
	"weir/proxy/pgerror"
	"weir/proxy/places"
)

// ownPlace is the place of one connection among those of the pools.
type ownPlace struct {
	places *places.Places
	taken  bool
	offer  chan struct{}
}

func newOwnPlace(p *places.Places) *ownPlace {
	return &ownPlace{places: p, offer: make(chan struct{}, 1)}
}

// Nudge implements places.Holder.
func (s *ownPlace) Nudge() {
	select {
	case s.offer <- struct{}{}:
	default:
	}
}

// Reclaim implements places.Holder.
func (*ownPlace) Reclaim(_ string, refused func()) { refused() }

// Yield implements places.Holder. It is not asked.
func (*ownPlace) Yield(string) {}

// Contest implements places.Holder.
func (*ownPlace) Contest(string) {}

// take waits for a place, for as long as a client waits for a backend, and as long as the client is there.
func (s *ownPlace) take(c places.Claim, wait *patience) *pgerror.Error {
	c.ForGood = true
	s.places.Enter(s, c)
	s.taken = true
	for !s.places.Take(s) {
		over, err := wait.until(s.offer)
		if err != nil {
			return err
		}
		if over {
			setting, value, section := s.places.Bound(s)
			return wait.inVain(generation.PoolKey{Database: c.Database, User: c.User}, setting, value, section)
		}
	}
	return nil
}

// leave gives the place up, if there is one.
func (s *ownPlace) leave() {
	if s.taken {
		s.places.Leave(s)
	}
}
