package config

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// Ciphers are names of cipher suites of TLS 1.2, with colons between them; empty: all that Go holds to be safe.
type Ciphers string

// Curves are names of groups for the exchange of keys, likewise.
type Curves string

func (c Ciphers) String() string { return string(c) }
func (c Curves) String() string  { return string(c) }

// IDs are the numbers of the suites in crypto/tls; nil: Go's choice.
func (c Ciphers) IDs() (ids []uint16) {
	for _, name := range listed(string(c)) {
		if s := suite(name); s != nil {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// IDs are the numbers of the groups in crypto/tls; nil: Go's choice.
func (c Curves) IDs() (ids []tls.CurveID) {
	for _, name := range listed(string(c)) {
		if i := curve(name); i >= 0 {
			ids = append(ids, curves[i].id)
		}
	}
	return ids
}

func listed(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(":, ", r) })
}

// suite finds a suite of TLS 1.2 by its name, or OpenSSL's.
func suite(name string) *tls.CipherSuite {
	for _, s := range suites() {
		if strings.EqualFold(name, s.Name) || strings.EqualFold(name, opensslName(s.Name)) {
			return s
		}
	}
	return nil
}

// suites are those of TLS 1.2: those of 1.3 cannot be chosen among.
func suites() []*tls.CipherSuite {
	return slices.DeleteFunc(tls.CipherSuites(), func(s *tls.CipherSuite) bool { return !slices.Contains(s.SupportedVersions, tls.VersionTLS12) })
}

// opensslName is what OpenSSL calls TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: ECDHE-RSA-AES128-GCM-SHA256.
func opensslName(name string) string {
	name = strings.NewReplacer("TLS_", "", "_WITH_", "-", "AES_", "AES", "_CBC", "", "_", "-").Replace(name)
	if strings.Contains(name, "CHACHA20") {
		name = strings.TrimSuffix(name, "-SHA256")
	}
	return name
}

var curves = []struct {
	id    tls.CurveID
	names []string // weir's own first, then others'
}{
	{tls.X25519MLKEM768, []string{"X25519MLKEM768"}},
	{tls.X25519, []string{"X25519"}},
	{tls.CurveP256, []string{"P-256", "prime256v1", "secp256r1"}},
	{tls.CurveP384, []string{"P-384", "secp384r1"}},
	{tls.CurveP521, []string{"P-521", "secp521r1"}},
}

func curve(name string) int {
	return slices.IndexFunc(curves, func(c struct {
		id    tls.CurveID
		names []string
	},
	) bool {
		return slices.ContainsFunc(c.names, func(n string) bool { return strings.EqualFold(n, name) })
	})
}

// ParseCiphers reads a list of suites. The names that Go does not have are returned, too.
func ParseCiphers(text string) (c Ciphers, unknown []string) {
	var known []string
	for _, name := range listed(text) {
		if s := suite(name); s != nil {
			known = append(known, opensslName(s.Name))
		} else {
			unknown = append(unknown, name)
		}
	}
	return Ciphers(strings.Join(known, ":")), unknown
}

// ParseCurves reads a list of groups, likewise.
func ParseCurves(text string) (c Curves, unknown []string) {
	var known []string
	for _, name := range listed(text) {
		if i := curve(name); i >= 0 {
			known = append(known, curves[i].names[0])
		} else {
			unknown = append(unknown, name)
		}
	}
	return Curves(strings.Join(known, ":")), unknown
}

func readCiphers(place *Ciphers, text string) error {
	c, unknown := ParseCiphers(text)
	if len(unknown) > 0 {
		var names []string
		for _, s := range suites() {
			names = append(names, opensslName(s.Name))
		}
		return fmt.Errorf("has %q, which is none of Go's for TLS 1.2: want some of %s", unknown[0], strings.Join(names, ":"))
	}
	*place = c
	return nil
}

func readCurves(place *Curves, text string) error {
	c, unknown := ParseCurves(text)
	if len(unknown) > 0 {
		var names []string
		for _, c := range curves {
			names = append(names, c.names[0])
		}
		return fmt.Errorf("has %q, which is none of Go's: want some of %s", unknown[0], strings.Join(names, ":"))
	}
	*place = c
	return nil
}
