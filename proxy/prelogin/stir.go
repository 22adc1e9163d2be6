package prelogin

import "time"

// Ahead is what was read and not asked for yet. It stays to be read.
func (c *Conn) Ahead() []byte { return c.ahead }

// Stir waits until the peer sends more, or hangs up, for d at most, and reports whether it did. What was there before does not count,
// and nothing is read. In Serve only, not apart.
func (c *Conn) Stir(d time.Duration) bool {
	_ = c.SetDeadline(time.Now().Add(d))
	err := c.await(reading)
	_ = c.SetDeadline(time.Time{})
	if err != nil {
		return false
	}
	c.missed = true // the edge will not come again
	return true
}
