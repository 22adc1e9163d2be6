package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// TLS is a side of weir's: [client_tls] or [server_tls], or what a database says in place of it.
type TLS struct {
	SSLMode    SSLMode
	CertFile   Path // weir's own certificate and those between it and an authority; empty: none
	KeyFile    Path // its key
	CAFile     Path // the authorities that the other side's certificate must come from; empty: none
	MinVersion TLSVersion
	Ciphers    Ciphers
	Curves     Curves
}

// TLSOverride holds what a database says for itself; nil: nothing.
type TLSOverride struct {
	SSLMode    *SSLMode
	CertFile   *Path
	KeyFile    *Path
	CAFile     *Path
	MinVersion *TLSVersion
	Ciphers    *Ciphers
	Curves     *Curves
}

// ClientTLSOf returns what holds for clients of a database, by the name that they ask for.
func (c *Config) ClientTLSOf(database string) TLS {
	d, _ := c.Database(database)
	return d.ClientTLS.over(c.ClientTLS)
}

// ServerTLSOf returns what holds for backends of a database, by the name that clients ask for.
func (c *Config) ServerTLSOf(database string) TLS {
	d, _ := c.Database(database)
	return d.ServerTLS.over(c.ServerTLS)
}

// over fills in what the database does not say. A certificate and its key belong together.
func (o TLSOverride) over(general TLS) TLS {
	return TLS{
		SSLMode:  first(nil, o.SSLMode, general.SSLMode),
		CertFile: first(nil, o.CertFile, general.CertFile), KeyFile: first(nil, o.KeyFile, general.KeyFile),
		CAFile:     first(nil, o.CAFile, general.CAFile),
		MinVersion: first(nil, o.MinVersion, general.MinVersion),
		Ciphers:    first(nil, o.Ciphers, general.Ciphers), Curves: first(nil, o.Curves, general.Curves),
	}
}

// SSLMode says how much protection a connection must have, in libpq's words.
type SSLMode uint8

const (
	// SSLDisable is without TLS.
	SSLDisable SSLMode = iota
	// SSLAllow takes TLS if the other side insists.
	SSLAllow
	// SSLPrefer takes TLS if the other side can.
	SSLPrefer
	// SSLRequire demands TLS, with whomever.
	SSLRequire
	// SSLVerifyCA demands TLS and a certificate of a known authority.
	SSLVerifyCA
	// SSLVerifyFull demands that the certificate also names the other side: the server's host, or the user.
	SSLVerifyFull
)

var sslModeNames = []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}

func (m SSLMode) String() string { return nameOf(sslModeNames, int(m)) }

// TLSVersion is a version of TLS.
type TLSVersion uint8

// The versions that there are; older ones are broken.
const (
	TLS12 TLSVersion = iota
	TLS13
)

var tlsVersionNames = []string{"TLSv1.2", "TLSv1.3"}

func (v TLSVersion) String() string { return nameOf(tlsVersionNames, int(v)) }

// ID is the version's number in crypto/tls.
func (v TLSVersion) ID() uint16 {
	if v == TLS13 {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

// canonicalTLSVersion lets people write what other programs call a version: 1.3, TLS1.3, tlsv1.3.
func canonicalTLSVersion(text string) string {
	number := strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(text), "tls"), "v")
	return "TLSv" + number
}

// Path is the name of a file, absolute unless the command line or the environment gave it.
type Path string

// SystemRoots in place of a ca_file are the authorities that the system trusts.
const SystemRoots Path = "system"

// path resolves a name of the configuration file.
func (r *reader) path(text string) Path {
	if text == "" || Path(text) == SystemRoots || filepath.IsAbs(text) {
		return Path(text)
	}
	return Path(filepath.Join(r.folder, text))
}

// errHalfIdentity is for a certificate without its key, or the other way round.
var errHalfIdentity = errors.New("cert_file and key_file belong together; want both or none")

// Identity reads the certificate and its key; nil if there is none. Errors name the file.
func (t TLS) Identity() (*tls.Certificate, error) {
	switch {
	case t.CertFile == "" && t.KeyFile == "":
		return nil, nil
	case t.CertFile == "" || t.KeyFile == "":
		return nil, errHalfIdentity
	}
	cert, err := readPEM(t.CertFile)
	if err != nil {
		return nil, err
	}
	key, err := readPEM(t.KeyFile)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(key); block != nil && (block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED")) {
		return nil, fmt.Errorf("%s: the key is encrypted, and weir cannot ask for its password", t.KeyFile)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s with %s: %s", t.CertFile, t.KeyFile, strings.TrimPrefix(err.Error(), "tls: "))
	}
	return &pair, nil // with Leaf, since Go 1.23
}

// Authorities reads the certificates of ca_file; none if there is no such file. For SystemRoots the pool is the system's and
// the list is empty.
func (t TLS) Authorities() (*x509.CertPool, []*x509.Certificate, error) {
	switch t.CAFile {
	case "":
		return nil, nil, nil
	case SystemRoots:
		pool, err := x509.SystemCertPool()
		return pool, nil, err
	}
	text, err := readPEM(t.CAFile)
	if err != nil {
		return nil, nil, err
	}
	pool := x509.NewCertPool()
	var list []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: certificate %d: %s", t.CAFile, len(list)+1, strings.TrimPrefix(err.Error(), "x509: "))
		}
		pool.AddCert(cert)
		list = append(list, cert)
	}
	if len(list) == 0 {
		return nil, nil, fmt.Errorf("%s holds no certificate", t.CAFile)
	}
	return pool, list, nil
}

