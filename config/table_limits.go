package config

var limitSettings = []setting{
	{
		section: "limits", name: "max_client_conn", unit: "clients", min: 1, max: clientsMax,
		field: func(c *Config) any { return &c.Limits.MaxClientConn },
		meaning: "How many clients may be connected in all. One more gets the error 53300. Each needs a file descriptor: " +
			"see LimitNOFILE of the service, or ulimit -n. Where there are too few for these clients and the backends, weir says so when " +
			"it starts, and clients get 53300 earlier.",
		why: "PgBouncer's 100 is PostgreSQL's own limit, which people put a pooler in front of to get rid of; it is " +
			"usually met in production first. An idle client costs weir two thirds of a KiB, so ten thousand cost 7 MiB.",
	},
	{
		section: "limits", name: "max_logins", unit: "clients", min: 1, max: clientsMax,
		field: func(c *Config) any { return &c.Limits.MaxLogins },
		meaning: "How many connections may be logging in at the same time. When it is reached, the connection that has not gone on " +
			"with its login for longest is dropped for a new one, so that connections that say nothing, or begin and stop, lock no client out. Cancel requests have room beside these.",
		why: "PgBouncer counts these among max_client_conn, so silent strangers use up the places of clients.",
	},
	{
		section: "limits", name: "max_db_connections", unit: "backends", max: backendsMax, in: inDatabases,
		field:    func(c *Config) any { return &c.Limits.MaxDBConnections },
		override: func(o *Override) any { return &o.MaxDBConnections },
		meaning: "How many backends a database may have, over the pools of all its users. Set here, it counts what leads to one database of " +
			"one server, by whatever names; set for a database, it counts what that section leads to.",
		why: "PgBouncer counts by the name that clients use, so a second name for a database has a limit of its own.",
	},
	{
		section: "limits", name: "max_user_connections", unit: "backends", max: backendsMax, in: inUsers,
		field:    func(c *Config) any { return &c.Limits.MaxUserConnections },
		override: func(o *Override) any { return &o.MaxUserConnections },
		meaning:  "How many backends a user may have, over the pools of all databases.",
	},
	{
		section: "limits", name: "max_db_client_connections", unit: "clients", max: clientsMax, in: inDatabases,
		field:    func(c *Config) any { return &c.Limits.MaxDBClientConnections },
		override: func(o *Override) any { return &o.MaxDBClientConnections },
		meaning:  "How many clients a database may have, counted as for max_db_connections.",
	},
	{
		section: "limits", name: "max_user_client_connections", unit: "clients", max: clientsMax, in: inUsers,
		field:    func(c *Config) any { return &c.Limits.MaxUserClientConnections },
		override: func(o *Override) any { return &o.MaxUserClientConnections },
		meaning:  "How many clients a user may have.",
	},
	{
		section: "limits", name: "max_packet_size",
		field: func(c *Config) any { return &c.Limits.MaxPacketSize },
		meaning: "How long a message of the protocol may be, of a client or of a server: a statement, a row, the values of a Bind. The connection of a client that " +
			"sends a longer one, or that would be sent one, ends with the error 54000. 0B: as long as PostgreSQL takes it, 1 GiB. weir passes messages on in pieces, so " +
			"a long one costs it no memory.",
	},
}
