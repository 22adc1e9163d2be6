package authquery

// Vacate ends the connections that are idle: they may be in the way of a database that is to be dropped. It does not wait for that.
// Any goroutine.
func (d *Directory) Vacate() { go d.conns.closeIdle() }

func (c *connections) closeIdle() {
	c.mu.Lock()
	idle := c.idle
	c.idle = nil
	c.mu.Unlock()
	for _, s := range idle {
		if s.expiry.Stop() {
			s.Close()
		}
	}
}
