package replication

import (
	"context"
	"time"

	"weir/proxy/backend"
	"weir/proxy/cancelkey"
)

// cancelTimeout bounds a cancel request to the server.
const cancelTimeout = 10 * time.Second

// Cancel asks the server to cancel what the backend of the client with that key is doing, and returns when the server has had the
// request. A backend has one client only, so a request that comes late hits no other client.
func (s *Connections) Cancel(ctx context.Context, slots cancelkey.Slots, secret []byte) {
	r := s.byKey(slots, secret)
	if r == nil {
		return
	}
	ctx, stop := context.WithTimeout(ctx, cancelTimeout)
	defer stop()
	_ = backend.Cancel(ctx, r.backend.Target, r.backend.PID, r.backend.Secret) // the client tries again
	s.mu.Lock()
	r.cancels--
	s.mu.Unlock()
}

// cancelsMax bounds the cancel requests under way for one backend.
const cancelsMax = 2

// byKey finds the client with that key, if one more cancel request may go to its backend, and counts that.
func (s *Connections) byKey(slots cancelkey.Slots, secret []byte) *connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	for slot, r := range s.bySlot {
		if !slots.Has(slot) || r.cancels >= cancelsMax {
			continue
		}
		if pid, _ := s.parts.Keys.Pack(s.parts.Index, slot); s.parts.Keys.Same(s.key(r, pid), secret) {
			r.cancels++
			return r
		}
	}
	return nil
}

func (s *Connections) key(r *connection, pid uint32) []byte {
	if r.longKey {
		long := s.parts.Keys.Long(pid, r.secret)
		return long[:]
	}
	return cancelkey.Short(r.secret)
}
