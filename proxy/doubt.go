package proxy

import (
	"errors"
	"syscall"
	"time"

	"weir/proxy/login"
	"weir/proxy/prelogin"
	"weir/proxy/wire"
)

// A load balancer's check logs in as far as it can and hangs up. It must not cost a pool, a process of the server, and a line of the
// log, for a user or a database that may not even exist. So weir watches the first client of a pool for a moment before it opens the pool.
const (
	// doubtTime is how long a client is watched that names a database, as each driver does.
	doubtTime = 30 * time.Millisecond
	// longDoubtTime is how long a client is watched that names neither a database nor a setting, as HAProxy's pgsql-check.
	longDoubtTime = 250 * time.Millisecond
)

// stays tells a client whose pool is not open yet that its login has succeeded, and reports whether it is still there a moment later.
func (p *Proxy) stays(c *prelogin.Conn, result *login.Result) bool {
	if p.router.Knows(result.Database, result.User) {
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
	for end := time.Now().Add(doubt); ; {
		switch signOf(c) {
		case signGone:
			return false
		case signThere:
			return true
		default:
		}
		if rest := time.Until(end); rest <= 0 || !c.Stir(rest) {
			return true
		}
	}
}

// sign is what can be seen of a client without reading what it sends.
type sign uint8

const (
	signNone  sign = iota // it has sent nothing yet
	signGone              // it has hung up, or says Terminate, before anything else
	signThere             // it has sent something else; with TLS whatever it sends is that
)

func signOf(c *prelogin.Conn) sign {
	if ahead := c.Ahead(); len(ahead) > 0 {
		return signIn(ahead)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return signThere
	}
	var first [1]byte
	var n int
	_ = raw.Control(func(fd uintptr) { // which does not fail here
		n, _, err = syscall.Recvfrom(int(fd), first[:], syscall.MSG_PEEK)
	})
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return signNone
	case err != nil, n == 0:
		return signGone
	}
	return signIn(first[:])
}

func signIn(sent []byte) sign {
	if sent[0] == wire.ClientTerminate {
		return signGone
	}
	return signThere
}
