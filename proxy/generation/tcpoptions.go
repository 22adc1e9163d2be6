package generation

import (
	"cmp"
	"time"

	"weir/config"
	"weir/proxy/socket"
)

// ClientTCP is what the kernel does with clients' connections.
func ClientTCP(c *config.Config) socket.TCPOptions {
	l := c.Listen
	return socket.TCPOptions{
		KeepAlive: l.TCPKeepalive, Count: l.TCPKeepcnt, Idle: time.Duration(l.TCPKeepidle), Interval: time.Duration(l.TCPKeepintvl),
		UserTimeout: time.Duration(l.TCPUserTimeout), Buffer: int(l.TCPSocketBuffer), DeferAccept: l.TCPDeferAccept,
	}
}

// serverProbes is how many probes a server may leave unanswered.
const serverProbes = 3

// ServerTCP is what the kernel does with connections to servers. What [server_tcp] does not say follows from server_tcp_timeout: half of it
// passes before the first probe, and each probe gets its share of the rest.
func ServerTCP(c *config.Config) socket.TCPOptions {
	s, limit := c.ServerTCP, time.Duration(c.Timeouts.ServerTCPTimeout)
	o := socket.TCPOptions{
		KeepAlive: s.Keepalive, Count: s.Keepcnt, Idle: time.Duration(s.Keepidle), Interval: time.Duration(s.Keepintvl),
		UserTimeout: cmp.Or(time.Duration(s.UserTimeout), limit), Buffer: int(s.SocketBuffer),
	}
	if limit == 0 {
		return o
	}
	half := max(limit/2, time.Second).Round(time.Second)
	o.Idle = cmp.Or(o.Idle, half)
	o.Interval = cmp.Or(o.Interval, max((limit-half)/serverProbes, time.Second).Round(time.Second))
	o.Count = cmp.Or(o.Count, serverProbes)
	return o
}
