package config

var databaseSettings = []setting{
	{
		section: "databases", name: "host", example: `"localhost"`,
		database: func(d *Database) any { return hostsOf{d} },
		meaning: "Where the server is: a name, an address, or the folder of its unix socket (/run/postgresql). Several, with commas " +
			`("db1,db2") or as a list (["db1", "db2"]), are tried one after the other; each address of a name counts. Names are looked up ` +
			"anew for each backend. See docs/failover.md. Required.",
	},
	{
		section: "databases", name: "port", min: 1, max: 65535,
		database: func(d *Database) any { return portsOf{d} },
		meaning: "The server's port; with a folder, the number in the socket's name. Several hosts have one port, or one each, in the " +
			`same order: "5432,5433" or [5432, 5433].`,
	},
	{
		section: "databases", name: "target_session_attrs",
		database: func(d *Database) any { return &d.TargetSession },
		meaning: `Which servers may serve this database, as in libpq: "any", "read-write", "read-only", "primary", "standby" or ` +
			`"prefer-standby" (any, if there is no standby). Unless it is "any", clients wait while there is no such server, for as long as ` +
			"query_wait_timeout, and server_login_retry does not end their wait. See docs/failover.md.",
	},
	{
		section: "databases", name: "load_balance_hosts",
		database: func(d *Database) any { return &d.LoadBalance },
		meaning: `The order in which several hosts, and the addresses of their names, are tried: "disable", as they stand; "random", drawn ` +
			"anew for each backend.",
	},
	{
		section: "databases", name: "dbname", example: `"shop"`,
		database: func(d *Database) any { return &d.DBName },
		meaning:  "The database's name on the server. Without it: the name that the client asked for.",
	},
	{
		section: "databases", name: "user", example: `"shop_app"`,
		database: func(d *Database) any { return &d.User },
		meaning: "The user that weir logs in to the server as, for all clients of this database, which then " +
			"share one pool. Without it: the client's user, and a pool for each.",
	},
	{
		section: "databases", name: "password", example: `"secret"`,
		database: func(d *Database) any { return &d.Password },
		meaning: "The password for the server, in clear text. Without it weir uses what is stored for the user that it logs in as: " +
			"in [users], or else in auth_file, or else what the auth_query of a login found. See docs/authentication.md.",
	},
	{
		section: "databases", name: "password_file", example: `"/etc/weir/shop.password"`,
		database: func(d *Database) any { return fromFile{&d.Password} },
		meaning: "A file that holds the password instead; one line end at its end is left off. A relative name begins at " +
			"the folder of the configuration file.",
	},
	{
		section: "databases", name: "password_env", example: `"SHOP_PASSWORD"`,
		database: func(d *Database) any { return fromEnv{&d.Password} },
		meaning:  "An environment variable that holds the password instead.",
	},
	{
		section: "users", name: "password", example: `"secret"`,
		user: func(u *User) any { return &u.Password },
		meaning: "What the user must know: the password in clear text, or what pg_authid has for it, a verifier " +
			"(SCRAM-SHA-256$...) or a hash (md5...). With a verifier weir can log in to a server that has the very same one, " +
			"once a client has logged in with it; with a hash only where the server asks for md5.",
	},
	{
		section: "users", name: "password_file", example: `"/etc/weir/app.password"`,
		user:    func(u *User) any { return fromFile{&u.Password} },
		meaning: "A file that holds it instead; as for a database.",
	},
	{
		section: "users", name: "password_env", example: `"APP_PASSWORD"`,
		user:    func(u *User) any { return fromEnv{&u.Password} },
		meaning: "An environment variable that holds it instead.",
	},
}
