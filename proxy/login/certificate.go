package login

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"strings"

	"weir/config"
)

// settleProtection finds out what the database demands of the connection, and whether the client's certificate counts there. Both
// are found out once a login: an authority that is replaced meanwhile counts from the next login on.
func (a *attempt) settleProtection() {
	if a.opt.TLS == nil {
		return
	}
	a.demands = a.opt.TLS.Demands(a.database)
	if a.tls != nil && a.demands.Verified(&a.tls.state) {
		a.certificate = a.tls.state.PeerCertificates[0]
	}
}

// namedByCertificate reports whether the client's certificate is the user's own.
func (a *attempt) namedByCertificate() bool {
	return slices.Contains(certificateNames(a.certificate, a.opt.CertName), a.user)
}

// certificateNames are what a certificate, which may be nil, calls its owner. Names are compared as they are written, as in PostgreSQL: users'
// names are, too.
func certificateNames(c *x509.Certificate, kind config.CertName) []string {
	if c == nil {
		return nil
	}
	switch kind {
	case config.CertSAN:
		names := slices.Concat(c.DNSNames, c.EmailAddresses)
		for _, u := range c.URIs {
			names = append(names, u.String())
		}
		return names
	case config.CertDN:
		name, err := distinguishedName(c.RawSubject)
		if err != nil || name == "" {
			return nil
		}
		return []string{name}
	case config.CertCN:
	}
	return commonName(c)
}

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// commonName is the only one; of two, libraries disagree which one counts.
func commonName(c *x509.Certificate) []string {
	var names []string
	for _, n := range c.Subject.Names {
		if text, ok := n.Value.(string); ok && n.Type.Equal(oidCommonName) {
			names = append(names, text)
		}
	}
	if len(names) != 1 || names[0] == "" {
		return nil
	}
	return names
}

// certificateText is what the log says of the names that were not the user's.
func (a *attempt) certificateText(kind config.CertName) string {
	names := certificateNames(a.certificate, kind)
	if len(names) == 0 {
		return "the certificate has no name of this kind: " + kind.String()
	}
	return "the certificate names " + strings.Join(names, ", ")
}
