package tunnel

import (
	"errors"
	"io"

	"weir/proxy/eventloop"
	"weir/proxy/socket"
)

// side is one end of a tunnel: a connection whose bytes go to the other one.
type side struct {
	tunnel *Tunnel
	other  *side
	sock   socket.Conn
	token  eventloop.Token

	unread bool // an edge was reported and not read to its end
	ended  bool // the peer has sent its FIN
	deaf   bool // the peer takes nothing any more
}

// OnReady is called by the loop.
func (s *side) OnReady(e eventloop.Event) {
	if e&eventloop.Writable != 0 {
		s.drain()
	}
	if e&eventloop.Readable != 0 {
		s.read(e&eventloop.HangUp != 0)
	}
}

// readsPerTurn bounds what one connection moves before the others get their turn: 256 KiB.
const readsPerTurn = 2

// read takes what the socket has, up to a turn's worth. It takes nothing while the other side has something parked: so much
// and no more is held for a slow peer.
func (s *side) read(hungUp bool) {
	t := s.tunnel
	for range readsPerTurn {
		if t.state == gone || s.sock.FD() < 0 {
			return
		}
		if s.other.sock.Parked() {
			s.unread = true
			return
		}
		s.unread = false
		p := t.loop.Buffer()
		p = p[len(p)-eventloop.ReadBufferLen:]
		n, err := s.sock.Read(&t.io, p)
		if err != nil {
			if !errors.Is(err, socket.ErrWouldBlock) {
				s.ended, s.deaf = true, s.deaf || !errors.Is(err, io.EOF)
				t.ended(s)
			}
			return
		}
		t.heard(s, p[:n])
		if n < len(p) && !hungUp && !s.sock.Pending() {
			return
		}
	}
	s.unread = true
	t.loop.Again(s.token)
}

// write sends p; what the socket does not take is parked.
func (s *side) write(p []byte) {
	if s.deaf || s.sock.FD() < 0 || len(p) == 0 {
		return
	}
	was := s.sock.Parked()
	if err := s.sock.Write(&s.tunnel.io, p); err != nil {
		s.fail()
		return
	}
	if s.sock.Parked() && !was {
		s.watchWrite(true)
		if s == &s.tunnel.client {
			s.tunnel.watchStall()
		}
	}
}

func (s *side) drain() {
	if s.tunnel.state == gone || s.sock.FD() < 0 {
		return
	}
	if err := s.sock.Drain(&s.tunnel.io); err != nil {
		s.fail()
		return
	}
	if s.sock.Parked() {
		return
	}
	s.watchWrite(false)
	s.finish()
	s.other.readOn()
}

// finish sends the end of the stream once nothing can follow.
func (s *side) finish() {
	if s.sock.FD() < 0 || s.sock.Parked() || !s.other.ended && s.tunnel.state != parting {
		return
	}
	s.sock.CloseWrite(&s.tunnel.io)
	if s.ended && s.tunnel.state == parting {
		s.tunnel.close()
	}
}

// readOn resumes reading where an edge was left unread.
func (s *side) readOn() {
	if s.unread && s.sock.FD() >= 0 {
		s.tunnel.loop.Again(s.token)
	}
}

func (s *side) watchWrite(on bool) {
	if err := s.tunnel.loop.WatchWrite(s.token, on); err != nil {
		s.fail()
	}
}

// fail takes note that the peer takes nothing any more. It may have said why: that is read yet.
func (s *side) fail() {
	s.deaf = true
	s.unread = true
	s.readOn()
}

func (s *side) close() {
	if s.sock.FD() < 0 {
		return
	}
	s.tunnel.loop.Close(s.token)
	s.sock.Close(&s.tunnel.io)
}
