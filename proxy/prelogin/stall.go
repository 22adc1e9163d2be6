package prelogin

import "weir/proxy/socket"

// Peek copies the beginning of what has come and was not read yet. Until Serve begins only.
func (c *Conn) Peek(p []byte) int { return socket.Peek(c.fd, p) }

// Stalled reports whether the code waits for its peer and has read all that has come from it. Any goroutine, as long as the
// connection is sure not to be closed meanwhile.
func (c *Conn) Stalled() bool { return c.waits.Load() && !socket.Readable(c.fd) }
