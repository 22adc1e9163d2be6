package tunnel

import (
	"time"

	"weir/proxy/eventloop"
	"weir/proxy/socket"
	"weir/proxy/wire"
)

// Limits bound what passes a tunnel. The zero value bounds nothing.
type Limits struct {
	PacketMax int           // bytes of a message, in either direction
	Stall     time.Duration // how long a client may take nothing of what it is being sent
}

// BreachKind says which limit was broken.
type BreachKind uint8

// The kinds.
const (
	ClientPacket BreachKind = iota // the client has sent a longer message
	ServerPacket                   // the server has
	ClientStall                    // the client has taken nothing for too long
)

// Breach is what ends a tunnel that has met a limit.
type Breach struct {
	Kind   BreachKind
	Limits Limits
	Frame  wire.Frame    // the message that is too long
	Lasted time.Duration // the stall
}

// SetLimits gives the tunnel other limits. Any goroutine.
func (t *Tunnel) SetLimits(l Limits) {
	t.loop.Post(func() {
		t.limits = l
		t.watchStall()
	})
}

// serverBeyond ends the tunnel where the server begins a message that is too long, which p comes before.
func (t *Tunnel) serverBeyond(p []byte, f wire.Frame) {
	farewell := t.breached(Breach{Kind: ServerPacket, Frame: f})
	if len(p) > 0 {
		t.outlet.Sent(0)
		t.tell(p)
	}
	if !t.outlet.Inside() { // else the client has a part of the header: it must not take the farewell for the rest of the message
		t.tell(farewell)
	}
	t.part()
}

func (t *Tunnel) breached(b Breach) (farewell []byte) {
	b.Limits = t.limits
	return t.onBeyond(b)
}

// stall is how a client that is held back by what it does not take stands.
type stall struct {
	look  eventloop.Timer // while something is parked for the client, and Stall bounds that
	left  int             // bytes that it had not taken at the last look
	since int64           // when it last took some
}

// watchStall is for a client for which something is parked from now on, or whose limit is another one.
func (t *Tunnel) watchStall() {
	if t.state != relaying || t.limits.Stall <= 0 || !t.client.sock.Parked() {
		return
	}
	t.stall.left, t.stall.since = t.client.untaken(), t.loop.Now()
	t.loop.Set(&t.stall.look, t.lookEvery())
}

// lookEvery is how often a client that is held back is looked at.
func (t *Tunnel) lookEvery() time.Duration { return min(t.limits.Stall/4, time.Second) }

// lookForStall ends the tunnel of a client that has stood still for too long. A slow reader makes its socket writable seldom, so what the
// kernel has for it counts.
func (t *Tunnel) lookForStall() {
	if t.state != relaying || t.limits.Stall <= 0 || !t.client.sock.Parked() {
		return
	}
	if left := t.client.untaken(); left != t.stall.left {
		t.stall.left, t.stall.since = left, t.loop.Now()
	}
	if lasted := time.Duration(t.loop.Now() - t.stall.since); lasted >= t.limits.Stall {
		t.breached(Breach{Kind: ClientStall, Lasted: lasted})
		t.close()
		return
	}
	t.loop.Set(&t.stall.look, t.lookEvery())
}

// untaken is how much of what the side was sent its peer has not taken.
func (s *side) untaken() int { return s.sock.ParkedLen() + socket.Unsent(s.sock.FD()) }
