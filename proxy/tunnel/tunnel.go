package tunnel

import (
	"fmt"
	"sync/atomic"
	"time"

	"weir/proxy/eventloop"
	"weir/proxy/socket"
	"weir/proxy/wire"
)

// state is how far a tunnel has come. It changes in Tunnel.move only.
type state uint8

const (
	relaying state = iota // → parting, gone
	parting               // the backend is gone; the client gets its last bytes, and its FIN is awaited → gone
	gone
	states
)

func (s state) String() string { return [...]string{"relaying", "parting", "gone"}[s] }

// moves holds the states that may follow each state.
var moves = [states]uint8{relaying: 1<<parting | 1<<gone, parting: 1 << gone}

// partingMax is how long a client that was told the end may take to close its side.
const partingMax = 5 * time.Second

// Side is a connection that becomes one end of a tunnel.
type Side struct {
	FD    int             // non-blocking; the tunnel owns it from now on
	TLS   *socket.Adapter // what is on top of it; nil: plain text
	Token eventloop.Token // of the loop's registration, where Here
	Here  bool            // the loop watches FD already
}

// Config describes a tunnel.
type Config struct {
	Client, Backend Side
	Greeting        []byte // whole messages that the client gets first
	Ahead           []byte // what the client has sent already
	Limits          Limits
	OnBeyond        func(Breach) (farewell []byte) // called, on the loop, when a limit ends the tunnel; what the client is told; must not block
	OnGone          func()                         // called once, on the loop, when both are closed; must not block
}

// Tunnel is a client and its backend. Its methods may be called on any goroutine.
type Tunnel struct {
	loop   *eventloop.Loop
	io     socket.IO
	onGone func()

	limits   Limits
	onBeyond func(Breach) (farewell []byte)

	state           state
	client, backend side
	asked, walk     wire.Walk   // through what the client sends, and what it is sent
	outlet          wire.Outlet // where the latter stands, and what the client is told at the next boundary
	patience        eventloop.Timer
	stall           stall

	in, out atomic.Uint64
}

// Open makes a tunnel, on the loop's goroutine. On an error both connections are closed and OnGone is not called.
func Open(loop *eventloop.Loop, c Config) (*Tunnel, error) {
	t := &Tunnel{loop: loop, onGone: func() {}, limits: c.Limits, onBeyond: c.OnBeyond}
	t.patience.Func, t.stall.look.Func = t.close, t.lookForStall
	t.client = side{tunnel: t, other: &t.backend, sock: socket.NewTLS(c.Client.FD, c.Client.TLS)}
	t.backend = side{tunnel: t, other: &t.client, sock: socket.NewTLS(c.Backend.FD, c.Backend.TLS)}
	err := t.client.watch(c.Client, eventloop.Second)
	if err == nil {
		err = t.backend.watch(c.Backend, eventloop.First)
	}
	if err != nil {
		t.close()
		return nil, fmt.Errorf("tunnel: %w", err)
	}
	t.onGone = c.OnGone
	t.out.Add(uint64(len(c.Greeting)))
	t.client.write(c.Greeting)
	t.heard(&t.client, c.Ahead)
	return t, nil
}

// watch has the loop watch a new side.
func (s *side) watch(c Side, rank eventloop.Rank) (err error) {
	if c.Here {
		s.token = c.Token
		s.tunnel.loop.Rebind(c.Token, s, rank)
	} else if s.token, err = s.tunnel.loop.Register(c.FD, s, rank); err != nil {
		return err
	}
	s.unread = s.sock.Pending() // what TLS has read already is no event
	s.readOn()
	return nil
}

// Bytes are how many came from the client and how many went to it.
func (t *Tunnel) Bytes() (in, out uint64) { return t.in.Load(), t.out.Load() }

// Dismiss parts the two: the client is told farewell, a message, as soon as the one that it is being sent is whole.
func (t *Tunnel) Dismiss(farewell []byte) {
	t.loop.Post(func() { t.dismiss(farewell) })
}

func (t *Tunnel) dismiss(farewell []byte) {
	if t.state != relaying || t.outlet.Ending() {
		return
	}
	t.outlet.Queue(farewell)
	t.outlet.End()
	t.atBoundary()
}

// Close ends the tunnel at once and returns when it has ended. The client is told farewell where it is between two messages. Any
// goroutine but the loop's.
func (t *Tunnel) Close(farewell []byte) {
	t.loop.Call(func() {
		if t.state == relaying && !t.outlet.Inside() && !t.client.sock.Parked() {
			t.client.write(farewell)
		}
		t.close()
	})
}

func (t *Tunnel) move(to state) {
	if moves[t.state]&(1<<to) == 0 {
		panic(fmt.Sprintf("tunnel: what is %s cannot become %s", t.state, to))
	}
	t.state = to
}

// heard passes on what a side has sent.
func (t *Tunnel) heard(s *side, p []byte) {
	switch {
	case t.state != relaying: // the backend is gone
	case t.outlet.Ending() && s == &t.client: // it gets no answer any more
	case t.outlet.Ending():
		n := t.walk.Finish(p)
		t.outlet.Sent(t.walk.Lacks())
		t.tell(p[:n])
		t.atBoundary()
	case s == &t.client:
		n, f, beyond := t.asked.Pass(p, t.limits.PacketMax)
		t.in.Add(uint64(n))
		t.backend.write(p[:n])
		if beyond {
			t.dismiss(t.breached(Breach{Kind: ClientPacket, Frame: f}))
		}
	default:
		n, f, beyond := t.walk.Pass(p, t.limits.PacketMax)
		if beyond {
			t.serverBeyond(p[:n], f)
			return
		}
		t.outlet.Sent(t.walk.Lacks())
		t.tell(p)
	}
}

func (t *Tunnel) tell(p []byte) {
	t.out.Add(uint64(len(p)))
	t.client.write(p)
}

// atBoundary tells the client what has waited for the end of a message, and parts it from its backend then.
func (t *Tunnel) atBoundary() {
	if last, ended := t.outlet.Take(); ended {
		t.tell(last)
		t.part()
	}
}

// ended takes note that a side sends no more. A client may wait for its answers yet; a backend's end is the end.
func (t *Tunnel) ended(s *side) {
	switch {
	case t.state == gone:
	case t.state == parting, s == &t.client && s.deaf:
		t.close()
	case s == &t.client:
		t.backend.finish()
	default:
		t.part()
	}
}

// part closes the backend, and the client once it has read what it was sent.
func (t *Tunnel) part() {
	if t.state != relaying {
		return
	}
	t.move(parting)
	t.backend.close()
	if t.client.deaf {
		t.close()
		return
	}
	t.loop.Set(&t.patience, partingMax)
	t.client.readOn()
	t.client.finish()
}

// close ends it all. The handlers are called no more.
func (t *Tunnel) close() {
	if t.state == gone {
		return
	}
	t.move(gone)
	t.loop.Unset(&t.patience)
	t.loop.Unset(&t.stall.look)
	t.client.close()
	t.backend.close()
	t.onGone()
}
