package proxy

import (
	"syscall"
	"time"

	"weir/proxy/login"
	"weir/proxy/prelogin"
	"weir/proxy/wire"
)

// A load balancer's check logs in as far as it is let in and hangs up. It must not cost a pool, a process of the server, and a line of
// the log, for a user or a database that may not even exist. So the first client of a pool is looked at for a moment.
const (
	// doubtTime is how long a client is in doubt that names a database: each driver does.
	doubtTime = 30 * time.Millisecond
	// longDoubtTime is how long one is in doubt that names no database and no setting, as HAProxy's pgsql-check.
	longDoubtTime = 250 * time.Millisecond
	// doubtTick is how often it is looked whether the client is still there.
	doubtTick = 5 * time.Millisecond
)

// stays reports whether a client whose pool is not open yet is still there a moment after its login, which it has been told of.
func (p *Proxy) stays(c *prelogin.Conn, result *login.Result) bool {
	if p.router.knows(result.Database, result.User) || c.Buffered() > 0 {
		return true
	}
	if _, err := result.Conn.Write(result.Owed); err != nil {
		return false
	}
	result.Owed = nil
	doubt := doubtTime
	if result.Database == result.User && len(result.Settings) == 0 {
		doubt = longDoubtTime
	}
	here := true
	c.Apart(func() {
		for end := time.Now().Add(doubt); here && time.Now().Before(end) && p.ctx.Err() == nil; {
			time.Sleep(doubtTick)
			here = !leaves(c)
		}
	})
	return here
}

// leaves reports whether a client has hung up, or says Terminate, before anything else. With TLS only the former shows.
func leaves(c *prelogin.Conn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	var first [1]byte
	var n int
	_ = raw.Control(func(fd uintptr) { // of a rawConn, which does not fail
		n, _, err = syscall.Recvfrom(int(fd), first[:], syscall.MSG_PEEK)
	})
	switch err {
	case nil:
		return n == 0 || first[0] == wire.ClientTerminate
	case syscall.EAGAIN, syscall.EINTR:
		return false
	}
	return true
}
