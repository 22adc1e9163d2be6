package config

const (
	// backendsMax bounds pool sizes: MAX_BACKENDS, 0x3FFFF in PostgreSQL's src/include/postmaster/postmaster.h.
	backendsMax = 0x3FFFF
	// clientsMax bounds numbers of clients: descriptors of one process stay below (Linux: fs.nr_open, 1,048,576).
	clientsMax  = 1_000_000
	dialsMax    = 1000
	preparedMax = 1_000_000
	backlogMax  = 65535 // far above any net.core.somaxconn
	loopsMax    = 256   // cancel keys tell nearly twice as many apart (proxy/cancelkey)
	// iterationsMax is a quarter of a second of a processor.
	iterationsMax = 1_000_000
	secondsMax    = 32767 // MAX_TCP_KEEPIDLE and MAX_TCP_KEEPINTVL in Linux' include/net/tcp.h
	probesMax     = 127   // MAX_TCP_KEEPCNT, there
)

// The most that a file may say, for those who write files from others.
const (
	BackendsMax   = backendsMax
	ClientsMax    = clientsMax
	PreparedMax   = preparedMax
	BacklogMax    = backlogMax
	IterationsMax = iterationsMax
	KeepaliveMax  = secondsMax // seconds
	ProbesMax     = probesMax
	PeerPoolMax   = peerPoolMax
	LoopsMax      = loopsMax
)

// sections in the order of the file.
var sections = []section{
	{"listen", "Where clients connect."},
	{"http", "The live page, metrics, health and profiles, for operators and machines."},
	{"auth", "How clients prove who they are."},
	{"client_tls", "TLS between clients and weir. A database may have its own of these, in [databases.NAME.client_tls]."},
	{"server_tls", "TLS between weir and PostgreSQL. A database may have its own of these, in [databases.NAME.server_tls]."},
	{"server_tcp", "What the kernel does with TCP connections between weir and PostgreSQL. What is not said here follows from server_tcp_timeout in " +
		"[timeouts]. Changes hold for backends that are dialled from then on."},
	{"pool", "What pools are like. There is one pool of backends for each pair of database and user. A database may " +
		"have each of these settings for itself, a user some of them; the user's value wins over the database's, and " +
		"that over the one here."},
	{"session", "What functions do to the sessions of clients, where their texts do not show it. Names are written as in SQL, with or " +
		"without their schema."},
	{"databases", "The databases that clients may ask for, a section each: NAME is what the client asks for, and " +
		`"*" (in quotes) stands for every name that has no section of its own.`},
	{"users", "The users that may log in, a section each, with a password and with settings that hold for this user " +
		"in every database. Users without a section may log in, too: those of auth_file, those that auth_query finds, and with " +
		"type \"trust\" in [auth] all users."},
	{"peers", "Other weirs and PgBouncers behind the same address, a section each: NAME is the peer's id, or a range of ids such as \"1-16\". " +
		"A client's cancel request comes on a connection of its own, which may reach another of them than its query's; that one passes it on " +
		"to the peer that the key names. All need a peer_id of their own, and the sections may be the same for all: a weir leaves out itself."},
	{"clients", "What clients may say when they log in, and what they are told beside the server's answers."},
	{"limits", "Bounds over all pools, so that no sum of pools overwhelms PostgreSQL and no flood of clients weir. " +
		"0 is no limit where 0 may be written."},
	{"timeouts", `Durations are written "30s", "2m", "1h30m"; "0s" switches a timeout off. ` +
		"query_timeout, transaction_timeout, idle_transaction_timeout, client_idle_timeout and drain_timeout are checked once a second, " +
		"so each takes effect up to a second late."},
	{"admin", "The admin console: PgBouncer's, on the databases \"pgbouncer\" and \"weir\". On the unix socket the account that weir runs as, " +
		"and root, may use it without a password. See docs/console.md."},
	{"log", "What is logged, and where."},
	{"tracing", "Transactions as spans for OpenTelemetry; see docs/tracing.md. Off, it costs nothing. Headers, certificates and what else an " +
		"exporter has are read from the environment: OTEL_EXPORTER_OTLP_HEADERS and so on."},
	{"loops", "The event loops that carry the traffic."},
	{"process", "What weir does to its own process when it starts. Under systemd none of it is needed."},
	{"reload", "How weir follows a configuration that changes while it runs; see docs/deploying.md."},
}

