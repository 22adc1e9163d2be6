package config

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/testca"
)

// tlsFiles writes what the texts of these tests name, and returns the folder.
func tlsFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	ca, other := testca.New("ca"), testca.New("other")
	ca.Write(dir, "ca")
	ca.Localhost().Write(dir, "weir")
	other.Localhost().Write(dir, "other")
	ca.Issue(testca.Subject{CN: "old", NotAfter: time.Now().Add(-time.Minute)}).Write(dir, "old")
	ca.Issue(testca.Subject{CN: "soon", NotAfter: time.Now().Add(3*24*time.Hour + time.Hour)}).Write(dir, "soon")
	for name, text := range map[string]string{
		"empty.crt": "", "text.crt": "no certificate\n",
		"locked.key":  "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n",
		"damaged.crt": "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func parseIn(dir, text string) (*Config, error) {
	return Parse(filepath.Join(dir, "weir.toml"), []byte(text), noEnv)
}

func TestDatabaseHasItsOwnTLS(t *testing.T) {
	dir := tlsFiles(t)
	c, err := parseIn(dir, `
		[client_tls]
		sslmode = "require"
		cert_file = "weir.crt"
		key_file = "weir.key"
		[server_tls]
		sslmode = "verify-full"
		ca_file = "system"
		[databases.plain]
		host = "h"
		[databases.shop]
		host = "h"
		pool_size = 3
		client_tls = { sslmode = "verify-ca", ca_file = "ca.crt", min_version = "1.3" }
		[databases.shop.server_tls]
		sslmode = "verify-ca"
		ca_file = "ca.crt"
		cert_file = "other.crt"
		key_file = "other.key"
		[databases.bare.server_tls]
		sslmode = "disable"
		ca_file = ""
		[databases.bare]
		host = "h"`)
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) Path { return Path(filepath.Join(dir, name)) }
	for _, tt := range []struct {
		database       string
		client, server TLS
	}{
		{"plain", TLS{SSLRequire, in("weir.crt"), in("weir.key"), "", TLS12, "", ""}, TLS{SSLVerifyFull, "", "", SystemRoots, TLS12, "", ""}},
		{
			"shop",
			TLS{SSLVerifyCA, in("weir.crt"), in("weir.key"), in("ca.crt"), TLS13, "", ""},
			TLS{SSLVerifyCA, in("other.crt"), in("other.key"), in("ca.crt"), TLS12, "", ""},
		},
		{"bare", TLS{SSLRequire, in("weir.crt"), in("weir.key"), "", TLS12, "", ""}, TLS{SSLDisable, "", "", "", TLS12, "", ""}},
		{"none", TLS{SSLRequire, in("weir.crt"), in("weir.key"), "", TLS12, "", ""}, TLS{SSLVerifyFull, "", "", SystemRoots, TLS12, "", ""}},
	} {
		if got := c.ClientTLSOf(tt.database); got != tt.client {
			t.Errorf("clients of %s: got %+v, want %+v", tt.database, got, tt.client)
		}
		if got := c.ServerTLSOf(tt.database); got != tt.server {
			t.Errorf("servers of %s: got %+v, want %+v", tt.database, got, tt.server)
		}
	}
	if size := c.PoolSettings("shop", "app").PoolSize; size != 3 {
		t.Errorf("pool_size = %d beside the tables", size)
	}
	var printed bytes.Buffer
	if err := c.WriteTOML(&printed); err != nil {
		t.Fatal(err)
	}
	again, err := Parse("printed.toml", printed.Bytes(), noEnv)
	if err != nil {
		t.Fatalf("%v in what was printed:\n%s", err, printed.String())
	}
	for _, name := range []string{"plain", "shop", "bare"} {
		if again.ClientTLSOf(name) != c.ClientTLSOf(name) || again.ServerTLSOf(name) != c.ServerTLSOf(name) {
			t.Errorf("%s: what was printed means something else:\n%s", name, printed.String())
		}
	}
}

