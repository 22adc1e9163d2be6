package config

// tlsSettings are the rows of [client_tls] and [server_tls]. A database may have each of them for itself, in a section of its
// own below the database's.
var tlsSettings = []setting{
	{
		section: "client_tls", name: "sslmode",
		field: func(c *Config) any { return &c.ClientTLS.SSLMode },
		table: func(d *Database) any { return &d.ClientTLS.SSLMode },
		meaning: `"disable": TLS is not offered. "allow" and "prefer": clients may use it, once there is a certificate. ` +
			`"require": clients over TCP must use it, those on the unix socket need not. "verify-ca": they must also show a ` +
			`certificate that an authority in ca_file has issued. "verify-full": and it must be the user's own: its common ` +
			"name is the user's name. In a database the first three demand nothing; whether TLS is offered is settled before a client " +
			"has said its database.",
		why: `PgBouncer's "disable" leaves a configured certificate unused. Its "verify-full" for clients is ` +
			`the same as "verify-ca"; here it means what PostgreSQL's clientcert=verify-full does.`,
	},
	{
		section: "client_tls", name: "cert_file",
		field: func(c *Config) any { return &c.ClientTLS.CertFile },
		table: func(d *Database) any { return &d.ClientTLS.CertFile },
		meaning: "The certificate that weir shows to clients, followed by those between it and an authority (PEM). A changed file " +
			"is noticed within a second and used for the connections that come then; one that is broken is logged, and the " +
			"former stays in use. That of a database is shown to clients that ask for a host name which it names (SNI).",
	},
	{
		section: "client_tls", name: "key_file",
		field:   func(c *Config) any { return &c.ClientTLS.KeyFile },
		table:   func(d *Database) any { return &d.ClientTLS.KeyFile },
		meaning: "The certificate's key (PEM, not encrypted).",
	},
	{
		section: "client_tls", name: "ca_file",
		field: func(c *Config) any { return &c.ClientTLS.CAFile },
		table: func(d *Database) any { return &d.ClientTLS.CAFile },
		meaning: "The authorities that issue the clients' certificates (PEM). With it clients are asked for a certificate; one that no " +
			"authority of any ca_file has issued ends the connection. Whether they must have one, sslmode says.",
	},
	{
		section: "client_tls", name: "min_version",
		field: func(c *Config) any { return &c.ClientTLS.MinVersion },
		table: func(d *Database) any { return &d.ClientTLS.MinVersion },
		meaning: `The oldest version of TLS that is spoken: "TLSv1.2" or "TLSv1.3". A database can only demand more than ` +
			"[client_tls] does.",
	},
	{
		section: "client_tls", name: "ciphers",
		field: func(c *Config) any { return &c.ClientTLS.Ciphers },
		table: func(d *Database) any { return &d.ClientTLS.Ciphers },
		meaning: "The cipher suites of TLS 1.2 that may be used, by OpenSSL's names or the standard's, with colons between them. " +
			`"": all that Go holds to be safe. Go decides in which order they are preferred; those of TLS 1.3 are all safe, and cannot be chosen among. Not for a single database.`,
	},
	{
		section: "client_tls", name: "curves",
		field: func(c *Config) any { return &c.ClientTLS.Curves },
		table: func(d *Database) any { return &d.ClientTLS.Curves },
		meaning: "The groups for the exchange of keys, with colons between them: X25519MLKEM768, X25519, P-256, P-384, P-521. " +
			`"": Go's own choice. Not for a single database.`,
	},
	{
		section: "server_tls", name: "sslmode",
		field: func(c *Config) any { return &c.ServerTLS.SSLMode },
		table: func(d *Database) any { return &d.ServerTLS.SSLMode },
		meaning: `As libpq's for connections over TCP. "disable": without TLS. "allow": only if the server refuses otherwise. ` +
			`"prefer": if the server can. "require": always; with a ca_file the same as "verify-ca". "verify-ca": only with a ` +
			`server whose certificate an authority in ca_file has issued. "verify-full": and that names the host. Unix ` +
			"sockets are never encrypted.",
	},
	{
		section: "server_tls", name: "cert_file",
		field:   func(c *Config) any { return &c.ServerTLS.CertFile },
		table:   func(d *Database) any { return &d.ServerTLS.CertFile },
		meaning: "The certificate that weir shows to servers that ask for one (PEM). A changed file is noticed as in [client_tls].",
	},
	{
		section: "server_tls", name: "key_file",
		field:   func(c *Config) any { return &c.ServerTLS.KeyFile },
		table:   func(d *Database) any { return &d.ServerTLS.KeyFile },
		meaning: "The certificate's key (PEM, not encrypted).",
	},
	{
		section: "server_tls", name: "ca_file",
		field: func(c *Config) any { return &c.ServerTLS.CAFile },
		table: func(d *Database) any { return &d.ServerTLS.CAFile },
		meaning: "The authorities that issue the servers' certificates (PEM). " +
			`"system" are those that the system trusts, with sslmode "verify-full" only.`,
	},
	{
		section: "server_tls", name: "min_version",
		field:   func(c *Config) any { return &c.ServerTLS.MinVersion },
		table:   func(d *Database) any { return &d.ServerTLS.MinVersion },
		meaning: `The oldest version of TLS that is spoken: "TLSv1.2" or "TLSv1.3".`,
	},
	{
		section: "server_tls", name: "ciphers",
		field: func(c *Config) any { return &c.ServerTLS.Ciphers },
		table: func(d *Database) any { return &d.ServerTLS.Ciphers },
		meaning: "The cipher suites of TLS 1.2 that may be used, by OpenSSL's names or the standard's, with colons between them. " +
			`"": all that Go holds to be safe. Go decides in which order they are preferred; those of TLS 1.3 are all safe, and cannot be chosen among.`,
	},
	{
		section: "server_tls", name: "curves",
		field: func(c *Config) any { return &c.ServerTLS.Curves },
		table: func(d *Database) any { return &d.ServerTLS.Curves },
		meaning: "The groups for the exchange of keys, with colons between them: X25519MLKEM768, X25519, P-256, P-384, P-521. " +
			`"": Go's own choice.`,
	},
}
