package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"weir/config"
)

// Server is how weir encrypts its connections to one server: libpq's sslmode, and what it needs.
type Server struct {
	settings config.TLS
	files    *Keeper
}

// openServer reads the files. where names the section of the configuration, for the log.
func openServer(where string, settings config.TLS, log *slog.Logger) (*Server, error) {
	files, err := Open(where, settings, log)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	return &Server{settings, files}, nil
}

// Servers is what [server_tls] and the databases' sections of that name say.
type Servers struct {
	conf    *config.Config
	general *Server
	own     map[string]*Server // of the databases that say something of their own
	peers   map[config.SSLMode]*Server
	places  []*Keeper // of the general section and of the databases
}

// OpenServers reads all files.
func OpenServers(c *config.Config, log *slog.Logger) (*Servers, error) {
	s := &Servers{conf: c, own: map[string]*Server{}, peers: map[config.SSLMode]*Server{}}
	var err error
	if s.general, err = openServer("[server_tls]", c.ServerTLS, log); err != nil {
		return nil, err
	}
	s.places = append(s.places, s.general.files)
	for name, d := range c.Databases {
		if d.ServerTLS != (config.TLSOverride{}) {
			if s.own[name], err = openServer(fmt.Sprintf("[databases.%q.server_tls]", name), c.ServerTLSOf(name), log); err != nil {
				return nil, err
			}
			s.places = append(s.places, s.own[name].files)
		}
	}
	for name, p := range c.Peers {
		settings := c.ServerTLS
		settings.SSLMode = p.SSLMode
		if s.peers[p.SSLMode] != nil {
			continue
		}
		if s.peers[p.SSLMode], err = openServer(fmt.Sprintf("[peers.%q]", name), settings, log); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Expiries are those of the certificates that servers are shown.
func (s *Servers) Expiries() []Expiry { return expiries(s.places) }

// Peer is for a peer that is reached in that mode.
func (s *Servers) Peer(mode config.SSLMode) *Server { return s.peers[mode] }

// Of is for the server of a database, by the name that clients ask for.
func (s *Servers) Of(database string) *Server {
	if own, ok := s.own[entry(s.conf, database)]; ok {
		return own
	}
	return s.general
}

// entry is the name in [databases] that stands for what a client asks for.
func entry(c *config.Config, database string) string {
	if _, own := c.Databases[database]; own {
		return database
	}
	return config.AnyDatabase
}

// Attempts are the connections to try with a server, in this order, as libpq does; nil is one without TLS. host is the name
// that the server's certificate must have, where that is asked for.
func (s *Server) Attempts(host string) []*tls.Config {
	switch s.settings.SSLMode {
	case config.SSLDisable:
		return []*tls.Config{nil}
	case config.SSLAllow:
		return []*tls.Config{nil, s.config(host)}
	case config.SSLPrefer:
		return []*tls.Config{s.config(host), nil}
	default:
		return []*tls.Config{s.config(host)}
	}
}

func (s *Server) config(host string) *tls.Config {
	files := s.files.Current()
	c := &tls.Config{
		MinVersion: s.settings.MinVersion.ID(), ServerName: host, RootCAs: files.Roots,
		CipherSuites: s.settings.Ciphers.IDs(), CurvePreferences: s.settings.Curves.IDs(),
		NextProtos: []string{ALPN}, DynamicRecordSizingDisabled: true,
	}
	if s.settings.SSLMode >= config.SSLVerifyCA && s.settings.CAFile == "" { // no authority is trusted, and surely not each of the system's
		c.RootCAs = x509.NewCertPool()
	}
	if files.Identity != nil {
		// Whatever authorities the server names: it knows best whether it takes this one, and says why not.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return files.Identity, nil }
	}
	switch mode := s.settings.SSLMode; {
	case mode == config.SSLVerifyFull && files.Roots != nil:
		roots := c.RootCAs
		c.InsecureSkipVerify = true // of what names no host but by its common name; all is verified here
		c.VerifyConnection = func(state tls.ConnectionState) error { return verifyNamed(state.PeerCertificates, roots, host) }
	case mode == config.SSLVerifyFull: // crypto/tls's own way
	case mode >= config.SSLRequire && c.RootCAs != nil:
		roots := c.RootCAs
		c.InsecureSkipVerify = true // of the host's name; the chain is verified here
		c.VerifyConnection = func(state tls.ConnectionState) error { return verifyChain(state.PeerCertificates, roots) }
	default:
		c.InsecureSkipVerify = true // the mode asks for privacy from those who only listen
	}
	return c
}

// verifyNamed checks a server's certificate and the name in it. Where it has no list of names at all, its common name counts, as with libpq:
// certificates of a company's own are often made so.
func verifyNamed(shown []*x509.Certificate, roots *x509.CertPool, host string) error {
	if err := verifyChain(shown, roots); err != nil {
		return err
	}
	leaf := shown[0]
	if len(leaf.DNSNames)+len(leaf.IPAddresses)+len(leaf.URIs)+len(leaf.EmailAddresses) == 0 && leaf.Subject.CommonName != "" {
		named := *leaf
		if ip := net.ParseIP(leaf.Subject.CommonName); ip != nil {
			named.IPAddresses = []net.IP{ip}
		} else {
			named.DNSNames = []string{leaf.Subject.CommonName}
		}
		leaf = &named
	}
	if err := leaf.VerifyHostname(host); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: shown, Err: err}
	}
	return nil
}

var errNoCertificate = errors.New("the server has shown no certificate")

// verifyChain checks a server's certificate without the name in it.
func verifyChain(shown []*x509.Certificate, roots *x509.CertPool) error {
	if len(shown) == 0 {
		return errNoCertificate
	}
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range shown[1:] {
		options.Intermediates.AddCert(c)
	}
	if _, err := shown[0].Verify(options); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: shown, Err: err}
	}
	return nil
}
