package relay

import (
	"cmp"
	"fmt"
	"log/slog"

	"weir/pool"
	"weir/proxy/status"
)

// The lines that PgBouncer's log has, for tools and tests that look for them. They are written where a file of PgBouncer's is served.

// sayOfServer writes a line about a connection to a server. kind is a fixed text, by which lines are bounded.
func (l *Lane) sayOfServer(kind, text, addr string, more ...any) {
	e := l.engine
	if !e.env.PgBouncer {
		return
	}
	if _, ok := e.lines.allow("server: " + kind); ok {
		e.env.Log.Info(text, append([]any{"db", l.config.Database, "user", l.config.User, "server", addr}, more...)...)
	}
}

// sayReserve tells of a dial beyond the pool's size.
func (l *Lane) sayReserve() {
	if !l.engine.env.PgBouncer {
		return
	}
	if l.config.Lanes.pool.Total() > l.config.Pool.Size {
		l.sayOfServer("reserve", "taking connection from reserve_pool", cmp.Or(l.addr, "(none)"))
	}
}

// sayOpened tells of a backend that has logged in.
func (b *Backend) sayOpened() {
	if !b.lane.engine.env.PgBouncer {
		return
	}
	from := "unix"
	if local := b.sock.LocalEndpoint(); local.IsValid() {
		from = local.String()
	}
	b.lane.sayOfServer("opened", "new connection to server (from "+from+")", b.addr, "id", b.number, "backend", b.pid)
}

// sayClosed tells why a backend is closed.
func (b *Backend) sayClosed(end status.BackendEnd) {
	if reason := b.closedBecause(end); b.lane.engine.env.PgBouncer {
		b.lane.sayOfServer(reason, closingBecause(reason, b.lane.engine.loop.Now()-b.born), b.addr, "id", b.number)
	}
}

func closingBecause(reason string, age int64) string {
	return fmt.Sprintf("closing because: %s (age=%ds)", reason, age/1e9)
}

// closedBecause is PgBouncer's word for the end of a backend.
func (b *Backend) closedBecause(end status.BackendEnd) string {
	switch end {
	case status.BackendLost:
		return "server conn crashed?"
	case status.BackendLifetime:
		return "server lifetime over"
	case status.BackendIdleTimeout, status.BackendPoolIdle:
		return "server idle timeout"
	case status.BackendShutdown:
		return "server shutting down"
	case status.BackendTooLong:
		return "client disconnect before everything was sent to the server"
	case status.BackendRetired:
		if b.lane.evicted != "" {
			return "evicted for " + b.lane.evicted
		}
		return "unclean server"
	case status.BackendDoubted:
		return "bad packet"
	default:
	}
	switch b.dismissed {
	case pool.CauseReclaimed:
		return "evicted for " + b.lane.evicted
	case pool.CauseRenewed:
		return "database configuration changed"
	case pool.CausePaused:
		return "pause mode"
	default:
	}
	return "too many servers in the pool"
}

// sayDialFailed tells why there is no new connection to the server.
func (l *Lane) sayDialFailed(b *Backend, failure *DialError) {
	if failure.Closing != "" {
		l.sayOfServer("dial failed", closingBecause(failure.Closing, l.engine.loop.Now()-b.born), failure.Addr, "id", b.number)
	}
}

// sayLeft tells that a client is gone, unless it was told why, and so the log.
func (c *Client) sayLeft() {
	if !c.lane.engine.env.PgBouncer {
		return
	}
	switch c.end {
	case status.ClientTerminated:
		c.logClosing("client close request")
	case status.ClientClosed, status.ClientReset:
		c.logClosing("client unexpected eof")
	default:
	}
}

// sayWentIdle tells that a pool is forgotten.
func (l *Lane) sayWentIdle() {
	if e := l.engine; e.env.PgBouncer {
		e.tell(slog.LevelInfo, "cleaning up idle pool", "db", l.config.Database, "user", l.config.User)
	}
}
