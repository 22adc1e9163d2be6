package replication

import (
	"time"

	"weir/proxy/generation"
	"weir/proxy/pgerror"
	"weir/proxy/tunnel"
	"weir/proxy/wire"
)

// Dismiss sends away those for which why has a reason.
func (s *Connections) Dismiss(why func(key generation.PoolKey) *pgerror.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.bySlot {
		if err := why(r.key); err != nil && r.tunnel != nil {
			r.tunnel.Dismiss(s.farewell(err))
		}
	}
}

// tunnels are those that are open, of some.
func (s *Connections) tunnels(which func(*connection) bool) []*tunnel.Tunnel {
	s.mu.Lock()
	defer s.mu.Unlock()
	var open []*tunnel.Tunnel
	for _, r := range s.bySlot {
		if r.tunnel != nil && which(r) {
			open = append(open, r.tunnel)
		}
	}
	return open
}

// Drain lets them go on for grace, sends them away, and returns when the last one is gone, or stopped is closed.
func (s *Connections) Drain(grace time.Duration, stopped <-chan struct{}) {
	s.mu.Lock()
	gone := make(chan struct{})
	if len(s.bySlot) == 0 {
		close(gone)
	} else {
		s.gone = gone
	}
	s.mu.Unlock()
	limit := time.NewTimer(grace)
	defer limit.Stop()
	select {
	case <-gone:
		return
	case <-stopped:
		return
	case <-limit.C:
	}
	farewell := s.farewell(pgerror.AdminShutdown)
	for _, t := range s.tunnels(every) {
		t.Dismiss(farewell)
	}
	limit.Reset(dismissWait)
	select {
	case <-gone:
	case <-stopped:
	case <-limit.C: // a client that takes nothing; it has no transaction to end
		s.Close()
	}
}

// Renew gives all the limits that hold from now on.
func (s *Connections) Renew(g *generation.Generation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.bySlot {
		if r.tunnel != nil {
			r.tunnel.SetLimits(limits(g, r.key))
		}
	}
}

// Kill ends those of some databases and users, as their clients name them.
func (s *Connections) Kill(which func(key generation.PoolKey) bool, why *pgerror.Error) {
	s.kill(func(r *connection) bool { return which(r.key) }, why)
}

// KillClient ends the one whose client has a number, and reports whether there is one.
func (s *Connections) KillClient(number uint32, why *pgerror.Error) bool {
	return s.kill(func(r *connection) bool { return r.number == number }, why) > 0
}

// kill ends some at once, those that are not open yet when they are, and returns how many.
func (s *Connections) kill(which func(*connection) bool, why *pgerror.Error) int {
	early := s.killEarly(which, why)
	found := s.tunnels(which)
	for _, t := range found {
		t.Close(s.farewell(why))
	}
	return early + len(found)
}

// killEarly has those ended that are not open yet.
func (s *Connections) killEarly(which func(*connection) bool, why *pgerror.Error) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kill := func(r *connection) {
		if r.tunnel == nil && which(r) {
			r.killed = why
			n++
		}
	}
	for r := range s.coming {
		kill(r)
	}
	for _, r := range s.bySlot {
		kill(r)
	}
	return n
}

// dismissWait is how long a connection may take for the rest of the message that it is being sent.
const dismissWait = 10 * time.Second

// Close ends all at once.
func (s *Connections) Close() { s.kill(every, pgerror.AdminShutdown) }

func every(*connection) bool { return true }

// farewell is an error as the message that a client gets last.
func (s *Connections) farewell(err *pgerror.Error) []byte {
	return wire.AppendErrorResponse(nil, s.parts.Current.Load().Words(err))
}