func TestTLSThatCannotBeIsAnError(t *testing.T) {
	dir := tlsFiles(t)
	const cert = "cert_file = \"weir.crt\"\nkey_file = \"weir.key\"\n"
	for _, tt := range []struct{ text, want string }{
		{"[client_tls]\nsslmode = \"on\"", `2:11: sslmode must be "disable", "allow", "prefer", "require", "verify-ca" or "verify-full" (got "on")`},
		{"[client_tls]\nsslmode = true", "2:11: sslmode must be text in quotes (got true or false)"},
		{"[client_tls]\nsslmode = \"require\"", `2:1: sslmode "require" needs a certificate: want cert_file and key_file`},
		{"[client_tls]\nsslmode = \"verify-ca\"\n" + cert, `2:1: sslmode "verify-ca" needs ca_file`},
		{"[client_tls]\ncert_file = \"weir.crt\"", "1:1: cert_file and key_file belong together; want both or none"},
		{"[client_tls]\nkey_file = \"weir.key\"", "1:1: cert_file and key_file belong together; want both or none"},
		{"[client_tls]\ncert_file = \"none.crt\"\nkey_file = \"weir.key\"", "2:1: cert_file: open " + dir + "/none.crt: no such file"},
		{"[client_tls]\ncert_file = \"weir.crt\"\nkey_file = \"none.key\"", "2:1: cert_file: open " + dir + "/none.key: no such file"},
		{"[client_tls]\ncert_file = \"weir.crt\"\nkey_file = \"other.key\"", "other.key: private key does not match public key"},
		{"[client_tls]\ncert_file = \"weir.crt\"\nkey_file = \"locked.key\"", "locked.key: the key is encrypted"},
		{"[client_tls]\ncert_file = \"empty.crt\"\nkey_file = \"weir.key\"", "failed to find any PEM data"},
		{"[client_tls]\nca_file = \"text.crt\"", "2:1: ca_file: " + dir + "/text.crt holds no certificate"},
		{"[client_tls]\nca_file = \"damaged.crt\"", "2:1: ca_file: " + dir + "/damaged.crt: certificate 1: malformed"},
		{"[client_tls]\nca_file = \"system\"", `2:1: ca_file "system" is for servers`},
		{"[client_tls]\nmin_version = \"TLSv1.1\"", `2:15: min_version must be "TLSv1.2" or "TLSv1.3" (got "TLSv1.1")`},
		{"[client_tls]\ntls_ciphers = \"x\"", `2:1: unknown setting "tls_ciphers" in [client_tls]`},
		{"[server_tls]\nsslmode = \"verify-full\"", `2:1: sslmode "verify-full" needs ca_file`},
		{"[server_tls]\nsslmode = \"require\"\nca_file = \"system\"", `3:1: ca_file "system" needs sslmode "verify-full"`},
		{"[databases.d]\nhost = \"h\"\nsslmode = \"require\"", `3:1: unknown setting "sslmode" in [databases.d]; it belongs in [databases.d.client_tls] or [databases.d.server_tls]`},
		{"[databases.d]\nhost = \"h\"\nclient_tls = \"require\"", "3:1: client_tls of a database is a section: want [databases.d.client_tls]"},
		{"[databases.d]\nhost = \"h\"\n[databases.d.client_tls]\nsslmode = \"require\"", `4:1: sslmode "require" needs a certificate`},
		{"[databases.d]\nhost = \"h\"\n[databases.d.server_tls]\nca_file = \"text.crt\"", "4:1: ca_file: " + dir + "/text.crt holds no"},
		{"[databases.d]\nhost = \"h\"\n[databases.d.client_tls]\ncert_file = \"weir.crt\"", "3:1: cert_file and key_file belong together"},
		{"[databases.d]\nhost = \"h\"\n[databases.d.client_tls]\nmode = \"require\"", `4:1: unknown setting "mode" in [databases.d.client_tls]; it belongs in [pool], [databases.NAME]`},
		{"[users.u.client_tls]\nsslmode = \"require\"", `unknown setting "client_tls" in [users.u]`},
	} {
		_, err := parseIn(dir, tt.text)
		if err == nil || !strings.Contains(err.Error(), "weir.toml:"+tt.want) && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s\ngave %v\nwant %s", tt.text, err, tt.want)
			continue
		}
		if strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("%s\nhas more problems than one:\n%v", tt.text, err)
		}
	}
}

