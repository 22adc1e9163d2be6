package pgbouncer

import (
	"log/slog"

	"weir/config"
)

// setting is a key of [pgbouncer].
type setting struct {
	name     string
	standard string // the default; "" also where PgBouncer has none
	unset    bool   // PgBouncer has none: SHOW CONFIG shows NULL
	fixed    bool   // needs a restart: changeable is "no"
	kind     kind
	words    []string // of an enum

	// apply gives the setting its meaning here; nil: it has none. It is called for every setting, with the default where the file does
	// not say it.
	apply func(t *translation, v value)
	lacks string // said of a value that is not the default, where it means something that weir does not do
}

var (
	authWords = []string{"any", "trust", "plain", "md5", "cert", "hba", "ldap", "pam", "scram-sha-256"}
	modeWords = []string{"session", "transaction", "statement"}
	sslWords  = []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
)

var (
	modes    = []config.PoolMode{config.ModeSession, config.ModeTransaction, config.ModeStatement}
	sslModes = []config.SSLMode{config.SSLDisable, config.SSLAllow, config.SSLPrefer, config.SSLRequire, config.SSLVerifyCA, config.SSLVerifyFull}
)

const (
	lacksResolver = "names are looked up by the system's resolver, at each connection that is made"
)

// settings are all keys of [pgbouncer], in the order of PgBouncer's SHOW CONFIG.
var settings = []setting{
	{name: "admin_users", apply: func(t *translation, v value) { t.conf.Admin.AdminUsers = list(v.text) }},
	{name: "application_name_add_host", standard: "0", kind: kindInt, apply: func(t *translation, v value) { t.conf.Clients.ApplicationNameAddHost = v.on() }},
	{name: "auth_dbname", unset: true, apply: func(t *translation, v value) {
		if v.text == reserved {
			t.fail(v.line, "cannot use the reserved %q database as an auth_dbname", reserved)
		}
		t.conf.Auth.AuthDBName = v.text
	}},
	{name: "auth_file", unset: true, apply: func(t *translation, v value) { t.conf.Auth.AuthFile = t.path(v.text) }},
	{name: "auth_hba_file", apply: func(t *translation, v value) { t.conf.Auth.HBAFile = t.path(v.text) }},
	{name: "auth_ident_file", unset: true, apply: func(t *translation, v value) { t.conf.Auth.IdentFile = t.path(v.text) }},
	{name: "auth_ldap_options", unset: true, lacks: "LDAP is not supported"},
	{name: "auth_query", standard: standardAuthQuery, apply: func(t *translation, v value) {
		t.conf.Auth.AuthQuery = config.Default().Auth.AuthQuery
		if v.text != standardAuthQuery {
			t.conf.Auth.AuthQuery = v.text
		}
	}},
	{name: "auth_type", standard: "md5", kind: kindEnum, words: authWords, apply: authType},
	{name: "auth_user", unset: true, apply: func(t *translation, v value) { t.conf.Auth.AuthUser = v.text }},
	{name: "autodb_idle_timeout", standard: "3600", kind: kindSeconds},
	{name: "cancel_wait_timeout", standard: "10", kind: kindSeconds, apply: timeout(func(c *config.Config) *config.Duration { return &c.Timeouts.CancelWaitTimeout })},
	{name: "client_idle_timeout", standard: "0", kind: kindSeconds, apply: timeout(func(c *config.Config) *config.Duration { return &c.Timeouts.ClientIdleTimeout })},
	{name: "client_login_timeout", standard: "60", kind: kindSeconds, apply: timeout(func(c *config.Config) *config.Duration { return &c.Timeouts.ClientLoginTimeout })},
	{name: "client_tls13_ciphers", unset: true, lacks: "Go uses all ciphers of TLS 1.3, which are safe"},
	{name: "client_tls_ca_file", apply: func(t *translation, v value) { t.conf.ClientTLS.CAFile = t.path(v.text) }},
	{name: "client_tls_cert_file", apply: func(t *translation, v value) { t.conf.ClientTLS.CertFile = t.path(v.text) }},
	{name: "client_tls_ciphers", standard: "default", apply: func(t *translation, v value) { t.ciphers(v, &t.conf.ClientTLS.Ciphers) }},
	{name: "client_tls_dheparams", standard: "auto"},
	{name: "client_tls_ecdhcurve", standard: "auto", apply: curves},
	{name: "client_tls_key_file", apply: func(t *translation, v value) { t.conf.ClientTLS.KeyFile = t.path(v.text) }},
	{name: "client_tls_protocols", standard: "secure", apply: func(t *translation, v value) { t.protocols(v, &t.conf.ClientTLS) }},
	{name: "client_tls_sslmode", standard: "disable", kind: kindEnum, words: sslWords, apply: clientSSLMode},
	{name: "conffile", unset: true},
	{name: "default_pool_size", standard: "20", kind: kindInt, apply: func(t *translation, v value) { t.conf.Pool.PoolSize = poolSize(v.number) }},
	{name: "disable_pqexec", standard: "0", kind: kindInt, fixed: true, apply: func(t *translation, v value) { t.conf.Clients.SimpleQuery = !v.on() }},
	{name: "dns_max_ttl", standard: "15", kind: kindSeconds, lacks: lacksResolver},
	{name: "dns_nxdomain_ttl", standard: "15", kind: kindSeconds, lacks: lacksResolver},
	{name: "dns_zone_check_period", standard: "0", kind: kindSeconds, lacks: lacksResolver},
	{name: "idle_transaction_timeout", standard: "0", kind: kindSeconds, apply: timeout(func(c *config.Config) *config.Duration { return &c.Timeouts.IdleTransactionTimeout })},
	{name: "ignore_startup_parameters", apply: func(t *translation, v value) { t.conf.Clients.IgnoreStartupParameters = list(v.text) }},
	{name: "job_name", standard: "pgbouncer", fixed: true},
	{name: "listen_addr", fixed: true, apply: func(t *translation, v value) { t.addresses = list(v.text) }},
	{name: "listen_backlog", standard: "128", kind: kindInt, fixed: true, apply: func(t *translation, v value) {
		if v.line != nil { // weir's own default is larger, and costs nothing
			t.conf.Listen.Backlog = max(1, min(v.number, config.BacklogMax))
		}
	}},
	{name: "listen_port", standard: "6432", kind: kindInt, fixed: true, apply: func(t *translation, v value) { t.port = v.number }},
	{name: "log_connections", standard: "1", kind: kindInt},
	{name: "log_disconnections", standard: "1", kind: kindInt},
	{name: "log_pooler_errors", standard: "1", kind: kindInt},
	{name: "log_stats", standard: "1", kind: kindInt, apply: func(t *translation, v value) { t.conf.Log.Stats = v.on() }},
	{name: "logfile", apply: func(t *translation, v value) { t.conf.Log.File = t.path(v.text) }},
	{name: "login_notify_message", apply: func(t *translation, v value) { t.conf.Clients.LoginNotice = v.text }},
	{name: "max_client_conn", standard: "100", kind: kindInt, apply: func(t *translation, v value) { t.conf.Limits.MaxClientConn = max(1, min(v.number, config.ClientsMax)) }},
	{name: "max_db_client_connections", standard: "0", kind: kindInt, apply: limit(func(c *config.Config) *int { return &c.Limits.MaxDBClientConnections }, config.ClientsMax)},
	{name: "max_db_connections", standard: "0", kind: kindInt, apply: limit(func(c *config.Config) *int { return &c.Limits.MaxDBConnections }, config.BackendsMax)},
	{name: "max_packet_size", standard: "2147483647", kind: kindUint, apply: func(t *translation, v value) {
		t.conf.Limits.MaxPacketSize = config.Size(max(0, v.number))
		if v.number >= packetMax { // which is no limit
			t.conf.Limits.MaxPacketSize = 0
		}
	}},
	{name: "max_prepared_statements", standard: "200", kind: kindInt, apply: limit(func(c *config.Config) *int { return &c.Pool.MaxPrepared }, config.PreparedMax)},
	{name: "max_user_client_connections", standard: "0", kind: kindInt, apply: limit(func(c *config.Config) *int { return &c.Limits.MaxUserClientConnections }, config.ClientsMax)},
	{name: "max_user_connections", standard: "0", kind: kindInt, apply: limit(func(c *config.Config) *int { return &c.Limits.MaxUserConnections }, config.BackendsMax)},
	{name: "min_pool_size", standard: "0", kind: kindInt, apply: limit(func(c *config.Config) *int { return &c.Pool.MinPoolSize }, config.BackendsMax)},
	{name: "peer_id", standard: "0", kind: kindInt, apply: peerID},
	{name: "pidfile", fixed: true, apply: func(t *translation, v value) { t.conf.Process.PIDFile = t.path(v.text) }},
	{name: "pkt_buf", standard: "4096", kind: kindInt, fixed: true},
	{name: "pool_mode", standard: "session", kind: kindEnum, words: modeWords, apply: func(t *translation, v value) { t.conf.Pool.Mode = modes[v.number] }},
	{name: "pool_idle_timeout", standard: "0", kind: kindSeconds, apply: timeout(func(c *config.Config) *config.Duration { return &c.Timeouts.PoolIdleTimeout })},
	{name: "query_timeout", standard: "0", kind: kindSeconds, apply: timeout(func(c *config.Config) *config.Duration { return &c.Timeouts.QueryTimeout })},
	{name: "query_wait_notify", standard: "5", kind: kindInt, apply: func(t *translation, v value) {
		t.conf.Clients.QueryWaitNotify = seconds(float64(max(0, v.number)))
	}},
	{name: "query_wait_timeout", standard: "120", kind: kindSeconds, apply: timeout(func(c *config.Config) *config.Duration { return &c.Timeouts.QueryWaitTimeout })},
	{name: "reserve_pool_size", standard: "0", kind: kindInt, apply: limit(func(c *config.Config) *int { return &c.Pool.ReservePoolSize }, config.BackendsMax)},
	{name: "reserve_pool_timeout", standard: "5", kind: kindSeconds, apply: timeout(func(c *config.Config) *config.Duration { return &c.Pool.ReservePoolTimeout })},
	{name: "resolv_conf", fixed: true, lacks: lacksResolver},
	{name: "sbuf_loopcnt", standard: "5", kind: kindInt},
	{name: "scram_iterations", standard: "4096", kind: kindInt, apply: func(t *translation, v value) {
		t.conf.Auth.SCRAMIterations = max(1, min(v.number, config.IterationsMax))
	}},
	{name: "server_check_delay", standard: "30", kind: kindSeconds, apply: timeout(func(c *config.Config) *config.Duration { return &c.Pool.ServerCheckDelay })},
	{name: "server_check_query", standard: "<empty>", apply: func(t *translation, v value) {
		if v.line != nil { // weir looks at the connection of each backend, and needs no query for that
			t.conf.Pool.ServerCheckQuery = v.text
		}
	}},
	{name: "server_connect_timeout", standard: "15", kind: kindSeconds, apply: timeout(func(c *config.Config) *config.Duration { return &c.Timeouts.ServerConnectTimeout })},
	{name: "server_fast_close", standard: "0", kind: kindInt, apply: func(t *translation, v value) { t.conf.Pool.ServerFastClose = v.on() }},
	{name: "server_idle_timeout", standard: "600", kind: kindSeconds, apply: timeout(func(c *config.Config) *config.Duration { return &c.Timeouts.ServerIdleTimeout })},
	{name: "server_lifetime", standard: "3600", kind: kindSeconds, apply: func(t *translation, v value) { t.conf.Timeouts.ServerLifetime = lifetime(v.seconds) }},
	{name: "server_login_retry", standard: "15", kind: kindSeconds, apply: timeout(func(c *config.Config) *config.Duration { return &c.Timeouts.ServerLoginRetry })},
	{name: "server_reset_query", standard: "DISCARD ALL", apply: func(t *translation, v value) { t.conf.Pool.ServerResetQuery = v.text }},
	{name: "server_reset_query_always", standard: "0", kind: kindInt, apply: func(t *translation, v value) { t.conf.Pool.ServerResetAlways = v.on() }},
	{name: "server_round_robin", standard: "0", kind: kindInt, apply: func(t *translation, v value) { t.conf.Pool.ServerRoundRobin = v.on() }},
	{name: "server_tls13_ciphers", unset: true, lacks: "Go uses all ciphers of TLS 1.3, which are safe"},
	{name: "server_tls_ca_file", apply: func(t *translation, v value) { t.conf.ServerTLS.CAFile = t.path(v.text) }},
	{name: "server_tls_cert_file", apply: func(t *translation, v value) { t.conf.ServerTLS.CertFile = t.path(v.text) }},
	{name: "server_tls_ciphers", standard: "default", apply: func(t *translation, v value) { t.ciphers(v, &t.conf.ServerTLS.Ciphers) }},
	{name: "server_tls_key_file", apply: func(t *translation, v value) { t.conf.ServerTLS.KeyFile = t.path(v.text) }},
	{name: "server_tls_protocols", standard: "secure", apply: func(t *translation, v value) { t.protocols(v, &t.conf.ServerTLS) }},
	{name: "server_tls_sslmode", standard: "prefer", kind: kindEnum, words: sslWords, apply: func(t *translation, v value) { t.conf.ServerTLS.SSLMode = sslModes[v.number] }},
	{name: "so_reuseport", standard: "0", kind: kindInt, fixed: true, apply: func(t *translation, v value) { t.conf.Listen.ReusePort = v.on() }},
	{name: "stats_period", standard: "60", kind: kindInt, apply: func(t *translation, v value) { t.conf.Admin.StatsPeriod = seconds(float64(max(1, v.number))) }},
	{name: "stats_users", apply: func(t *translation, v value) { t.conf.Admin.StatsUsers = list(v.text) }},
	{name: "suspend_timeout", standard: "10", kind: kindSeconds},
	{name: "syslog", standard: "0", kind: kindInt, apply: func(t *translation, v value) { t.conf.Log.Syslog = v.on() }},
	{name: "syslog_facility", standard: "daemon", apply: func(t *translation, v value) { t.conf.Log.SyslogFacility = v.text }},
	{name: "syslog_ident", standard: "pgbouncer", apply: func(t *translation, v value) { t.conf.Log.SyslogIdent = v.text }},
	{name: "tcp_defer_accept", standard: "1", kind: kindInt, apply: func(t *translation, v value) {
		t.conf.Listen.TCPDeferAccept = v.line != nil && v.on() // weir's own default is off
	}},
	{name: "tcp_keepalive", standard: "1", kind: kindInt, apply: func(t *translation, v value) {
		t.conf.Listen.TCPKeepalive, t.conf.ServerTCP.Keepalive = v.on(), v.on()
	}},
	{name: "tcp_keepcnt", standard: "0", kind: kindInt, apply: keepalive(func(c *config.Config, n int) {
		c.Listen.TCPKeepcnt, c.ServerTCP.Keepcnt = min(n, config.ProbesMax), min(n, config.ProbesMax)
	})},
	{name: "tcp_keepidle", standard: "0", kind: kindInt, apply: keepalive(func(c *config.Config, n int) {
		c.Listen.TCPKeepidle, c.ServerTCP.Keepidle = keepSeconds(n), keepSeconds(n)
	})},
	{name: "tcp_keepintvl", standard: "0", kind: kindInt, apply: keepalive(func(c *config.Config, n int) {
		c.Listen.TCPKeepintvl, c.ServerTCP.Keepintvl = keepSeconds(n), keepSeconds(n)
	})},
	{name: "tcp_socket_buffer", standard: "0", kind: kindInt, apply: func(t *translation, v value) {
		t.conf.Listen.TCPSocketBuffer, t.conf.ServerTCP.SocketBuffer = config.Size(max(0, v.number)), config.Size(max(0, v.number))
	}},
	{name: "tcp_user_timeout", standard: "0", kind: kindInt, apply: keepalive(func(c *config.Config, n int) {
		c.Listen.TCPUserTimeout, c.ServerTCP.UserTimeout = keepSeconds((n+999)/1000), keepSeconds((n+999)/1000)
	})},
	{name: "track_extra_parameters", standard: "IntervalStyle", fixed: true},
	{name: "transaction_timeout", standard: "0", kind: kindSeconds, apply: timeout(func(c *config.Config) *config.Duration { return &c.Timeouts.TransactionTimeout })},
	{name: "unix_socket_dir", standard: "/tmp", fixed: true, apply: socketDir},
	{name: "unix_socket_group", fixed: true, apply: func(t *translation, v value) { t.conf.Listen.UnixSocketGroup = v.text }},
	{name: "unix_socket_mode", standard: "0777", kind: kindInt, fixed: true, apply: func(t *translation, v value) { t.conf.Listen.UnixSocketMode = config.FileMode(v.number & 0o777) }},
	{name: "user", unset: true, fixed: true, apply: func(t *translation, v value) { t.conf.Process.User = v.text }},
	{name: "verbose", unset: true, kind: kindInt, apply: func(t *translation, v value) {
		t.conf.Log.Level = slog.LevelInfo
		if v.number > 0 {
			t.conf.Log.Level = slog.LevelDebug
		}
	}},
}