// pemMax bounds a file of certificates, in bytes: a bundle of all public authorities has some 250,000.
const pemMax = 4 << 20

func readPEM(name Path) ([]byte, error) {
	if name == "" {
		return nil, errors.New("no file is named")
	}
	return readBounded(string(name), pemMax)
}

// tlsCheck looks at the places where TLS is configured: sections, and those of databases.
type tlsCheck struct {
	pgbouncer bool // a file of PgBouncer's is served
	report    func(path []string, format string, args ...any)
}

// client checks a place of TLS with clients. o is what it says itself, t what holds.
func (k tlsCheck) client(path []string, o TLSOverride, t TLS) {
	// PgBouncer's console sets one file after the other, and says what comes of it when TLS is set up.
	if k.pgbouncer || k.files(path, o, t) {
		checkClientTLS(inSection(path), t, k.report)
	}
}

// server is the same for TLS with servers.
func (k tlsCheck) server(path []string, o TLSOverride, t TLS) {
	if !k.pgbouncer && k.files(path, o, t) {
		checkServerTLS(inSection(path), t, k.report)
	}
}

// files checks those that a place names. False: it has half an identity, and there is no more to say.
func (k tlsCheck) files(path []string, o TLSOverride, t TLS) bool {
	if (o.CertFile == nil) != (o.KeyFile == nil) || (t.CertFile == "") != (t.KeyFile == "") {
		k.report(path, "%v", errHalfIdentity)
		return false
	}
	at := inSection(path)
	if o.CertFile != nil {
		if _, err := t.Identity(); err != nil {
			k.report(at("cert_file"), "cert_file: %v", err)
		}
	}
	if o.CAFile != nil {
		if _, _, err := t.Authorities(); err != nil {
			k.report(at("ca_file"), "ca_file: %v", err)
		}
	}
	return true
}

// inSection makes paths of the names of settings.
func inSection(path []string) func(setting string) []string {
	return func(setting string) []string { return append(path[:len(path):len(path)], setting) }
}

func checkClientTLS(at func(string) []string, t TLS, report func([]string, string, ...any)) {
	if t.CAFile == SystemRoots {
		report(at("ca_file"), `ca_file "system" is for servers: any of the world's authorities could let a client in`)
	}
	if t.SSLMode >= SSLRequire && t.CertFile == "" && t.KeyFile == "" {
		report(at("sslmode"), "sslmode %q needs a certificate: want cert_file and key_file", t.SSLMode)
	}
	if t.SSLMode >= SSLVerifyCA && t.CAFile == "" {
		report(at("sslmode"), "sslmode %q needs ca_file, the authority that issues the clients' certificates", t.SSLMode)
	}
}

func checkServerTLS(at func(string) []string, t TLS, report func([]string, string, ...any)) {
	if t.SSLMode >= SSLVerifyCA && t.CAFile == "" {
		report(at("sslmode"), `sslmode %q needs ca_file, the authority of the server's certificate, or "system"`, t.SSLMode)
	}
	if t.CAFile == SystemRoots && t.SSLMode != SSLVerifyFull {
		report(at("ca_file"), `ca_file "system" needs sslmode "verify-full": else a certificate for any name would do (got %q)`, t.SSLMode)
	}
}

// checkAllTLS checks every place where TLS is configured.
func checkAllTLS(c *Config, report func([]string, string, ...any)) {
	check := tlsCheck{c.PgBouncer, report}
	check.client([]string{"client_tls"}, c.ClientTLS.all(), c.ClientTLS)
	check.server([]string{"server_tls"}, c.ServerTLS.all(), c.ServerTLS)
	for name, d := range c.Databases {
		at := inSection([]string{"databases", name})
		if d.ClientTLS != (TLSOverride{}) {
			if d.ClientTLS.Ciphers != nil || d.ClientTLS.Curves != nil {
				report(at("client_tls"), "ciphers and curves belong into [client_tls]: they are settled before a client has said its database")
			}
			check.client(at("client_tls"), d.ClientTLS, d.ClientTLS.over(c.ClientTLS))
		}
		if d.ServerTLS != (TLSOverride{}) {
			check.server(at("server_tls"), d.ServerTLS, d.ServerTLS.over(c.ServerTLS))
		}
	}
}

// all is what a section says itself, as of a database: the files that it names.
func (t *TLS) all() TLSOverride {
	var o TLSOverride
	if t.CertFile != "" || t.KeyFile != "" {
		o.CertFile, o.KeyFile = &t.CertFile, &t.KeyFile
	}
	if t.CAFile != "" {
		o.CAFile = &t.CAFile
	}
	return o
}

// readableByAll reports whether every account of the machine may read a key.
func readableByAll(key Path) bool {
	info, err := os.Stat(string(key))
	return err == nil && info.Mode()&0o007 != 0
}
