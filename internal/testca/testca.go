// Package testca issues certificates for tests: authorities, and what they sign, as files and as values.
//
// It is support for every test, so it depends on nothing of weir; errors panic, because nothing but chance and memory can fail.
package testca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// Authority signs certificates.
type Authority struct {
	Certificate *x509.Certificate
	key         crypto.Signer
}

// Subject says who a certificate is for, and what is unusual about it.
type Subject struct {
	CN       string
	Org      string
	DNS      []string
	Emails   []string
	URIs     []string
	IPs      []string
	NotAfter time.Time // zero: in a year
	Key      crypto.Signer
	// Signature is the algorithm with which it is signed; zero: what suits the authority's key.
	Signature x509.SignatureAlgorithm
}

// Issued is a certificate with its key.
type Issued struct {
	Certificate *x509.Certificate
	key         crypto.Signer
}

var serial atomic.Int64

// New makes an authority of that name.
func New(name string) *Authority { return NewWithKey(name, ecdsaKey()) }

// NewWithKey makes an authority that signs with key.
func NewWithKey(name string, key crypto.Signer) *Authority {
	template := template(Subject{CN: name})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	return &Authority{Certificate: sign(template, template, key.Public(), key), key: key}
}

// Issue signs a certificate that serves clients and servers.
func (a *Authority) Issue(s Subject) *Issued {
	key := s.Key
	if key == nil {
		key = ecdsaKey()
	}
	template := template(s)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	return &Issued{Certificate: sign(template, a.Certificate, key.Public(), a.key), key: key}
}

// Localhost is a server's certificate for this machine.
func (a *Authority) Localhost() *Issued {
	return a.Issue(Subject{CN: "localhost", DNS: []string{"localhost"}, IPs: []string{"127.0.0.1", "::1"}})
}

func template(s Subject) *x509.Certificate {
	t := &x509.Certificate{
		SerialNumber: big.NewInt(serial.Add(1)), Subject: pkix.Name{CommonName: s.CN},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: s.NotAfter, SignatureAlgorithm: s.Signature,
		DNSNames: s.DNS, EmailAddresses: s.Emails,
	}
	if s.Org != "" {
		t.Subject.Organization = []string{s.Org}
	}
	if t.NotAfter.IsZero() {
		t.NotAfter = time.Now().Add(365 * 24 * time.Hour)
	}
	for _, text := range s.URIs {
		u, err := url.Parse(text)
		must(err)
		t.URIs = append(t.URIs, u)
	}
	for _, text := range s.IPs {
		t.IPAddresses = append(t.IPAddresses, net.ParseIP(text))
	}
	return t
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	must(err)
	cert, err := x509.ParseCertificate(der)
	must(err)
	return cert
}

func ecdsaKey() crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	return key
}

// RSAKey makes a key of 2048 bits.
func RSAKey() crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	return key
}

// Ed25519Key makes a key.
func Ed25519Key() crypto.Signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	return key
}

func must(err error) {
	if err != nil {
		panic("testca: " + err.Error())
	}
}

// Pool holds the authority alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificate)
	return pool
}

// PEM is the authority's certificate.
func (a *Authority) PEM() []byte { return certificatePEM(a.Certificate) }

// Write writes the authority's certificate into dir as NAME.crt and returns the path.
func (a *Authority) Write(dir, name string) string {
	return write(dir, name+".crt", a.PEM())
}

// TLS is the certificate as crypto/tls wants it.
func (i *Issued) TLS() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{i.Certificate.Raw}, PrivateKey: i.key, Leaf: i.Certificate}
}

// CertPEM is the certificate.
func (i *Issued) CertPEM() []byte { return certificatePEM(i.Certificate) }

// KeyPEM is its key.
func (i *Issued) KeyPEM() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	must(err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Write writes both into dir, as NAME.crt and NAME.key, and returns the paths.
func (i *Issued) Write(dir, name string) (cert, key string) {
	return write(dir, name+".crt", i.CertPEM()), write(dir, name+".key", i.KeyPEM())
}

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func write(dir, name string, content []byte) string {
	path := filepath.Join(dir, name)
	must(os.WriteFile(path, content, 0o600))
	return path
}