// settings is the table. The order within a section is that of the file.
var settings = concat(listenSettings, authSettings, tlsSettings, serverTCPSettings, peerSettings, poolSettings, sessionSettings, databaseSettings, limitSettings, timeoutSettings, otherSettings, tracingSettings)

func concat(parts ...[]setting) []setting {
	var all []setting
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

var listenSettings = []setting{
	{
		section: "listen", name: "addresses", restart: true,
		field: func(c *Config) any { return &c.Listen.Addresses },
		meaning: `Addresses for TCP connections, each host:port. ":6432" is every address of the machine, IPv4 and IPv6; ` +
			"\"0.0.0.0:6432\" is every IPv4 address only, \"[::]:6432\" every IPv6 address only. Port 0 takes a free port and logs it.",
		why: "PgBouncer listens on no TCP address unless told. weir listens where only this machine reaches it, so that " +
			"it works at once and no other machine can reach it.",
	},
	{
		section: "listen", name: "unix_socket_dir", restart: true,
		field: func(c *Config) any { return &c.Listen.UnixSocketDir },
		meaning: `Folder for a unix socket, named as PostgreSQL's is: .s.PGSQL.PORT, with the port of the first of ` +
			`addresses, or 6432. "" makes none.`,
		why: "PgBouncer uses /tmp. There every account can put up a socket of that name first and collect passwords, " +
			"cleaners of /tmp delete it, and a service with a private /tmp hides it.",
	},
	{
		section: "listen", name: "unix_socket_mode", restart: true,
		field:   func(c *Config) any { return &c.Listen.UnixSocketMode },
		meaning: "Permission bits of the unix socket, octal, in quotes. Connecting needs the right to write.",
	},
	{
		section: "listen", name: "unix_socket_group", restart: true,
		field:   func(c *Config) any { return &c.Listen.UnixSocketGroup },
		meaning: `The group of the unix socket, a name or a number. "": that of the process.`,
	},
	{
		section: "listen", name: "unix_socket_port", unit: "port", max: 65535, restart: true,
		field:   func(c *Config) any { return &c.Listen.UnixSocketPort },
		meaning: "The number in the unix socket's name. 0: the port of the first of addresses, or 6432.",
	},
	{
		section: "listen", name: "backlog", unit: "connections", min: 1, max: backlogMax, restart: true,
		field: func(c *Config) any { return &c.Listen.Backlog },
		meaning: "How many connections may wait to be accepted. The kernel takes no more than net.core.somaxconn " +
			"(4096 on Linux since 5.4); beyond that a client's connect is retried after a second.",
		why: "PgBouncer's 128 overflows when a thousand clients reconnect at once, as they do after a restart.",
	},
	{
		section: "listen", name: "reuse_port", restart: true,
		field: func(c *Config) any { return &c.Listen.ReusePort },
		meaning: "Lets another weir of the same account listen at the same addresses beside this one, that of [http] included, if it wants that, " +
			"too (SO_REUSEPORT): the next one can be started before this one is told to stop. The kernel gives a new client to one of the two. " +
			"Without it, too, a weir that has been told to stop leaves its addresses to the next one, on Linux.",
	},
	{
		section: "listen", name: "tcp_keepalive",
		field: func(c *Config) any { return &c.Listen.TCPKeepalive },
		meaning: "Lets the kernel probe idle TCP clients, so that those whose machine has gone do not stay for ever, with their " +
			"transactions and locks. With the defaults they are gone after five minutes.",
	},
	{
		section: "listen", name: "tcp_keepidle", max: secondsMax,
		field:   func(c *Config) any { return &c.Listen.TCPKeepidle },
		meaning: `How long a client is idle before the first probe, in whole seconds. "0s" leaves it to the system (2 hours on Linux).`,
		why:     "PgBouncer leaves it to the system, and so the next two: a client that has vanished in a transaction holds its locks for hours.",
	},
	{
		section: "listen", name: "tcp_keepintvl", max: secondsMax,
		field:   func(c *Config) any { return &c.Listen.TCPKeepintvl },
		meaning: `Time between probes, in whole seconds. "0s" leaves it to the system (75 s on Linux).`,
	},
	{
		section: "listen", name: "tcp_keepcnt", unit: "probes", max: probesMax,
		field:   func(c *Config) any { return &c.Listen.TCPKeepcnt },
		meaning: "After how many unanswered probes a client counts as gone. 0 leaves it to the system (9 on Linux).",
	},
	{
		section: "listen", name: "tcp_user_timeout", max: secondsMax, millis: true,
		field: func(c *Config) any { return &c.Listen.TCPUserTimeout },
		meaning: "How long the kernel waits for a client to acknowledge what it was sent, or to read on, before it counts as gone. " +
			"Linux would have it replace tcp_keepcnt, so while tcp_keepalive is on it is at most what the probes take: tcp_keepidle " +
			`and tcp_keepintvl times tcp_keepcnt. "0s" leaves it to the system (a quarter of an hour on Linux, and a client that does ` +
			`not read may take for ever): right for clients that pause for minutes in the middle of a result. Linux only.`,
		why: "PgBouncer leaves it to the system, where an answer that the client does not take keeps a backend and its locks for a quarter of an hour.",
	},
	{
		section: "listen", name: "tcp_socket_buffer", restart: true,
		field: func(c *Config) any { return &c.Listen.TCPSocketBuffer },
		meaning: "How much the kernel may keep of what a TCP client has sent or is to be sent (SO_RCVBUF, SO_SNDBUF). 0B leaves it to the system, which " +
			"fits it to each connection.",
	},
	{
		section: "listen", name: "tcp_defer_accept",
		field:   func(c *Config) any { return &c.Listen.TCPDeferAccept },
		meaning: "Leaves a TCP connection to the kernel until the client has said something, for up to 45 s (TCP_DEFER_ACCEPT). Linux only.",
		why: "PgBouncer has it on. To weir a connection that says nothing costs a descriptor, which max_logins bounds, and one that weir does not know of " +
			"it cannot count or close after client_login_timeout.",
	},
	{
		section: "http", name: "address", restart: true,
		field: func(c *Config) any { return &c.HTTP.Address },
		meaning: `Where the live page (/live), /metrics (Prometheus), /healthz and /readyz are served, host:port. "" serves nothing. ` +
			"Unless there is a token, whoever reaches it may read it all: choose an address that only your monitoring reaches. " +
			"Of more than 32 connections (fewer where the process may have few descriptors) the one that has been idle for longest makes room.",
		why: "PgBouncer has no such thing; its users run an exporter beside it.",
	},
	{
		section: "http", name: "pprof", restart: true,
		field: func(c *Config) any { return &c.HTTP.Pprof },
		meaning: "Serves Go's profiles under /debug/pprof/ as well. They show nothing of queries or passwords on " +
			"purpose, but a heap dump may hold anything: switch it on while you look.",
	},
	{
		section: "http", name: "cert_file", restart: true,
		field: func(c *Config) any { return &c.HTTP.CertFile },
		meaning: "A certificate, followed by those between it and an authority (PEM): with it and key_file HTTP speaks TLS only. A changed file is " +
			"noticed within a second, as in [client_tls].",
	},
	{
		section: "http", name: "key_file", restart: true,
		field:   func(c *Config) any { return &c.HTTP.KeyFile },
		meaning: "The certificate's key (PEM, not encrypted).",
	},
	{
		section: "http", name: "token",
		field: func(c *Config) any { return &c.HTTP.Token },
		meaning: "What must be shown to read anything but /healthz and /readyz, at least 16 bytes: as a bearer token, as Prometheus sends it, or as the " +
			`password of any user, as browsers ask for it. "": nothing must.`,
	},
	{
		section: "http", name: "token_file",
		field: func(c *Config) any { return &c.HTTP.TokenFile },
		meaning: "A file that holds the token instead; one line end at its end is left off. A relative name begins at the folder of the " +
			"configuration file.",
	},
}

var poolSettings = []setting{
	{
		section: "pool", name: "mode", alias: "pool_mode", in: inDatabases | inUsers,
		field:    func(c *Config) any { return &c.Pool.Mode },
		override: func(o *Override) any { return &o.Mode },
		meaning: `For how long a client keeps its backend. "transaction": until its transaction is over. "session": until ` +
			`it disconnects. "statement": for one statement; a transaction of several is refused. pool_mode is accepted as ` +
			"another spelling.",
		why: `PgBouncer's "session" saves nothing while clients stay connected, which is why nearly everyone changes it.`,
	},
	{
		section: "pool", name: "pool_size", unit: "backends", min: 1, max: backendsMax, in: inDatabases | inUsers,
		field:    func(c *Config) any { return &c.Pool.PoolSize },
		override: func(o *Override) any { return &o.PoolSize },
		meaning: "How many backends a pool may have. Two to four times the server's cores is plenty for most work: more " +
			"backends do not make it faster, they only use its memory.",
	},
	{
		section: "pool", name: "min_pool_size", unit: "backends", max: backendsMax, in: inDatabases,
		field:    func(c *Config) any { return &c.Pool.MinPoolSize },
		override: func(o *Override) any { return &o.MinPoolSize },
		meaning: "How many backends are kept although they are idle, while the pool has clients; always, from the start on, where the " +
			"database has a user of its own, until the server says that there is no such database or user. Where a database or a " +
			"user makes pool_size smaller than that, pool_size holds.",
	},
	{
		section: "pool", name: "reserve_pool_size", unit: "backends", max: backendsMax, in: inDatabases | inUsers,
		field:    func(c *Config) any { return &c.Pool.ReservePoolSize },
		override: func(o *Override) any { return &o.ReservePoolSize },
		meaning:  "How many backends beyond pool_size a pool may have while a client has waited for reserve_pool_timeout.",
	},
	{
		section: "pool", name: "reserve_pool_timeout", in: inDatabases,
		field:    func(c *Config) any { return &c.Pool.ReservePoolTimeout },
		override: func(o *Override) any { return &o.ReservePoolTimeout },
		meaning:  `How long a client waits before the reserve is used for it. "0s": the reserve is never used.`,
	},
	{
		section: "pool", name: "max_dials", unit: "connections", min: 1, max: dialsMax, in: inDatabases,
		field:    func(c *Config) any { return &c.Pool.MaxDials },
		override: func(o *Override) any { return &o.MaxDials },
		meaning: "How many connections to the server a pool may be opening at the same time. A new backend costs the " +
			"server a process and, with SCRAM, thousands of hashes: a burst of clients must not become a burst of these. Clients that " +
			"replicate have no pool: those of one section of [databases] may open as many connections beside the pools.",
		why: "PgBouncer opens one at a time, which makes a cold pool slow where the network is.",
	},
	{
		section: "pool", name: "max_prepared_statements", unit: "statements", max: preparedMax, in: inDatabases,
		field:    func(c *Config) any { return &c.Pool.MaxPrepared },
		override: func(o *Override) any { return &o.MaxPrepared },
		meaning: "How many named prepared statements a backend keeps, in transaction and statement mode. Clients share them: what " +
			"has the same text is prepared once on a backend. It bounds the server's memory, not the clients: each may have as many " +
			"as max_prepared_bytes has room for, and one that a backend has given up is prepared again when it is used. 0: they are not shared, and a " +
			"client that prepares one keeps its backend.",
	},
	{
		section: "pool", name: "max_prepared_bytes", in: inDatabases,
		field:    func(c *Config) any { return &c.Pool.MaxPreparedBytes },
		override: func(o *Override) any { return &o.MaxPreparedBytes },
		meaning: "How much of weir's memory one client's named prepared statements may take, in transaction and statement mode. A statement " +
			"beyond that is refused with an error that names this setting (53400), and the session goes on. 0B: no limit.",
		why: "PgBouncer has no such limit: one client can fill its memory.",
	},
	{
		section: "pool", name: "session_state", in: inDatabases | inUsers,
		field:    func(c *Config) any { return &c.Pool.SessionState },
		override: func(o *Override) any { return &o.SessionState },
		meaning: `What becomes of what clients do to their sessions, in transaction and statement mode. "follow": settings follow the client to ` +
			`its next backend, and what cannot follow keeps the backend for as long as it lives. "reject": a statement whose text says that it ` +
			`changes the session is refused (0A000). "ignore": nothing is kept, as with PgBouncer: what a client does to its session stays on the ` +
			"backend and meets other clients. See docs/session-state.md.",
	},
	{
		section: "pool", name: "max_pinned", unit: "backends", max: backendsMax, in: inDatabases | inUsers,
		field:    func(c *Config) any { return &c.Pool.MaxPinned },
		override: func(o *Override) any { return &o.MaxPinned },
		meaning: "How many backends of a pool the session state of clients may keep at the same time, in transaction and statement mode. A " +
			"statement that would keep one more is refused (53400); a client whose statement did not show that it would, or ran " +
			"while the last place was being taken, is ended after it. " +
			"0: no limit, and clients that keep all backends keep all others waiting.",
	},
	{
		section: "pool", name: "pin_idle_timeout", in: inDatabases | inUsers,
		field:    func(c *Config) any { return &c.Pool.PinIdleTimeout },
		override: func(o *Override) any { return &o.PinIdleTimeout },
		meaning: "How long a client may be idle outside of a transaction while the state of its session keeps a backend, in transaction and " +
			`statement mode. After that it is disconnected with an error that names what kept the backend. "0s": for ever.`,
	},
	{
		section: "pool", name: "connect_query", in: inDatabases | inUsers,
		field:    func(c *Config) any { return &c.Pool.ConnectQuery },
		override: func(o *Override) any { return &o.ConnectQuery },
		meaning: "A query that weir runs on each new backend after the login, before any client gets it. If it fails, the backend is closed, and " +
			"the attempt counts as failed. It may be several statements. The SETs that it begins with are not run: weir asks for these settings at " +
			"the login, after those of [databases.NAME.settings], so that they are every client's, and RESET and DISCARD ALL go back to them. The " +
			"rest should leave nothing in the session: what it sets, as with set_config, is taken for the doing of the first client " +
			"whose session weir looks at, and the others have it no more; a temporary table or a lock of its making keeps the backend with that client.",
	},
	{
		section: "pool", name: "server_reset_query", in: inDatabases,
		field:    func(c *Config) any { return &c.Pool.ServerResetQuery },
		override: func(o *Override) any { return &o.ServerResetQuery },
		meaning: `The query that weir runs on a backend after its client has left and before the next client gets it, in session mode only (but see ` +
			`server_reset_query_always). If it ` +
			`is another query than DISCARD ALL, weir runs DISCARD ALL after it. With "" weir runs DISCARD ALL only after a client that it has ` +
			"seen change the session.",
	},
	{
		section: "pool", name: "server_reset_query_always", in: inDatabases,
		field:    func(c *Config) any { return &c.Pool.ServerResetAlways },
		override: func(o *Override) any { return &o.ServerResetAlways },
		meaning: "Runs server_reset_query in every mode: in transaction and statement mode each time that a client has given its backend back. It costs " +
			"each of them a round trip and the statements that are prepared on the backend. weir itself needs it in no mode; it is for servers that are no PostgreSQL.",
	},
	{
		section: "pool", name: "server_check_query", in: inDatabases,
		field:    func(c *Config) any { return &c.Pool.ServerCheckQuery },
		override: func(o *Override) any { return &o.ServerCheckQuery },
		meaning: `The query that a backend must answer before it gets a client, when it has been idle for server_check_delay; "<empty>" is an empty query. ` +
			`One that fails, or that has not answered after 10 s, is closed, and the client gets another unseen. It runs with the settings of the backend's last client: name what it uses with its schema. "": nothing is asked.`,
		why: `PgBouncer asks an empty query. weir looks at the connection of each backend before it gives it to a client, which costs nothing and finds ` +
			"backends that have ended; server_tcp_timeout finds machines that have vanished. A query finds processes and proxies that hang as well, and costs a round trip.",
	},
	{
		section: "pool", name: "server_check_delay", in: inDatabases,
		field:    func(c *Config) any { return &c.Pool.ServerCheckDelay },
		override: func(o *Override) any { return &o.ServerCheckDelay },
		meaning:  `How long a backend has been idle when it is asked server_check_query before its next use. "0s": each time that it has been idle.`,
	},
	{
		section: "pool", name: "server_fast_close", in: inDatabases,
		field:    func(c *Config) any { return &c.Pool.ServerFastClose },
		override: func(o *Override) any { return &o.ServerFastClose },
		meaning: "Has a backend that is to be replaced (after RECONNECT, a reload that leads elsewhere, a failover), and that its client keeps between " +
			"transactions, closed as soon as it is in no transaction, up to a second late, together with its client (57P01): in session mode, and where the " +
			"session's state keeps it. Otherwise it goes when its client leaves, or gives it back.",
	},
	{
		section: "pool", name: "server_round_robin",
		field: func(c *Config) any { return &c.Pool.ServerRoundRobin },
		meaning: "Gives clients the backend that has been idle longest, so that all are used alike, and not the one that was used last and fits the " +
			"client best. For servers behind a balancer. None is idle for long enough to be closed then, and settings are applied more often.",
	},
	{
		section: "pool", name: "session_audit", in: inDatabases,
		field:    func(c *Config) any { return &c.Pool.SessionAudit },
		override: func(o *Override) any { return &o.SessionAudit },
		meaning: `After which statements weir asks a backend what state its session is in before another client gets it, where the text ` +
			`says nothing: functions, views and triggers may change settings, take locks and so on, too. "learn": after the first runs of each ` +
			`statement, after those that were found to leave state, and now and then, which takes at most one percent of the backends' time. ` +
			`"always": after each transaction, which takes a server about two milliseconds each time. "off": never. What a text itself says is ` +
			"followed in any case. Session mode needs none of it.",
		why: "PgBouncer has nothing like it: what a function sets in the session, the next client has.",
	},
	{
		section: "pool", name: "listen_lost_channel", in: inDatabases,
		field:    func(c *Config) any { return &c.Pool.ListenLostChannel },
		override: func(o *Override) any { return &o.ListenLostChannel },
		meaning: "In transaction and statement mode one connection listens for all clients of a pool that have said LISTEN. When it was " +
			"lost and has been made again, these clients get a notice that they may have missed notifications, and, if a channel is " +
			`named here, a notification on it, whether they listen to that channel or not. Few programs look at notices. With "" there is only the notice.`,
	},
	{
		section: "pool", name: "max_notification_bytes", in: inDatabases,
		field:    func(c *Config) any { return &c.Pool.MaxNotificationBytes },
		override: func(o *Override) any { return &o.MaxNotificationBytes },
		meaning: "How many bytes of notifications may wait in weir's memory for a client that listens and does not read its connection, in " +
			"transaction and statement mode. A client that has more is closed with an error that names this setting (53400). 0B: no limit.",
	},
	{
		section: "pool", name: "max_protocol_version", in: inDatabases,
		field:    func(c *Config) any { return &c.Pool.MaxProtocol },
		override: func(o *Override) any { return &o.MaxProtocol },
		meaning: `The version of the protocol that servers are asked for, as libpq's setting of that name: "3.0" or "3.2". With 3.2 ` +
			"PostgreSQL 18 gives cancel keys that cannot be guessed; older servers answer that they have 3.0, which is as good, but a " +
			"pooler or a firewall in between may not know the question. Clients get either from weir, whatever this says.",
	},
}

var sessionSettings = []setting{
	{
		section: "session", name: "opaque_functions",
		field: func(c *Config) any { return &c.Session.OpaqueFunctions },
		meaning: `Functions and procedures that may do anything to the session, such as "app.prepare_session": a statement that calls one is ` +
			"treated as DO is. Without a schema the name stands for the function in each schema.",
	},
	{
		section: "session", name: "clean_functions",
		field: func(c *Config) any { return &c.Session.CleanFunctions },
		meaning: `Procedures and functions that leave nothing in the session: a CALL of one keeps no backend, and a function is not asked after ` +
			`because of what its text says, nor is what calls it, or writes into a table of which it is a trigger. The name of a procedure must be ` +
			"written as the clients' statements write it, with the schema or without it.",
	},
}