// standardAuthQuery is PgBouncer's default; config's means the same.
const standardAuthQuery = "SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END FROM pg_authid WHERE rolname=$1 AND rolcanlogin"

// packetMax is PgBouncer's default for max_packet_size, the most that it can be.
const packetMax = 2147483647

func timeout(place func(*config.Config) *config.Duration) func(*translation, value) {
	return func(t *translation, v value) { *place(t.conf) = v.seconds }
}

func limit(place func(*config.Config) *int, most int) func(*translation, value) {
	return func(t *translation, v value) { *place(t.conf) = clamp(v.number, most) }
}

func clamp(n, most int) int { return max(0, min(n, most)) }

// keepalive leaves weir's default where the file says nothing: PgBouncer's is the kernel's, which takes hours to notice that a
// machine has vanished. What the file says is for clients and servers alike; a 0 is the kernel's own for clients, and for servers what
// server_tcp_timeout says.
func keepalive(set func(*config.Config, int)) func(*translation, value) {
	return func(t *translation, v value) {
		if v.line != nil {
			set(t.conf, max(0, v.number))
		}
	}
}

func keepSeconds(n int) config.Duration { return seconds(float64(min(n, config.KeepaliveMax))) }

// poolSize translates PgBouncer's 0, no limit.
func poolSize(n int) int {
	if n <= 0 {
		return config.BackendsMax
	}
	return min(n, config.BackendsMax)
}

// lifetime translates PgBouncer's 0: each server connection is used once.
func lifetime(d config.Duration) config.Duration {
	if d == 0 {
		return seconds(0.001)
	}
	return d
}
