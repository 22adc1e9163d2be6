package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// A certificate without a list of names is known by its common name, as with libpq; one with a list is not.
func TestCommonNameCountsWhereACertificateHasNoOtherName(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	made := func(commonName string, names ...string) (*x509.Certificate, *x509.CertPool) {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: commonName}, DNSNames: names, NotAfter: time.Now().Add(time.Hour),
			IsCA: true, BasicConstraintsValid: true,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(c)
		return c, roots
	}
	for _, test := range []struct {
		commonName string
		names      []string
		host       string
		ok         bool
	}{
		{"db.example", nil, "db.example", true},
		{"db.example", nil, "other.example", false},
		{"*.example", nil, "db.example", true},
		{"192.0.2.1", nil, "192.0.2.1", true},
		{"db.example", []string{"other.example"}, "db.example", false},
		{"", nil, "db.example", false},
	} {
		c, roots := made(test.commonName, test.names...)
		if err := verifyNamed([]*x509.Certificate{c}, roots, test.host); (err == nil) != test.ok {
			t.Errorf("%q, %q at %s: %v", test.commonName, test.names, test.host, err)
		}
	}
	if c, _ := made("db.example"); verifyNamed([]*x509.Certificate{c}, x509.NewCertPool(), "db.example") == nil {
		t.Error("a certificate of nobody's is trusted")
	}
}
