package proxy

import (
	"context"
	"crypto/rand"
	"time"

	"weir/config"
	"weir/proxy/login"
	"weir/proxy/pgerror"
)

// loginOptions is how clients log in under this configuration.
func (p *Proxy) loginOptions() login.Options {
	c := p.config
	return login.Options{
		Timeout: time.Duration(c.Timeouts.ClientLoginTimeout),
		Method:  methodOf(c.Auth.Type),
		Rules:   c.HBA, Maps: c.Ident,
		Verifiers: login.NewVerifiers(mockKey()),
		Lookup:    p.lookUp,
		TLS:       p.clientTLS,
		CertName:  c.Auth.CertName,
		KnownDatabase: func(database string) bool {
			_, ok := c.Database(database)
			return ok
		},
		Admit: func(user, database string) *pgerror.Error { return p.census.admit(user, database) },
	}
}

func methodOf(t config.AuthType) login.Method {
	switch t {
	case config.AuthTrust:
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

// lookUp finds what is stored for a user: in [users], or else in auth_file.
func (p *Proxy) lookUp(_ context.Context, user, _ string, _ bool) (login.Account, error) {
	stored, known := p.config.Account(user)
	return login.Account{Known: known, Stored: stored}, nil
}

// mockKey makes what unknown users are shown the same for as long as the process lives, and nobody else's guess.
func mockKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return key
}
