package relay

import (
	"errors"

	"weir/proxy/eventloop"
	"weir/proxy/socket"
	"weir/proxy/wire"
)

// listening is a line's connection as the loop knows it.
type listening struct {
	line   *line
	token  eventloop.Token
	sock   socket.Conn
	carry  []byte
	pid    uint32
	gone   func() // Dialled.Gone
	doomed bool
}

// register has the line's loop watch a connection that is new.
func (n *line) register(d *Dialled) (*listening, *DialError) {
	e := n.home.engine
	c := &listening{line: n, sock: socket.NewTLS(d.FD, d.TLS), pid: d.PID, gone: d.gone}
	var err error
	if c.token, err = e.loop.Register(d.FD, c, eventloop.First); err != nil {
		c.sock.Close(&e.io)
		c.gone()
		return nil, &DialError{Err: err}
	}
	return c, nil
}

// OnReady is called by the loop when the connection has something to say.
func (c *listening) OnReady(e eventloop.Event) {
	if e&eventloop.Writable != 0 {
		c.drain()
	}
	if e&eventloop.Readable != 0 {
		c.read(e&eventloop.HangUp != 0)
	}
}

func (c *listening) read(hungUp bool) {
	e := c.line.home.engine
	for range readsPerTurn {
		if c.doomed {
			return
		}
		p, n, err := e.receive(&c.sock, &c.carry, eventloop.ReadBufferLen)
		if err != nil {
			if !errors.Is(err, socket.ErrWouldBlock) {
				c.doom(err)
			}
			return
		}
		took, err := c.line.talk.FromServer(p)
		if err != nil {
			c.doom(err)
		} else if took < len(p) {
			c.carry = append(e.io.Borrow(len(p)-took), p[took:]...)
		}
		c.line.act()
		if n < eventloop.ReadBufferLen && !hungUp && !c.sock.Pending() {
			return
		}
	}
	e.loop.Again(c.token)
}

func (c *listening) send(p []byte) {
	was := c.sock.Parked()
	if err := c.sock.Write(&c.line.home.engine.io, p); err != nil {
		c.doom(err)
	} else if c.sock.Parked() && !was {
		c.watchWrite(true)
	}
}

func (c *listening) watchWrite(on bool) {
	if err := c.line.home.engine.loop.WatchWrite(c.token, on); err != nil {
		c.doom(err)
	}
}

func (c *listening) drain() {
	if err := c.sock.Drain(&c.line.home.engine.io); err != nil {
		c.doom(err)
	} else if !c.sock.Parked() {
		c.watchWrite(false)
	}
}

// doom ends the connection at the end of the iteration.
func (c *listening) doom(cause error) {
	if c.doomed {
		return
	}
	c.doomed = true
	c.line.home.engine.loop.Condemn(c, func() { c.line.lost(cause) })
}

// close ends the connection at once.
func (c *listening) close() {
	e := c.line.home.engine
	c.doomed = true
	_ = c.sock.Write(&e.io, wire.AppendTerminate(nil))
	e.loop.Close(c.token)
	c.sock.Close(&e.io)
	e.io.Return(c.carry)
	c.carry = nil
	c.gone()
}
