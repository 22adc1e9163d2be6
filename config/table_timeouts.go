package config

// metLate is about the limits that are looked for about once a second.
const metLate = " weir looks for this once a second, so it is met up to a second late, and logged."

var timeoutSettings = []setting{
	{
		section: "timeouts", name: "query_wait_timeout", in: inDatabases | inUsers,
		field:    func(c *Config) any { return &c.Timeouts.QueryWaitTimeout },
		override: func(o *Override) any { return &o.QueryWaitTimeout },
		meaning: "How long a client waits for a backend before its request fails with an error (53300); its session goes on. Off, a client of a " +
			"busy pool waits for as long as it takes. docs/compatibility.md says what becomes of a pipeline.",
	},
	{
		section: "timeouts", name: "server_lifetime", in: inDatabases,
		field:    func(c *Config) any { return &c.Timeouts.ServerLifetime },
		override: func(o *Override) any { return &o.ServerLifetime },
		meaning: "A backend older than this is closed once it is free, so that memory it has gathered goes back. The exact " +
			"age differs from backend to backend, lest all are renewed at once.",
		why: `The default is PgBouncer's, but 0 is not: there it means that a backend is used once, here that it may grow ` +
			"as old as it likes.",
	},
	{
		section: "timeouts", name: "server_idle_timeout",
		field:   func(c *Config) any { return &c.Timeouts.ServerIdleTimeout },
		meaning: "A backend idle for this long is closed, down to min_pool_size.",
	},
	{
		section: "timeouts", name: "pool_idle_timeout", in: inDatabases,
		field:    func(c *Config) any { return &c.Timeouts.PoolIdleTimeout },
		override: func(o *Override) any { return &o.PoolIdleTimeout },
		meaning: "A pool that has had no client for this long closes its idle backends and is forgotten, with its metrics. min_pool_size " +
			"keeps them only where the database has a user of its own. Off, they stay for server_idle_timeout. Backends in the way of a " +
			"CREATE, ALTER or DROP DATABASE that a client sends through weir are closed at once, if their pool has no client.",
		why: "PgBouncer keeps idle backends of databases that are no longer used for server_idle_timeout, and the pools themselves for " +
			"ever; a DROP DATABASE fails for as long.",
	},
	{
		section: "timeouts", name: "server_connect_timeout",
		field:   func(c *Config) any { return &c.Timeouts.ServerConnectTimeout },
		meaning: "How long connecting and logging in to a server may take; of several servers, to each. Off, it is left to the kernel, which takes minutes.",
	},
	{
		section: "timeouts", name: "server_tcp_timeout", max: secondsMax,
		field: func(c *Config) any { return &c.Timeouts.ServerTCPTimeout },
		meaning: "How long a server's kernel may acknowledge nothing, neither what was sent nor a probe of keep-alive, before the " +
			"connection counts as lost: the server's machine has vanished. A slow query does not count, since the kernel of a live machine " +
			`acknowledges at once. It takes effect with new backends; [server_tcp] can say its parts one by one. "0s" leaves it to weir's own kernel, which waits for 15 ` +
			"minutes to two hours.",
		why: "PgBouncer has tcp_user_timeout and tcp_keepidle, tcp_keepintvl and tcp_keepcnt for this, as [server_tcp] has, and leaves all four to the kernel.",
	},
	{
		section: "timeouts", name: "server_login_retry",
		field: func(c *Config) any { return &c.Timeouts.ServerLoginRetry },
		meaning: "How long weir has patience with a server that cannot be reached, while the pool has no backend. weir tries again, once a " +
			"second at last, so that clients are served about a second after the server is. Clients wait until the server has failed for this " +
			"long, and then get its own error. Where the server refuses the login (a wrong password, no such database) they get it at once, " +
			"and so do clients that come within this time after; there the pauses between attempts grow up to this. " +
			`"0s": all clients that wait get the first failure, and attempts are 100 ms apart.`,
	},
	{
		section: "timeouts", name: "client_login_timeout",
		field:   func(c *Config) any { return &c.Timeouts.ClientLoginTimeout },
		meaning: "How long a client may take to log in.",
	},
	{
		section: "timeouts", name: "client_idle_timeout", in: inUsers,
		field:    func(c *Config) any { return &c.Timeouts.ClientIdleTimeout },
		override: func(o *Override) any { return &o.ClientIdleTimeout },
		meaning: "A client that has sent nothing for this long outside of a transaction is disconnected. Should be above " +
			"the idle time of the applications' own pools." + metLate,
	},
	{
		section: "timeouts", name: "client_stall_timeout", in: inUsers,
		field:    func(c *Config) any { return &c.Timeouts.ClientStallTimeout },
		override: func(o *Override) any { return &o.ClientStallTimeout },
		meaning: "A client that is being sent something and has taken nothing of it for this long is disconnected, and its query cancelled: its backend, and the " +
			"locks and the old rows that its transaction keeps, are of use to others. A client that reads slowly takes something. Over TCP, tcp_user_timeout in " +
			"[listen] may end it earlier. So is a client that has a backend, has sent a message in part, and nothing more of it for this long; the data of a COPY " +
			"may come as it likes. It holds for clients that replicate, too: one whose own work stands still for longer, as a subscription's that waits for a " +
			"lock, comes back and goes on where it was." + metLate,
		why: "PgBouncer has nothing of the kind: a client that stands still keeps its backend for ever.",
	},
	{
		section: "timeouts", name: "query_timeout", in: inUsers,
		field:    func(c *Config) any { return &c.Timeouts.QueryTimeout },
		override: func(o *Override) any { return &o.QueryTimeout },
		meaning: "weir asks the server to cancel a query that runs for longer; the client gets an error (57014) that names this setting, and keeps its session. If the " +
			"query has not ended cancel_wait_timeout later, the client is disconnected and the backend closed. Set a little above " +
			"PostgreSQL's statement_timeout, it catches what that cannot: a server that does not answer." + metLate,
	},
	{
		section: "timeouts", name: "idle_transaction_timeout", in: inUsers,
		field:    func(c *Config) any { return &c.Timeouts.IdleTransactionTimeout },
		override: func(o *Override) any { return &o.IdleTransactionTimeout },
		meaning: "A client that has sent nothing for this long inside a transaction is disconnected; it holds a backend. A batch of the extended " +
			"protocol that it has not ended with a Sync is a transaction, too; the data of a COPY may come as it likes." + metLate,
	},
	{
		section: "timeouts", name: "transaction_timeout", in: inUsers,
		field:    func(c *Config) any { return &c.Timeouts.TransactionTimeout },
		override: func(o *Override) any { return &o.TransactionTimeout },
		meaning:  "A client whose transaction lasts longer is disconnected." + metLate,
	},
	{
		section: "timeouts", name: "cancel_wait_timeout",
		field: func(c *Config) any { return &c.Timeouts.CancelWaitTimeout },
		meaning: "How long a cancel request may take to reach the server before it is given up. Off, it is not given up. For as long the " +
			"backend is sent nothing else, because the request would hit that, once the query has ended. It is also how " +
			"long a query may go on after its query_timeout, when the server was asked to cancel it; off, that is 10 s.",
	},
	{
		section: "timeouts", name: "shutdown_grace",
		field: func(c *Config) any { return &c.Timeouts.ShutdownGrace },
		meaning: "After SIGTERM: how long weir goes on as before, new clients included, while /readyz says that it stops. So that load balancers " +
			"have seen that before the first client is refused. drain_timeout begins after it.",
		why: "PgBouncer has nothing of the kind.",
	},
	{
		section: "timeouts", name: "drain_timeout",
		field: func(c *Config) any { return &c.Timeouts.DrainTimeout },
		meaning: "After SIGTERM, and shutdown_grace: how long clients may go on before those without a transaction are sent away with 57P01. " +
			`"0s" sends them at once. Transactions under way are waited for in any case; a second SIGTERM stops everything.`,
		why: "PgBouncer has no such bound: it waits until the last client has left.",
	},
}
