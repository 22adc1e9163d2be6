package config

// authSettings are the rows of [auth].
var authSettings = []setting{
	{
		section: "auth", name: "type", alias: "auth_type",
		field: func(c *Config) any { return &c.Auth.Type },
		meaning: `"scram-sha-256": the password never travels. "md5": for old drivers; users whose password is stored ` +
			`as a SCRAM verifier are asked for scram-sha-256 all the same. "password": in clear text ("plain" is accepted, too). ` +
			`"cert": a certificate that names the user (cert_name), of an authority in ca_file of [client_tls]. "trust": clients ` +
			`prove nothing. "any": neither, and their names count for nothing: only databases with a user of their own are open to them. "hba": as the rules in hba_file say. With TLS, clients that can do it bind scram-sha-256 to the connection, so that a ` +
			`machine between them and weir learns nothing that it could use; "scram-sha-256-plus" admits no others over TCP.`,
		why: "PgBouncer's md5 is what PostgreSQL gave up as a default in version 14 and announced to remove.",
	},
	{
		section: "auth", name: "auth_file",
		field: func(c *Config) any { return &c.Auth.AuthFile },
		meaning: `Users and their passwords, in the format of PgBouncer's userlist.txt: "user" "password" on a line, the password ` +
			"in clear text, as a SCRAM verifier or as an md5 hash. A password in [users] wins over it. A relative name begins at the " +
			"folder of the configuration file.",
	},
	{
		section: "auth", name: "salt_file",
		field: func(c *Config) any { return &c.Auth.SaltFile },
		meaning: "A file with a secret of at least 16 bytes, the same on all weirs of a service: from it come the salts of users that do " +
			`not exist and of those whose password is stored in clear text. "": the salts come from all passwords of the configuration ` +
			"together, and change when one of them does. See docs/authentication.md.",
	},
	{
		section: "auth", name: "scram_iterations", unit: "iterations", min: 1, max: iterationsMax,
		field: func(c *Config) any { return &c.Auth.SCRAMIterations },
		meaning: "How often users whose password is stored in clear text have to hash it for scram-sha-256. The verifiers of others say it " +
			"themselves. More make a stolen exchange harder to guess from, and each client's login slower.",
	},
	{
		section: "auth", name: "hba_file", alias: "auth_hba_file",
		field: func(c *Config) any { return &c.Auth.HBAFile },
		meaning: `Rules in the format of PostgreSQL's pg_hba.conf, for type "hba": which users may log in from where, and how they prove who ` +
			"they are. The first line that fits holds; a client that no line fits is refused. Methods are trust, reject, password, md5, scram-sha-256, " +
			"peer and cert.",
	},
	{
		section: "auth", name: "ident_file", alias: "auth_ident_file",
		field: func(c *Config) any { return &c.Auth.IdentFile },
		meaning: "Maps in the format of PostgreSQL's pg_ident.conf, for rules with map=: which name of the operating system or of a " +
			"certificate may log in as which user.",
	},
	{
		section: "auth", name: "cert_name",
		field: func(c *Config) any { return &c.Auth.CertName },
		meaning: `What in a client's certificate is the user's name: "cn", the subject's common name; "san", any of its alternative ` +
			`names, be it a DNS name, an e-mail address or a URI; "dn", the whole subject, written as by PostgreSQL: "CN=app,O=Example". It ` +
			`counts where sslmode in [client_tls] is "verify-full", for type "cert", and for rules with cert or clientcert=verify-full.`,
	},
	{
		section: "auth", name: "auth_user", in: inDatabases,
		field:    func(c *Config) any { return &c.Auth.AuthUser },
		override: func(o *Override) any { return &o.AuthUser },
		meaning: `The user that weir logs in to the server as to look up users whom neither [users] nor auth_file knows, with ` +
			`auth_query. Its own password is one of those, in clear text. "": no user is looked up.`,
	},
	{
		section: "auth", name: "auth_query", in: inDatabases,
		field:    func(c *Config) any { return &c.Auth.AuthQuery },
		override: func(o *Override) any { return &o.AuthQuery },
		meaning: "Looks a user up: $1 is the name, the answer one row with the name and what is stored as its password (NULL: the " +
			"user has none and cannot log in), or no row. pg_authid is for superusers only; a function of yours with SECURITY DEFINER lets an ordinary " +
			"auth_user read what it needs. Name it with its schema: the query runs with search_path = pg_catalog, pg_temp.",
		why: "PgBouncer's default means the same. Here all of its names are qualified, and so is the session's search_path fixed.",
	},
	{
		section: "auth", name: "auth_dbname", in: inDatabases,
		field:    func(c *Config) any { return &c.Auth.AuthDBName },
		override: func(o *Override) any { return &o.AuthDBName },
		meaning: `The database in [databases] where auth_query runs. "": in the one that the client asks for. Where that is in [databases] only as "*", ` +
			"an auth_query that names anything outside of pg_catalog runs only if none but superusers and auth_user can create anything there.",
	},
	{
		section: "auth", name: "auth_query_lifetime",
		field: func(c *Config) any { return &c.Auth.AuthQueryLifetime },
		meaning: `For how long what auth_query has found, or not found, is used for further logins of the user. So long a changed ` +
			`password, a dropped user or a passed VALID UNTIL may go unnoticed; a login that fails has the user looked up anew. "0s": ` +
			"each login asks.",
		why: "PgBouncer asks at each login, and so does a storm of them.",
	},
}
