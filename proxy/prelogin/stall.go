package prelogin

import (
	"errors"
	"net"
	"time"

	"weir/proxy/socket"
)

// Stalled reports whether the code waits for its peer and has read all that has come from it. Any goroutine, as long as the
// connection is sure not to be closed meanwhile.
func (c *Conn) Stalled() bool {
	if !c.waits.Load() {
		return false
	}
	something, _ := socket.Readable(c.fd)
	return !something
}

// EndsWithin waits for the peer to say something or to end, and reports whether it has ended before it has said anything. There is
// no deadline afterwards. In Serve only, not apart.
func (c *Conn) EndsWithin(d time.Duration) bool {
	if len(c.ahead) > 0 {
		return false
	}
	_ = c.SetDeadline(time.Now().Add(d))
	defer func() { _ = c.SetDeadline(time.Time{}) }()
	for {
		if something, end := socket.Readable(c.fd); something {
			c.missed = true // its edge is used up
			return end
		}
		if err := c.await(reading); err != nil {
			return errors.Is(err, net.ErrClosed)
		}
	}
}
