package config

// serverTCPSettings are the rows of [server_tcp]. They have PgBouncer's names, as those of [listen].
var serverTCPSettings = []setting{
	{
		section: "server_tcp", name: "tcp_keepalive",
		field: func(c *Config) any { return &c.ServerTCP.Keepalive },
		meaning: "Lets the kernel probe idle connections to servers, so that a machine that has gone is noticed, and firewalls in between do not forget the " +
			"connection.",
	},
	{
		section: "server_tcp", name: "tcp_keepidle", max: secondsMax,
		field:   func(c *Config) any { return &c.ServerTCP.Keepidle },
		meaning: `How long a connection is idle before the first probe, in whole seconds. "0s": half of server_tcp_timeout.`,
	},
	{
		section: "server_tcp", name: "tcp_keepintvl", max: secondsMax,
		field:   func(c *Config) any { return &c.ServerTCP.Keepintvl },
		meaning: `Time between probes, in whole seconds. "0s": a sixth of server_tcp_timeout.`,
	},
	{
		section: "server_tcp", name: "tcp_keepcnt", unit: "probes", max: probesMax,
		field:   func(c *Config) any { return &c.ServerTCP.Keepcnt },
		meaning: "After how many unanswered probes a server counts as gone. 0: three, unless server_tcp_timeout is off.",
	},
	{
		section: "server_tcp", name: "tcp_user_timeout", max: secondsMax,
		field: func(c *Config) any { return &c.ServerTCP.UserTimeout },
		meaning: `How long the kernel waits for a server to acknowledge what it was sent before it counts as gone. "0s": as long as server_tcp_timeout. ` +
			"As in [listen] it is at most what the probes take while tcp_keepalive is on. Linux only.",
	},
	{
		section: "server_tcp", name: "tcp_socket_buffer",
		field:   func(c *Config) any { return &c.ServerTCP.SocketBuffer },
		meaning: "How much the kernel may keep of what a server has sent or is to be sent (SO_RCVBUF, SO_SNDBUF). 0B leaves it to the system.",
	},
}
