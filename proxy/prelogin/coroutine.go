package prelogin

import "iter"

// idleMax bounds the coroutines that an acceptor keeps for those who come next: with as many logins under way at once, none begins
// with a new one. Each holds its stack.
const idleMax = 16

// coroutine serves one connection after the other. A new one would have to grow its stack first. It is of the loop's goroutine.
type coroutine struct {
	conn   *Conn // that it serves
	buffer [readAhead]byte

	next  func() (func(), bool) // runs it until it gives way, with what is to be done apart, or has served its connection
	stop  func()
	yield func(func()) bool
	ended bool // conn has been served
}

func newCoroutine(host Host) *coroutine {
	g := &coroutine{}
	g.next, g.stop = iter.Pull(func(yield func(func()) bool) {
		g.yield = yield
		for more := true; more; more = yield(nil) {
			host.Serve(g.conn)
			g.ended = true
		}
	})
	return g
}

// run goes on serving the connection until the code gives way, with what is to be done apart, or has ended.
func (g *coroutine) run() (work func(), ended bool) {
	work, _ = g.next()
	return work, g.ended
}

// giveWay is called by the code itself and returns when run is called again.
func (g *coroutine) giveWay(work func()) { g.yield(work) }

// takeCoroutine finds a coroutine for a connection.
func (d *loopAcceptor) takeCoroutine(c *Conn) *coroutine {
	n := len(d.idle)
	if n == 0 {
		g := newCoroutine(d.host)
		g.conn = c
		return g
	}
	g := d.idle[n-1]
	d.idle = d.idle[:n-1]
	g.conn, g.ended = c, false
	return g
}

// putCoroutine takes a coroutine back that has served its connection.
func (d *loopAcceptor) putCoroutine(g *coroutine) {
	g.conn = nil
	if d.closed || len(d.idle) >= idleMax {
		g.stop()
		return
	}
	d.idle = append(d.idle, g)
}
