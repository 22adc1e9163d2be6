package conversation

import (
	"slices"

	"weir/proxy/notify"
	"weir/proxy/wire"
)

// The rig's listener connection is there at once, and carries out at once what it is sent. What it is notified of a script says.

// handOver has the listener connection listen for the server's client.
func (s *rigServer) handOver() {
	c, hub := s.client, s.rig.hub
	if c.talk.Sub == nil {
		c.talk.Sub = hub.Subscribe(uint32(slices.Index(s.rig.clients, c)))
	}
	channels := s.talk.Channels()
	if len(channels) == 0 {
		hub.Release(c.talk.Sub)
		s.talk.Unlistened()
		s.follow()
		return
	}
	hub.Reserve(c.talk.Sub, channels)
	s.rig.listenerActs()
	if !hub.Reserve(c.talk.Sub, channels) {
		s.rig.fault("the listener connection does not listen")
		return
	}
	hub.Begin(c.talk.Sub, 1)
	s.start(HandOver)
}

func (r *rig) listenerActs() {
	for {
		do, changes := r.hub.Next(1)
		switch do {
		case notify.Dial:
			r.line, r.seat = notify.NewLine(), &notify.Member{}
			r.line.Join(r.seat)
			r.hub.Dialled()
			r.say("listener", "is made")
		case notify.Send:
			r.line.Ask(r.seat, changes)
			if text := r.line.Next(); text != nil {
				r.say("listener", "%s", text)
				r.listenerHears(wire.AppendReadyForQuery(nil, wire.TxIdle))
			}
		case notify.Leave, notify.GiveUp:
			r.say("listener", "is closed")
		case notify.Nothing:
			r.listenerDelivers()
			return
		}
	}
}

func (r *rig) listenerHears(p []byte) {
	if took, err := r.line.FromServer(p); err != nil || took < len(p) {
		r.fault("the listener connection: %v", err)
	}
	r.hub.Heard(1, r.seat.TakeHeard())
	r.listenerDelivers()
}

func (r *rig) listenerDelivers() {
	for _, sub := range r.hub.TakeDue() {
		r.clients[sub.Client].tell(sub.TakeDue(), false)
	}
	for _, sub := range r.hub.TakeStirred() {
		if s := r.clients[sub.Client].server; s != nil {
			r.later = append(r.later, s.reconsider, s.client.resumeHeld)
		}
	}
}

// loseListener ends the listener connection. It is made again at once.
func (r *rig) loseListener() {
	r.hub.Lost(-1 << 40)
	r.listenerActs()
}
