package config

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// expirySoon is how long before its end a certificate is worth a warning: time enough to notice, and to find out why nothing has
// renewed it.
const expirySoon = 14 * 24 * time.Hour

// warnOfTLS says what will not work, or not for long.
func (c *Config) warnOfTLS(warn func(string, ...any)) {
	if c.ClientTLS.CertFile != "" && c.ClientTLS.SSLMode == SSLDisable {
		warn(`[client_tls] has a certificate, but sslmode "disable" offers no TLS`)
	}
	warnOfIdentity("[client_tls]", c.ClientTLS, warn)
	warnOfIdentity("[server_tls]", c.ServerTLS, warn)
	warnOfIdentity("[http]", c.HTTP.TLS(), warn)
	for _, name := range slices.Sorted(maps.Keys(c.Databases)) {
		d := c.Databases[name]
		for _, side := range []struct {
			name string
			own  TLSOverride
		}{{"client_tls", d.ClientTLS}, {"server_tls", d.ServerTLS}} {
			if side.own.CertFile != nil {
				warnOfIdentity(fmt.Sprintf("[databases.%s.%s]", quoteKey(name), side.name), side.own.over(TLS{}), warn)
			}
		}
	}
}

func warnOfIdentity(where string, t TLS, warn func(string, ...any)) {
	identity, err := t.Identity()
	if identity == nil || err != nil { // an error is a problem of the configuration, or came later
		return
	}
	if problem := ExpiryProblem(identity.Leaf.NotAfter, time.Now()); problem != "" {
		warn("the certificate in %s (%s) %s", t.CertFile, where, problem)
	}
	if readableByAll(t.KeyFile) {
		warn("the key in %s (%s) can be read by every account of this machine", t.KeyFile, where)
	}
}

// ExpiryProblem says what is wrong with a certificate that is valid until end; "" if that is far.
func ExpiryProblem(end, now time.Time) string {
	left := end.Sub(now)
	switch {
	case left <= 0:
		return "has expired on " + end.UTC().Format(time.DateTime) + " UTC"
	case left <= expirySoon:
		return fmt.Sprintf("expires within %d days", int(left/(24*time.Hour))+1)
	}
	return ""
}
