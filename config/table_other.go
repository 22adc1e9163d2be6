package config

var otherSettings = []setting{
	{
		section: "clients", name: "ignore_startup_parameters",
		field: func(c *Config) any { return &c.Clients.IgnoreStartupParameters },
		meaning: "Startup parameters that are accepted and have no effect, also those in options, in any letter case. weir sets all others " +
			"on the server: these are for parameters that the server does not know, or that clients are not to choose. \"options\" stands for all that " +
			"clients set in options, save for replication and for application_name, client_encoding, DateStyle, IntervalStyle, " +
			"standard_conforming_strings and TimeZone.",
	},
	{
		section: "clients", name: "application_name_add_host",
		field: func(c *Config) any { return &c.Clients.ApplicationNameAddHost },
		meaning: "Adds the client's address to the application_name that it logs in with: NAME - HOST:PORT, and app - HOST:PORT where it gives no " +
			"name. Each client then has settings of its own, which costs a SET whenever a backend changes hands.",
	},
	{
		section: "clients", name: "login_notify_message",
		field:   func(c *Config) any { return &c.Clients.LoginNotice },
		meaning: `A NOTICE that each client gets when it has logged in. "": none.`,
	},
	{
		section: "clients", name: "query_wait_notify",
		field:   func(c *Config) any { return &c.Clients.QueryWaitNotify },
		meaning: `How long a client waits for a backend before a NOTICE tells it so, and why, once for each wait, up to a second late. "0s": never.`,
	},
	{
		section: "clients", name: "simple_query",
		field: func(c *Config) any { return &c.Clients.SimpleQuery },
		meaning: "Whether clients may send simple queries, which may hold several statements: what an injection into SQL needs to add one of its own. With " +
			"false only the extended protocol is served, and a client that sends a simple query is disconnected (0A000). Replication and the console are " +
			"left alone. PgBouncer calls it disable_pqexec.",
	},
	{
		section: "admin", name: "admin_users",
		field:   func(c *Config) any { return &c.Admin.AdminUsers },
		meaning: "Users that may do everything on the admin console. They log in as to any database.",
	},
	{
		section: "admin", name: "stats_users",
		field:   func(c *Config) any { return &c.Admin.StatsUsers },
		meaning: "Users that may use SHOW there, and nothing else: for monitoring.",
	},
	{
		section: "admin", name: "stats_period",
		field: func(c *Config) any { return &c.Admin.StatsPeriod },
		meaning: "Averages on the console are those of the last whole stats_period and what has passed since, and stats in [log] writes a line that often. " +
			"At least a second.",
	},
	{
		section: "log", name: "level",
		field: func(c *Config) any { return &c.Log.Level },
		meaning: `"debug" has a line for each connection, "info" for each event in weir's life, "warn" for each user hurt, ` +
			`"error" for what an operator must act on.`,
	},
	{
		section: "log", name: "slow_wait", in: inDatabases | inUsers,
		field:    func(c *Config) any { return &c.Log.SlowWait },
		override: func(o *Override) any { return &o.SlowWait },
		meaning: "A client that has waited this long for a backend, and got one, has a line in the log with the beginning of its statement. A wait that " +
			`fails has a line in any case. "0s": none has.`,
	},
	{
		section: "log", name: "slow_transaction", in: inDatabases | inUsers,
		field:    func(c *Config) any { return &c.Log.SlowTransaction },
		override: func(o *Override) any { return &o.SlowTransaction },
		meaning: "A transaction that took this long, waiting for a backend not counted, has a line in the log with the beginning of its first statement. " +
			`"0s": none has.`,
		why: "PgBouncer has no such thing, and PostgreSQL's log_min_duration_statement knows neither waits nor what a client does between two " +
			"statements. Off, because texts of statements in a log are for you to decide.",
	},
	{
		section: "log", name: "format", restart: true,
		field:   func(c *Config) any { return &c.Log.Format },
		meaning: `"text" is key=value, "json" one JSON object a line.`,
	},
	{
		section: "log", name: "stderr", restart: true,
		field:   func(c *Config) any { return &c.Log.Stderr },
		meaning: "Logs on standard error.",
	},
	{
		section: "log", name: "file", alias: "logfile", restart: true,
		field: func(c *Config) any { return &c.Log.File },
		meaning: "A file that the log is appended to. It is opened anew on SIGHUP, so that it can be moved away before. A file that cannot be " +
			`opened keeps weir from starting; one that cannot be opened anew leaves the former in use. "": none.`,
	},
	{
		section: "log", name: "syslog", restart: true,
		field:   func(c *Config) any { return &c.Log.Syslog },
		meaning: "Logs to the machine's syslog as well.",
	},
	{
		section: "log", name: "syslog_facility", restart: true,
		field:   func(c *Config) any { return &c.Log.SyslogFacility },
		meaning: `The facility of lines in syslog: "daemon", "user", "auth", "authpriv" or "local0" to "local7".`,
	},
	{
		section: "log", name: "syslog_ident", restart: true,
		field:   func(c *Config) any { return &c.Log.SyslogIdent },
		meaning: "The name of the program in syslog.",
	},
	{
		section: "log", name: "stats",
		field:   func(c *Config) any { return &c.Log.Stats },
		meaning: "Logs each stats_period (in [admin]) what has been done in it: a second, and how long a transaction, a query and a wait took on average.",
	},
	{
		section: "process", name: "user", restart: true,
		field: func(c *Config) any { return &c.Process.User },
		meaning: "The account that weir changes to when it was started as root, before it opens anything but its configuration. " +
			`"": none. Any other account can only stay what it is: then this must be its name.`,
	},
	{
		section: "process", name: "pidfile", restart: true,
		field: func(c *Config) any { return &c.Process.PIDFile },
		meaning: "A file for the number of weir's process, removed at the end. If it is there and names a process that lives, weir does not " +
			`start. "": none.`,
	},
	{
		section: "loops", name: "count", unit: "loops", max: loopsMax, restart: true,
		field: func(c *Config) any { return &c.Loops.Count },
		meaning: "How many event loops there are, each a thread of its own. 0 lets weir choose: one on one or two cores, where a second " +
			"costs more than it gives; on more, one for each core, less one core in eight, and one at least, for what runs beside the loops " +
			"(the cryptography of logins, dials, metrics). Cores are those that the process may use: a limit of its container counts.",
	},
	{
		section: "reload", name: "watch",
		field: func(c *Config) any { return &c.Reload.Watch },
		meaning: "Looks once a second at the configuration file and the files that it names, and reads all of them anew when one has changed and " +
			"they have stayed as they are for a second. Otherwise that is done on SIGHUP only. Certificates are looked at in any case.",
	},
}
