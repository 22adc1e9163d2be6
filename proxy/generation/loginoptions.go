package generation

import (
	"strings"
	"time"

	"weir/config"
	"weir/proxy/login"
	"weir/proxy/pgerror"
	"weir/proxy/wire"
)

// LoginOptions are how clients log in, as far as the configuration alone decides it. Who is looked up, admitted and told of is the caller's
// to set.
func (g *Generation) LoginOptions() login.Options {
	c := g.Config
	return login.Options{
		Timeout: time.Duration(c.Timeouts.ClientLoginTimeout),
		Method:  methodOf(c.Auth.Type),
		Rules:   c.HBA, Maps: c.Ident,
		Verifiers:   verifiersOf(c),
		LookupWaits: c.LooksUp(),
		TLS:         g.ClientTLS,
		CertName:    c.Auth.CertName,
		NamesDatabase: func(database string) bool {
			_, ok := c.Databases[database]
			return ok && database != config.AnyDatabase
		},
		KnownDatabase: func(database string) bool {
			_, ok := c.Database(database)
			return ok
		},
		Ignored:   lowered(c.Clients.IgnoreStartupParameters),
		AddHost:   c.Clients.ApplicationNameAddHost,
		Notice:    loginNotice(c.Clients.LoginNotice),
		PgBouncer: c.PgBouncer,
		KnownOnly: c.PgBouncer && c.Auth.Type != config.AuthAny,
		Console:   c.IsConsole,
	}
}

// lowered makes a set of names that are compared without regard to letter case.
func lowered(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[strings.ToLower(name)] = true
	}
	return set
}

func loginNotice(text string) []byte {
	if text == "" {
		return nil
	}
	return wire.AppendNoticeResponse(nil, pgerror.Notice(text, ""))
}

func methodOf(t config.AuthType) login.Method {
	switch t {
	case config.AuthTrust, config.AuthAny:
		return login.MethodTrust
	case config.AuthPassword:
		return login.MethodPassword
	case config.AuthMD5:
		return login.MethodMD5
	case config.AuthSCRAM:
		return login.MethodSCRAM
	case config.AuthHBA:
		return login.MethodHBA
	case config.AuthCert:
		return login.MethodCert
	case config.AuthSCRAMPlus:
		return login.MethodSCRAMPlus
	}
	return login.MethodReject
}

// verifiersOf are what strangers are shown: of users that do not exist the same as on every weir with this configuration. Where users are
// looked up, most of those that exist are in the database, where PostgreSQL has made their verifiers.
func verifiersOf(c *config.Config) *login.Verifiers {
	known := c.Stored()
	if c.LooksUp() {
		known = nil
	}
	var secret []byte
	if material := c.SaltMaterial(); material.IsSet() {
		secret = []byte(material.Reveal())
	}
	return login.NewVerifiers(c.Auth.SCRAMIterations, secret, known...)
}
