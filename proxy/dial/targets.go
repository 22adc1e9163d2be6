package dial

import (
	"log/slog"
	"time"

	"weir/config"
	"weir/proxy/backend"
	"weir/proxy/generation"
	"weir/proxy/hosts"
	"weir/proxy/session"
)

// Targets finds where weir logs in to servers, and as whom. Its methods may be called on any goroutine.
type Targets struct {
	current     *generation.Current
	Credentials *Credentials // of users whose databases name no password
	notices     *serverNotices
	Hosts       *hosts.Hosts
}

// NewTargets follows the present generation.
func NewTargets(current *generation.Current, log *slog.Logger) *Targets {
	return &Targets{current: current, Credentials: newCredentials(), notices: newServerNotices(log), Hosts: hosts.New()}
}

// Of is where and as whom a pool's backends log in. The password is the database's, or else what is known of the user; a server that
// asks for more says so in its error.
func (t *Targets) Of(key generation.PoolKey) hosts.Destination {
	g := t.current.Load()
	d, _ := g.Config.Database(key.Database)
	to := t.in(g, key, d)
	to.Settings = sessionDefaults(g.Config.PoolSettings(key.Database, key.User).Settings)
	return to
}

// sessionDefaults are the settings that a pool's backends begin with.
func sessionDefaults(d config.SessionDefaults) []session.Setting {
	var settings []session.Setting
	for _, name := range d.Names() {
		settings = append(settings, session.Setting{Name: name, Value: d[name]})
	}
	return settings
}

// know reports whether there still is such a database.
func (t *Targets) know(key generation.PoolKey) bool {
	_, ok := t.current.Load().Config.Database(key.Database)
	return ok
}

func (t *Targets) in(g *generation.Generation, key generation.PoolKey, d config.Database) hosts.Destination {
	s := g.Config.PoolSettings(key.Database, key.User)
	to := hosts.Destination{Servers: d.Servers(), Attrs: d.TargetSession, Balance: d.LoadBalance}
	to.Target = backend.Target{
		Database: d.DBName, User: key.User, Password: d.Password.Reveal(),
		TLS: g.ServerTLS.Of(key.Database), ConnectTimeout: time.Duration(s.ServerConnectTimeout), Protocol32: s.MaxProtocol >= config.Protocol32,
		TCP: generation.ServerTCP(g.Config), Notify: t.notices.of(key),
	}
	if !d.Password.IsSet() {
		password, substitutes := t.Credentials.of(g, key)
		to.Password, to.Substitutes = password.Reveal(), substitutes
	}
	return to
}

// ToAsk is where auth_query finds users, and as whom. False: there is no such database.
func (t *Targets) ToAsk(database, user string) (hosts.Destination, bool) {
	g := t.current.Load()
	d, ok := g.Config.Database(database)
	if !ok {
		return hosts.Destination{}, false
	}
	if d.User != user {
		d.Password = config.Secret{} // which is that of another user
	}
	d.TargetSession = config.TargetAny // who may log in every server knows
	return t.in(g, generation.PoolKey{Database: database, User: user}, d), true
}
