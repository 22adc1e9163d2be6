package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"weir/config"
)

// ALPN is the name of PostgreSQL's protocol in TLS. Direct TLS demands it, so that no web page can make a browser or mail program
// talk to a database (PostgreSQL 17, "sslnegotiation").
const ALPN = "postgresql"

// Clients is what [client_tls] and the databases' sections of that name say.
type Clients struct {
	places  []*Keeper // of the general section first, then of the databases that say something of their own
	conf    *config.Config
	general rule
	rules   map[string]rule // of those databases, by name
	offers  bool

	mu     sync.Mutex
	parts  []*Material // what config was made of
	config *tls.Config
}

// rule is what holds for one database.
type rule struct {
	settings config.TLS
	files    *Keeper
}

// Demands says how a client of one database must be protected.
type Demands struct {
	Mode        config.SSLMode
	MinVersion  uint16
	authorities []*x509.Certificate
}

// OpenClients reads all files. Without a certificate, or where sslmode is "disable" everywhere, TLS is not offered.
func OpenClients(c *config.Config, log *slog.Logger) (*Clients, error) {
	general, err := Open("[client_tls]", c.ClientTLS, log)
	if err != nil {
		return nil, fmt.Errorf("[client_tls]: %w", err)
	}
	s := &Clients{places: []*Keeper{general}, conf: c, general: rule{c.ClientTLS, general}, rules: map[string]rule{}}
	wanted := c.ClientTLS.SSLMode != config.SSLDisable
	certified := general.Current().Identity != nil
	for _, name := range slices.Sorted(maps.Keys(c.Databases)) {
		if c.Databases[name].ClientTLS == (config.TLSOverride{}) {
			continue
		}
		settings := c.ClientTLSOf(name)
		where := fmt.Sprintf("[databases.%q.client_tls]", name)
		files, err := Open(where, settings, log)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		s.places = append(s.places, files)
		s.rules[name] = rule{settings, files}
		wanted = wanted || settings.SSLMode != config.SSLDisable
		certified = certified || files.Current().Identity != nil
	}
	s.offers = wanted && certified
	return s, nil
}

// Offers reports whether TLS is offered.
func (s *Clients) Offers() bool { return s.offers }

// Expiries are those of the certificates that clients are shown, if TLS is offered.
func (s *Clients) Expiries() []Expiry {
	if !s.offers {
		return nil
	}
	return expiries(s.places)
}

// Config is for the next handshake; nil if TLS is not offered. It is shared and must not be changed.
func (s *Clients) Config() *tls.Config {
	if !s.offers {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := make([]*Material, len(s.places))
	for i, k := range s.places {
		parts[i] = k.Current()
	}
	if !slices.Equal(parts, s.parts) {
		s.parts, s.config = parts, s.build(parts)
	}
	return s.config
}

func (s *Clients) build(parts []*Material) *tls.Config {
	c := &tls.Config{
		MinVersion:   s.conf.ClientTLS.MinVersion.ID(),
		CipherSuites: s.conf.ClientTLS.Ciphers.IDs(), CurvePreferences: s.conf.ClientTLS.Curves.IDs(),
		NextProtos: []string{ALPN},
		// Clients of PostgreSQL do not resume sessions, and PostgreSQL does not offer it. A ticket would be a record more for
		// each login.
		SessionTicketsDisabled: true,
		// Small first records are for browsers, which begin to show a page before it is complete.
		DynamicRecordSizingDisabled: true,
	}
	var identities []*tls.Certificate
	var authorities []*x509.Certificate
	for _, m := range parts {
		if m.Identity != nil {
			identities = append(identities, m.Identity)
		}
		authorities = append(authorities, m.Authorities...)
	}
	c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		chosen := choose(identities, hello)
		note(hello.Context(), chosen)
		return chosen, nil
	}
	if len(authorities) > 0 {
		// Which authority counts for which database is seen when the client has said its database.
		c.ClientAuth = tls.VerifyClientCertIfGiven
		c.ClientCAs = x509.NewCertPool()
		for _, a := range authorities {
			c.ClientCAs.AddCert(a)
		}
	}
	return c
}

// choose takes the certificate that names the host which the client has asked for, or else the first that it can use.
func choose(identities []*tls.Certificate, hello *tls.ClientHelloInfo) *tls.Certificate {
	if hello.ServerName != "" {
		for _, c := range identities {
			if c.Leaf.VerifyHostname(hello.ServerName) == nil && hello.SupportsCertificate(c) == nil {
				return c
			}
		}
	}
	return identities[0]
}

// Demands says what holds for a client that asks for a database, which need not exist. It looks at no file, so it may be called on
// a loop: Config has looked before the handshake.
func (s *Clients) Demands(database string) Demands {
	r, ok := s.rules[entry(s.conf, database)]
	if !ok {
		r = s.general
	}
	return Demands{Mode: r.settings.SSLMode, MinVersion: r.settings.MinVersion.ID(), authorities: r.files.current.Load().Authorities}
}

// Verified reports whether the client's certificate was issued by one of the database's own authorities. The handshake has
// verified it already, against those of all databases.
func (d Demands) Verified(state *tls.ConnectionState) bool {
	for _, chain := range state.VerifiedChains {
		root := chain[len(chain)-1]
		if slices.ContainsFunc(d.authorities, root.Equal) {
			return true
		}
	}
	return false
}

type choiceKey struct{}

// Choice tells which certificate a handshake has shown, which crypto/tls does not.
type Choice struct{ Certificate *x509.Certificate }

// WithChoice makes a context for one handshake with a Config, which fills in the choice.
func WithChoice() (context.Context, *Choice) {
	choice := new(Choice)
	return context.WithValue(context.Background(), choiceKey{}, choice), choice
}

func note(ctx context.Context, c *tls.Certificate) {
	if choice, ok := ctx.Value(choiceKey{}).(*Choice); ok {
		choice.Certificate = c.Leaf
	}
}
