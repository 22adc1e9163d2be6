package config

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"
)

// Suites have two names each, and all that Go has for TLS 1.2 can be named.
func TestCiphersAndCurvesByTheirNames(t *testing.T) {
	for text, want := range map[string][]uint16{
		"":                            nil,
		"ECDHE-RSA-AES128-GCM-SHA256": {tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
		"ecdhe-ecdsa-aes256-sha, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": {tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA},
		"ECDHE-RSA-CHACHA20-POLY1305":                                {tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256},
	} {
		c, unknown := ParseCiphers(text)
		if got := c.IDs(); !slices.Equal(got, want) || len(unknown) > 0 {
			t.Errorf("%q: %v %q", text, got, unknown)
		}
	}
	if c, unknown := ParseCiphers("HIGH:ECDHE-RSA-AES128-GCM-SHA256:!aNULL:TLS_AES_128_GCM_SHA256"); c != "ECDHE-RSA-AES128-GCM-SHA256" || len(unknown) != 3 {
		t.Errorf("%q, and %q are unknown", c, unknown)
	}
	if c, _ := ParseCurves("prime256v1 X25519"); c != "P-256:X25519" || !slices.Equal(c.IDs(), []tls.CurveID{tls.CurveP256, tls.X25519}) {
		t.Errorf("%q", c)
	}
	for text, want := range map[string]string{
		"[client_tls]\nciphers = \"HIGH\"":                                             `ciphers has "HIGH"`,
		"[server_tls]\ncurves = \"sect571r1\"":                                         `curves has "sect571r1"`,
		"[databases.d]\nhost = \"h\"\n[databases.d.client_tls]\ncurves = \"X25519\"\n": "belong into [client_tls]",
	} {
		_, err := Parse("weir.toml", []byte(text), func(string) (string, bool) { return "", false })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n%v", text, err)
		}
	}
}
