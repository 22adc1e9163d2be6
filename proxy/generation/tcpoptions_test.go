package generation

import (
	"testing"
	"time"

	"weir/config"
	"weir/proxy/socket"
)

// What [server_tcp] does not say follows from server_tcp_timeout.
func TestOptionsOfConnectionsToServers(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name string
		set  func(*config.Config)
		want socket.TCPOptions
	}{
		{"defaults", func(*config.Config) {}, socket.TCPOptions{KeepAlive: true, Idle: 30 * s, Interval: 10 * s, Count: 3, UserTimeout: 60 * s}},
		{
			"a second", func(c *config.Config) { c.Timeouts.ServerTCPTimeout = config.Duration(s) },
			socket.TCPOptions{KeepAlive: true, Idle: s, Interval: s, Count: 3, UserTimeout: s},
		},
		{"the kernel's", func(c *config.Config) { c.Timeouts.ServerTCPTimeout = 0 }, socket.TCPOptions{KeepAlive: true}},
		{"each said", func(c *config.Config) {
			c.ServerTCP = config.ServerTCP{
				Keepalive: true, Keepidle: config.Duration(7 * s), Keepintvl: config.Duration(2 * s), Keepcnt: 5, UserTimeout: config.Duration(9 * s), SocketBuffer: 1 << 16,
			}
		}, socket.TCPOptions{KeepAlive: true, Idle: 7 * s, Interval: 2 * s, Count: 5, UserTimeout: 9 * s, Buffer: 1 << 16}},
		{"no probes", func(c *config.Config) { c.ServerTCP.Keepalive = false }, socket.TCPOptions{Idle: 30 * s, Interval: 10 * s, Count: 3, UserTimeout: 60 * s}},
	} {
		conf := config.Default()
		c.set(conf)
		if got := ServerTCP(conf); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
