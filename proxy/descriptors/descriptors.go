// Package descriptors shares the process's file descriptors out, so that clients never use up those of backends, cancel requests and metrics.
//
// Its values do not change, and may be used on any goroutine. It reads a Config and asks socket for the limit; who is refused is the
// proxy's business.
package descriptors

import (
	"fmt"
	"log/slog"

	"weir/config"
	"weir/proxy/socket"
)

const (
	// processMin is what weir needs to serve one client: 3 for standard streams, 2 for each loop and for Go's poller, a listener or
	// two, a client, a backend, and a few for files, metrics and cancel requests.
	processMin = 32
	// spareMin are kept for cancel requests on their way to a server, metrics, files, and the logins that are refused for
	// want of descriptors.
	spareMin = 16
	// visitorsMax is how many connections over HTTP there may be: scrapers, probes and the browsers of a few people.
	visitorsMax = 32
)

// Shares are the numbers up to which descriptors may be used, and for what.
//
// Nothing is counted. The system gives each new descriptor the lowest free number, so a connection that is accepted under a number
// of at least bound finds all numbers below it in use. Clients get numbers below bound only: those above are left for the others.
type Shares struct {
	Limit int // of the process
	need  int // for max_client_conn and all that is to be kept
	bound int // of clients' numbers
	own   int // of the process itself: streams, loops, listeners
}

// noLimit stands for a system that does not tell.
const noLimit = 1 << 30

// Enough says whether the process's limit is so low that weir cannot serve at all.
func Enough() error {
	if limit := socket.DescriptorLimit(); limit > 0 && limit < processMin {
		return fmt.Errorf("the limit of open files is %d descriptors, and weir needs at least %d: raise it (LimitNOFILE of the service, or ulimit -n)", limit, processMin)
	}
	return nil
}

// ShareOut shares the descriptors of a limit out; 0 is none known.
func ShareOut(limit int, c *config.Config, loops int) Shares {
	if limit <= 0 {
		limit = noLimit
	}
	d := Shares{Limit: limit, own: 8 + 2*loops + len(c.Listen.Addresses)}
	kept := backendsOf(c) + spareMin
	if len(c.Peers) > 0 {
		kept += spareMin
	}
	if c.HTTP.Address != "" {
		kept += d.Visitors()
	}
	d.need = d.own + c.Limits.MaxClientConn + kept
	// With "*" there may be more pools than the configuration shows; where there is much, more is kept for them. Where there is
	// little, clients get some of it all the same.
	kept = min(max(kept, limit/8), (limit-d.own)*2/3)
	d.bound = limit - kept
	return d
}

// backendsOf is how many backends the configuration's pools may have: one pool for each database, and none with more than there can be clients for,
// whatever its size: that of PgBouncer's pools without a limit is the most that a server could have.
func backendsOf(c *config.Config) int {
	n := 0
	for name, d := range c.Databases {
		s := c.PoolSettings(name, d.User)
		size := s.PoolSize + s.ReservePoolSize
		if s.MaxDBConnections > 0 {
			size = min(size, s.MaxDBConnections)
		}
		n += min(size, max(c.Limits.MaxClientConn, s.MinPoolSize))
	}
	return n
}

// clients is how many clients there can be.
func (d Shares) clients(c *config.Config) int {
	return min(c.Limits.MaxClientConn, max(d.bound-d.own, 0))
}

// peerRequestsMax bounds the cancel requests that are on their way to peers.
const peerRequestsMax = 256

// PeerRequests is how many there may be: each has two descriptors.
func (d Shares) PeerRequests() int { return min(peerRequestsMax, max((d.bound-d.own)/8, 4)) }

// Visitors is how many connections over HTTP there may be.
func (d Shares) Visitors() int { return min(visitorsMax, max((d.Limit-d.own)/16, 4)) }

// Logins is how many logins may be under way: they alone do not use up the descriptors of clients, nor while those that make room
// for others are still open.
func (d Shares) Logins(c *config.Config) int {
	return min(c.Limits.MaxLogins, max((d.bound-d.own)/4, 4))
}

// ForClient reports whether a client may have the descriptor of this number.
func (d Shares) ForClient(fd int) bool { return fd < d.bound }

// Warn tells the log where the limit is below what the configuration asks for.
func (d Shares) Warn(log *slog.Logger, c *config.Config) {
	if d.Limit >= d.need {
		return
	}
	log.Warn("descriptors are short: fewer clients fit than max_client_conn allows; raise the limit of open files (LimitNOFILE of the service, or ulimit -n)",
		"limit", d.Limit, "need", d.need, "max_client_conn", c.Limits.MaxClientConn, "clients", d.clients(c), "backends", backendsOf(c))
}