func TestTLSVersionIsReadAsOthersWriteIt(t *testing.T) {
	for text, want := range map[string]TLSVersion{
		"TLSv1.2": TLS12, "TLSv1.3": TLS13, "1.2": TLS12, "1.3": TLS13, "tlsv1.3": TLS13, "TLS1.3": TLS13, "v1.3": TLS13,
	} {
		c, err := parseIn(".", fmt.Sprintf("[client_tls]\nmin_version = %q", text))
		if err != nil || c.ClientTLS.MinVersion != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"", "1", "TLSv1", "1.1", "1.4", "SSLv3", "TLSv1.3 ", "TLSv1.30"} {
		if _, err := parseIn(".", fmt.Sprintf("[client_tls]\nmin_version = %q", text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestIdentityAndAuthoritiesAreWhatTheFilesHold(t *testing.T) {
	dir := t.TempDir()
	one, two := testca.New("one"), testca.New("two")
	issued := one.Localhost()
	cert, key := issued.Write(dir, "weir")
	bundle := filepath.Join(dir, "bundle.crt")
	text := slices.Concat([]byte("# two\n"), one.PEM(), pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte{1}}), two.PEM())
	if err := os.WriteFile(bundle, text, 0o600); err != nil {
		t.Fatal(err)
	}
	settings := TLS{CertFile: Path(cert), KeyFile: Path(key), CAFile: Path(bundle)}
	pair, err := settings.Identity()
	if err != nil || !pair.Leaf.Equal(issued.Certificate) {
		t.Errorf("identity: %v", err)
	}
	pool, list, err := settings.Authorities()
	if err != nil || len(list) != 2 || !list[0].Equal(one.Certificate) || !list[1].Equal(two.Certificate) {
		t.Fatalf("authorities: %d, %v", len(list), err)
	}
	if _, err := issued.Certificate.Verify(x509.VerifyOptions{Roots: pool}); err != nil {
		t.Error(err)
	}
	pair, err = TLS{}.Identity()
	pool, list, err2 := TLS{}.Authorities()
	if pair != nil || pool != nil || list != nil || err != nil || err2 != nil {
		t.Errorf("without files: %v %v %v", pair, err, err2)
	}
	for _, half := range []TLS{{CertFile: Path(cert)}, {KeyFile: Path(key)}} {
		if pair, err := half.Identity(); pair != nil || err == nil {
			t.Errorf("of %+v: %v, %v, want an error", half, pair, err)
		}
	}
}

func TestWarningsOfTLS(t *testing.T) {
	dir := tlsFiles(t)
	open := filepath.Join(dir, "weir.key")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	pair := func(name string) string {
		return fmt.Sprintf("cert_file = \"%[1]s.crt\"\nkey_file = \"%[1]s.key\"\n", name)
	}
	for _, tt := range []struct{ text, want string }{
		{"[client_tls]\n" + pair("old"), "the certificate in " + dir + "/old.crt ([client_tls]) has expired"},
		{"[client_tls]\n" + pair("soon"), "the certificate in " + dir + "/soon.crt ([client_tls]) expires within 4 days"},
		{"[server_tls]\n" + pair("soon"), "soon.crt ([server_tls]) expires"},
		{"[databases.d]\nhost=\"h\"\n[databases.d.client_tls]\n" + pair("soon"), "soon.crt ([databases.d.client_tls]) expires"},
		{"[client_tls]\n" + pair("weir"), "weir.key ([client_tls]) can be read by every account"},
		{"[client_tls]\nsslmode = \"disable\"\n" + pair("other"), `[client_tls] has a certificate, but sslmode "disable" offers no TLS`},
		{"[listen]\naddresses=[\":1\"]\n[auth]\ntype=\"password\"", "over the network in clear text"},
		{"[listen]\naddresses=[\":1\"]\n[auth]\ntype=\"password\"\n[client_tls]\nsslmode=\"prefer\"\n" + pair("other"), "over the network in clear text"},
	} {
		c, err := parseIn(dir, tt.text)
		if err != nil {
			t.Errorf("%s\n%v", tt.text, err)
			continue
		}
		if all := strings.Join(c.Warnings(), "\n"); !strings.Contains(all, tt.want) {
			t.Errorf("%s\nwarns of\n%s\nwant %s", tt.text, all, tt.want)
		}
	}
	c, err := parseIn(dir, "[listen]\naddresses=[\":1\"]\n[auth]\ntype=\"password\"\n[client_tls]\nsslmode=\"require\"\n"+pair("other")+"[users.u]\npassword=\"x\"")
	if err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(c.Warnings(), "\n"); strings.Contains(all, "in clear text") || strings.Contains(all, "other") {
		t.Errorf("without cause: %s", all)
	}
}

func TestDSNSaysHowTheServerIsReached(t *testing.T) {
	dir := tlsFiles(t)
	t.Chdir(dir)
	env := environment("PGSSLMODE=disable", "PGSSLROOTCERT=ca.crt")
	for _, tt := range []struct {
		dsn  string
		want TLS
	}{
		{"postgres://h", TLS{SSLDisable, "", "", "ca.crt", TLS12, "", ""}},
		{"postgres://h?sslmode=verify-full", TLS{SSLVerifyFull, "", "", "ca.crt", TLS12, "", ""}},
		{"postgres://h?sslmode=verify-full&sslrootcert=system", TLS{SSLVerifyFull, "", "", SystemRoots, TLS12, "", ""}},
		{
			"host=h sslmode=require sslcert=weir.crt sslkey=weir.key ssl_min_protocol_version=TLSv1.3",
			TLS{SSLRequire, "weir.crt", "weir.key", "ca.crt", TLS13, "", ""},
		},
	} {
		c, err := FromEnvironment(env, tt.dsn)
		if err != nil {
			t.Errorf("%s: %v", tt.dsn, err)
			continue
		}
		if got := c.ServerTLSOf("any"); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.dsn, got, tt.want)
		}
	}
}

// A field of TLSOverride that no row leads to could never be set.
func TestEveryFieldOfTLSOverrideHasARow(t *testing.T) {
	var d Database
	var places []any
	for i := range settings {
		if s := &settings[i]; s.table != nil {
			places = append(places, s.table(&d))
			if general := reflect.TypeOf(s.field(Default())).Elem(); reflect.TypeOf(s.table(&d)).Elem().Elem() != general {
				t.Errorf("%s.%s: a database has another type for it than %s", s.section, s.name, general)
			}
		}
	}
	for _, side := range []*TLSOverride{&d.ClientTLS, &d.ServerTLS} {
		v := reflect.ValueOf(side).Elem()
		for i := range v.NumField() {
			if !slices.Contains(places, v.Field(i).Addr().Interface()) {
				t.Errorf("TLSOverride.%s has no row", v.Type().Field(i).Name)
			}
		}
	}
}
