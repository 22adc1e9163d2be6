package pgbouncer

import (
	"strings"

	"weir/config"
)

// What lines of [databases] and [users] may say.
var (
	databaseKeys = []string{
		"dbname", "host", "port", "user", "password", "load_balance_hosts", "auth_user", "auth_query", "auth_dbname", "pool_size", "min_pool_size",
		"reserve_pool_size", "reserve_pool", "pool_mode", "query_wait_timeout", "max_db_connections", "max_db_client_connections", "server_lifetime",
		"connect_query", "client_encoding", "datestyle", "timezone", "application_name",
	}
	userKeys = []string{
		"pool_size", "reserve_pool_size", "pool_mode", "query_wait_timeout", "max_user_connections", "max_user_client_connections", "query_timeout",
		"transaction_timeout", "idle_transaction_timeout", "client_idle_timeout",
	}
)

// database reads a line of [databases].
func (t *translation) database(l Line) {
	if l.Key == reserved {
		t.fail(&l, "database name %q is reserved", l.Key)
		return
	}
	t.lines["databases/"+l.Key] = l
	d := config.Database{Port: 5432}
	if l.Key != config.AnyDatabase {
		d.DBName = l.Key
	}
	given, ok := pairs(l.Value)
	for _, p := range given {
		t.databasePair(&l, &d, p)
	}
	if d.LoadBalance = config.BalanceDisable; len(d.Servers()) > 1 && !strings.EqualFold(lastPair(given, "load_balance_hosts"), "disable") {
		d.LoadBalance = config.BalanceRandom // PgBouncer's round-robin: spread evenly
	}
	if !ok {
		t.fail(&l, "syntax error in connection string")
		return
	}
	if d.Host == "" {
		d.Host = t.conf.Listen.UnixSocketDir
		if d.Host == "" {
			t.fail(&l, "database %q has no host, and there is no unix_socket_dir to look for its server in", l.Key)
		}
	}
	t.conf.Databases[l.Key] = d
}

func (t *translation) databasePair(l *Line, d *config.Database, p pair) {
	switch p.key {
	case "dbname":
		d.DBName = p.value
	case "host":
		d.Host = t.host(l, p.value)
	case "port":
		if d.Port = leadingInt(p.value); d.Port <= 0 || d.Port > 65535 {
			t.fail(l, "invalid port: %s", p.value)
		}
	case "user":
		d.User = p.value
	case "password":
		d.Password = config.NewSecret(p.value)
	case "load_balance_hosts":
		if v, ok := parse(kindEnum, []string{"disable", "round-robin"}, p.value); !ok {
			t.fail(l, "invalid load_balance_hosts: %s", v.text)
		}
	case "auth_user":
		d.AuthUser = &p.value
	case "auth_query":
		d.AuthQuery = &p.value
	case "auth_dbname":
		d.AuthDBName = &p.value
	case "min_pool_size":
		d.MinPoolSize = override(p.value, config.BackendsMax)
	case "max_db_connections":
		d.MaxDBConnections = override(p.value, config.BackendsMax)
	case "max_db_client_connections":
		d.MaxDBClientConnections = override(p.value, config.ClientsMax)
	case "server_lifetime":
		if n := leadingInt(p.value); n > 0 {
			d.ServerLifetime = wholeSeconds(n)
		}
	case "connect_query":
		d.ConnectQuery = &p.value
	case "client_encoding", "datestyle", "timezone", "application_name":
		t.sessionDefault(l, d, p)
	case "sslmode":
		t.fail(l, "unrecognized connection parameter: sslmode; server_tls_sslmode in [pgbouncer] holds for all databases")
	default:
		if !t.poolPair(l, &d.Override, p) {
			t.fail(l, "unrecognized connection parameter: %s%s", p.key, config.DidYouMean(p.key, databaseKeys))
		}
	}
}

// sessionDefaultMax leaves room for all of them in a startup packet.
const sessionDefaultMax = 2000

// sessionDefault has the database's backends begin with a setting.
func (t *translation) sessionDefault(l *Line, d *config.Database, p pair) {
	if len(p.value) > sessionDefaultMax {
		t.fail(l, "%s is longer than %d bytes", p.key, sessionDefaultMax)
		return
	}
	if d.Settings == nil {
		d.Settings = config.SessionDefaults{}
	}
	d.Settings[p.key] = p.value
}

// lastPair is the value that holds of a key; "" if it is not given.
func lastPair(given []pair, key string) (value string) {
	for _, p := range given {
		if p.key == key {
			value = p.value
		}
	}
	return value
}

// host translates a list of hosts.
func (t *translation) host(l *Line, text string) string {
	hosts := list(text)
	if len(hosts) == 0 {
		t.fail(l, "syntax error in connection string")
		return text
	}
	for i, h := range hosts {
		hosts[i] = strings.Trim(h, "[]")
	}
	return strings.Join(hosts, ",")
}

// poolPair reads what a database and a user may say alike.
func (t *translation) poolPair(l *Line, o *config.Override, p pair) bool {
	switch p.key {
	case "pool_size":
		if n := leadingInt(p.value); n >= 0 {
			o.PoolSize = new(int)
			*o.PoolSize = poolSize(n)
		}
	case "reserve_pool_size", "reserve_pool":
		o.ReservePoolSize = override(p.value, config.BackendsMax)
	case "pool_mode":
		v, ok := parse(kindEnum, modeWords, p.value)
		if !ok {
			t.fail(l, "invalid pool mode: %s", p.value)
			return true
		}
		o.Mode = &modes[v.number]
	case "query_wait_timeout":
		o.QueryWaitTimeout = wholeSeconds(leadingInt(p.value))
	default:
		return false
	}
	return true
}

// override reads a number that a database or a user says for itself; less than 0 says nothing.
func override(text string, most int) *int {
	n := leadingInt(text)
	if n < 0 {
		return nil
	}
	n = min(n, most)
	return &n
}

func wholeSeconds(n int) *config.Duration {
	d := seconds(float64(max(0, n)))
	return &d
}

// user reads a line of [users].
func (t *translation) user(l Line) {
	t.lines["users/"+l.Key] = l
	var u config.User
	given, ok := pairs(l.Value)
	for _, p := range given {
		t.userPair(&l, &u, p)
	}
	if !ok {
		t.fail(&l, "syntax error in user settings")
		return
	}
	t.conf.Users[l.Key] = u
}

func (t *translation) userPair(l *Line, u *config.User, p pair) {
	timeouts := map[string]**config.Duration{
		"query_timeout": &u.QueryTimeout, "transaction_timeout": &u.TransactionTimeout,
		"idle_transaction_timeout": &u.IdleTransactionTimeout, "client_idle_timeout": &u.ClientIdleTimeout,
	}
	switch at := timeouts[p.key]; {
	case at != nil:
		if n := leadingInt(p.value); n > 0 { // 0 is what all users have
			*at = wholeSeconds(n)
		}
	case p.key == "max_user_connections":
		u.MaxUserConnections = override(p.value, config.BackendsMax)
	case p.key == "max_user_client_connections":
		u.MaxUserClientConnections = override(p.value, config.ClientsMax)
	case p.key == "reserve_pool" || !t.poolPair(l, &u.Override, p):
		t.fail(l, "unrecognized user parameter: %s%s", p.key, config.DidYouMean(p.key, userKeys))
	}
}
