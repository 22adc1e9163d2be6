package login

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/config"
	"weir/internal/testca"
	"weir/proxy/certs"
)

// tlsListener is a listener with TLS, and what its clients need.
type tlsListener struct {
	*listener
	dir string
	ca  *testca.Authority
}

// Certificates in dir: ca and stranger are authorities, weir is the listener's, app is a user's by ca, other is one by stranger.
func tlsFolder(t *testing.T) (string, *testca.Authority) {
	t.Helper()
	dir, ca, stranger := t.TempDir(), testca.New("ca"), testca.New("stranger")
	ca.Write(dir, "ca")
	stranger.Write(dir, "stranger")
	ca.Localhost().Write(dir, "weir")
	ca.Issue(testca.Subject{CN: "app", DNS: []string{"app.example.org"}, Emails: []string{"app@example.org"}}).Write(dir, "app")
	stranger.Issue(testca.Subject{CN: "app"}).Write(dir, "other")
	return dir, ca
}

// listenTLS opens a listener; text is more of its configuration.
func listenTLS(t *testing.T, opt Options, text string) *tlsListener {
	t.Helper()
	dir, ca := tlsFolder(t)
	clients, c := tlsClients(t, dir, text)
	opt.TLS, opt.CertName = clients, c.Auth.CertName
	return &tlsListener{listener: listen(t, opt), dir: dir, ca: ca}
}

func tlsClients(t *testing.T, dir, text string) (*certs.Clients, *config.Config) {
	t.Helper()
	c, err := config.Parse(filepath.Join(dir, "weir.toml"), []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	clients, err := certs.OpenClients(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return clients, c
}

const weirPair = "cert_file = \"weir.crt\"\nkey_file = \"weir.key\"\n"

// clientTLS is a [client_tls] of that mode.
func clientTLS(mode, more string) string {
	return fmt.Sprintf("[client_tls]\nsslmode = %q\n%s%s\n", mode, weirPair, more)
}

func (l *tlsListener) file(name string) string { return filepath.Join(l.dir, name) }

// connect logs in with pgconn; parameters are a DSN's. It returns "" or why it failed.
func (l *tlsListener) connect(parameters string) string {
	c, err := pgconn.Connect(context.Background(), "postgres://app@localhost:"+l.port()+"/shop?"+parameters)
	if err != nil {
		var pgErr *pgconn.PgError
		if errors.As(err, &pgErr) {
			return pgErr.Code + " " + pgErr.Message
		}
		return err.Error()
	}
	defer func() { _ = c.Close(context.Background()) }()
	_, secret := c.Conn().(*tls.Conn)
	if _, err := c.Exec(context.Background(), "select").ReadAll(); err != nil {
		return err.Error()
	}
	return map[bool]string{false: "plain", true: "secret"}[secret]
}

// TestEveryModeMeetsEveryMode: what clients get that want TLS, or do not, by libpq's modes, from each of weir's.
func TestEveryModeMeetsEveryMode(t *testing.T) {
	const ca = "ca_file = \"ca.crt\""
	with := func(name string) string { return "&sslcert=DIR/" + name + ".crt&sslkey=DIR/" + name + ".key" }
	for _, tt := range []struct {
		weir, client, want string
	}{
		{clientTLS("disable", ""), "sslmode=disable", "plain"},
		{clientTLS("disable", ""), "sslmode=prefer", "plain"},
		{clientTLS("disable", ""), "sslmode=require", "refused TLS"},
		{"", "sslmode=prefer", "plain"},
		{"", "sslmode=require", "refused TLS"},

		{clientTLS("allow", ""), "sslmode=disable", "plain"},
		{clientTLS("allow", ""), "sslmode=allow", "plain"},
		{clientTLS("allow", ""), "sslmode=prefer", "secret"},
		{clientTLS("prefer", ""), "sslmode=disable", "plain"},
		{clientTLS("prefer", ""), "sslmode=require", "secret"},
		{clientTLS("prefer", ""), "sslmode=verify-full&sslrootcert=DIR/ca.crt", "secret"},
		{clientTLS("prefer", ""), "sslmode=verify-full&sslrootcert=DIR/stranger.crt", "unknown authority"},

		{clientTLS("require", ""), "sslmode=disable", "28000 connection is not encrypted"},
		{clientTLS("require", ""), "sslmode=allow", "secret"},
		{clientTLS("require", ""), "sslmode=prefer", "secret"},
		{clientTLS("require", ""), "sslmode=require", "secret"},
		{clientTLS("require", ""), "sslmode=require" + with("other"), "secret"}, // nobody asks for it
		{clientTLS("require", ca), "sslmode=require", "secret"},
		{clientTLS("require", ca), "sslmode=require" + with("app"), "secret"},
		{clientTLS("require", ca), "sslmode=require" + with("other"), "secret"}, // Go shows none that weir did not ask for

		{clientTLS("verify-ca", ca), "sslmode=disable", "28000 connection is not encrypted"},
		{clientTLS("verify-ca", ca), "sslmode=require", "28000 connection requires a valid client certificate"},
		{clientTLS("verify-ca", ca), "sslmode=require" + with("app"), "secret"},
		{clientTLS("verify-ca", ca), "sslmode=require&user=else" + with("app"), "secret"},
		{clientTLS("verify-ca", ca), "sslmode=require" + with("other"), "certificate"},

		{clientTLS("verify-full", ca), "sslmode=require" + with("app"), "secret"},
		{clientTLS("verify-full", ca), "sslmode=require&user=else" + with("app"), `28000 certificate authentication failed for user "else"`},
		{clientTLS("verify-full", ca), "sslmode=require", "28000 connection requires a valid client certificate"},
		{clientTLS("verify-full", ca) + "[auth]\ncert_name = \"san\"", "sslmode=require" + with("app"), "28000 certificate authentication failed"},
		{clientTLS("verify-full", ca) + "[auth]\ncert_name = \"san\"", "sslmode=require&user=app@example.org" + with("app"), "secret"},
		{clientTLS("verify-full", ca) + "[auth]\ncert_name = \"dn\"", "sslmode=require&user=CN%3Dapp" + with("app"), "secret"},

		// Within a database.
		{clientTLS("prefer", "") + "[databases.shop]\nhost=\"h\"\n[databases.shop.client_tls]\nsslmode=\"require\"", "sslmode=disable", "28000 connection is not encrypted"},
		{clientTLS("require", "") + "[databases.shop]\nhost=\"h\"\n[databases.shop.client_tls]\nsslmode=\"prefer\"", "sslmode=disable", "plain"},
		{clientTLS("require", "") + "[databases.shop]\nhost=\"h\"\n[databases.shop.client_tls]\nmin_version=\"1.3\"", "sslmode=require", "secret"},
		{clientTLS("require", ca) + "[databases.shop]\nhost=\"h\"\n[databases.shop.client_tls]\nsslmode=\"verify-ca\"\nca_file=\"stranger.crt\"", "sslmode=require" + with("other"), "secret"},
		{clientTLS("require", ca) + "[databases.shop]\nhost=\"h\"\n[databases.shop.client_tls]\nsslmode=\"verify-ca\"\nca_file=\"stranger.crt\"", "sslmode=require" + with("app"), "28000 connection requires a valid client certificate"},
	} {
		l := listenTLS(t, Options{Method: MethodTrust}, tt.weir)
		got := l.connect(strings.ReplaceAll(tt.client, "DIR", l.dir))
		if got != tt.want && !(len(tt.want) > 6 && strings.Contains(got, tt.want)) {
			t.Errorf("%s\nand a client with %s: %s, want %s", tt.weir, tt.client, got, tt.want)
		}
	}
}

func TestTLSVersionsAreAgreedOn(t *testing.T) {
	for _, tt := range []struct {
		weir     string
		min, max uint16
		want     string
	}{
		{clientTLS("require", ""), tls.VersionTLS12, tls.VersionTLS12, ""},
		{clientTLS("require", ""), tls.VersionTLS12, tls.VersionTLS13, ""},
		{clientTLS("require", `min_version = "1.3"`), tls.VersionTLS12, tls.VersionTLS13, ""},
		{clientTLS("require", `min_version = "1.3"`), tls.VersionTLS12, tls.VersionTLS12, "protocol version not supported"},
		{clientTLS("require", ""), tls.VersionTLS10, tls.VersionTLS11, "protocol version not supported"},
		{clientTLS("require", "") + "[databases.shop]\nhost=\"h\"\n[databases.shop.client_tls]\nmin_version=\"1.3\"", tls.VersionTLS12, tls.VersionTLS12, "28000 connection requires TLS 1.3 or newer"},
	} {
		l := listenTLS(t, Options{Method: MethodTrust}, tt.weir)
		c, err := pgconn.ParseConfig("postgres://app@" + l.addr + "/shop?sslmode=require")
		if err != nil {
			t.Fatal(err)
		}
		c.TLSConfig.MinVersion, c.TLSConfig.MaxVersion = tt.min, tt.max
		conn, err := pgconn.ConnectConfig(context.Background(), c)
		text := ""
		if err != nil {
			text = err.Error()
			var pgErr *pgconn.PgError
			if errors.As(err, &pgErr) {
				text = pgErr.Code + " " + pgErr.Message
			}
		} else {
			_ = conn.Close(context.Background())
		}
		if !strings.Contains(text, tt.want) || (text == "") != (tt.want == "") {
			t.Errorf("%s\nand %x to %x: %q, want %q", tt.weir, tt.min, tt.max, text, tt.want)
		}
	}
}

// dialTLS asks for TLS and does the handshake.
func (l *tlsListener) dialTLS(t *testing.T, c *tls.Config) *tls.Conn {
	t.Helper()
	nc := l.dial(t)
	if _, err := nc.Write([]byte(first(sslCode, ""))); err != nil {
		t.Fatal(err)
	}
	var answer [1]byte
	if _, err := io.ReadFull(nc, answer[:]); err != nil || answer[0] != 'S' {
		t.Fatalf("answer %q %v", answer, err)
	}
	c.InsecureSkipVerify = true
	top := tls.Client(nc, c)
	if err := top.Handshake(); err != nil {
		t.Fatal(err)
	}
	return top
}

func (l *tlsListener) dial(t *testing.T) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	t.Cleanup(func() { _ = nc.Close() })
	return nc
}

func TestResultCarriesTLS(t *testing.T) {
	l := listenTLS(t, Options{Method: MethodTrust}, clientTLS("require", ""))
	top := l.dialTLS(t, &tls.Config{})
	if _, err := top.Write([]byte(startup)); err != nil {
		t.Fatal(err)
	}
	out := l.outcome()
	if out.f != nil || out.res.TLS == nil || out.res.Conn != net.Conn(out.res.TLS.TLS()) {
		t.Errorf("%+v, %v", out.res, out.f)
	}
	plain := listenTLS(t, Options{Method: MethodTrust}, clientTLS("prefer", ""))
	if _, err := plain.dial(t).Write([]byte(startup)); err != nil {
		t.Fatal(err)
	}
	if out := plain.outcome(); out.f != nil || out.res.TLS != nil || out.res.Conn == nil {
		t.Errorf("%+v, %v", out.res, out.f)
	}
}

func TestCancelRequestOverTLS(t *testing.T) {
	l := listenTLS(t, Options{Method: MethodTrust}, clientTLS("require", ""))
	top := l.dialTLS(t, &tls.Config{})
	if _, err := top.Write([]byte(first(cancelCode, "\x00\x00\x00\x07\x01\x02\x03\x04"))); err != nil {
		t.Fatal(err)
	}
	if out := l.outcome(); out.f != nil || out.res.Cancel == nil || out.res.Cancel.PID != 7 || out.res.TLS == nil {
		t.Errorf("%+v, %v", out.res, out.f)
	}
	// Old clients send it in clear text although their sessions are encrypted; nobody can do more with it than they could.
	if _, err := l.dial(t).Write([]byte(first(cancelCode, "\x00\x00\x00\x07\x01\x02\x03\x04"))); err != nil {
		t.Fatal(err)
	}
	if out := l.outcome(); out.f != nil || out.res.Cancel == nil {
		t.Errorf("%+v, %v", out.res, out.f)
	}
}

// TestBytesBeforeTheHandshakeAreRefused: what somebody in between puts in front of the handshake must not be taken for the
// client's (CVE-2021-23214).
func TestBytesBeforeTheHandshakeAreRefused(t *testing.T) {
	l := listenTLS(t, Options{Method: MethodTrust}, clientTLS("prefer", ""))
	for _, injected := range []string{startup, message('Q', "drop table t\x00"), "\x00"} {
		nc := l.dial(t)
		if _, err := nc.Write([]byte(first(sslCode, "") + injected)); err != nil {
			t.Fatal(err)
		}
		all, _ := io.ReadAll(nc)
		if !bytes.HasPrefix(all, []byte("E")) || !bytes.Contains(all, []byte("received unencrypted data after SSL request")) {
			t.Errorf("%q behind the request: %q", injected, all)
		}
		if out := l.outcome(); out.f == nil || out.f.Reason != Malformed {
			t.Errorf("%q behind the request: %+v %v", injected, out.res, out.f)
		}
	}
	// Behind the answer they break the handshake.
	nc := l.dial(t)
	_, _ = nc.Write([]byte(first(sslCode, "")))
	_, _ = io.ReadFull(nc, make([]byte, 1))
	_, _ = nc.Write([]byte(startup))
	if out := l.outcome(); out.f == nil || out.f.Reason != BadTLS || out.f.Err != nil {
		t.Errorf("%+v %v", out.res, out.f)
	}
}

func TestRequestsInsideTLS(t *testing.T) {
	l := listenTLS(t, Options{Method: MethodTrust}, clientTLS("prefer", ""))
	// GSSAPI encryption is declined in there, too.
	top := l.dialTLS(t, &tls.Config{})
	_, _ = top.Write([]byte(first(gssencCode, "")))
	var answer [1]byte
	if _, err := io.ReadFull(top, answer[:]); err != nil || answer[0] != 'N' {
		t.Errorf("GSSAPI inside TLS: %q %v", answer, err)
	}
	_, _ = top.Write([]byte(startup))
	if out := l.outcome(); out.f != nil {
		t.Error(out.f)
	}
	// A second request for TLS is none, as in PostgreSQL.
	top = l.dialTLS(t, &tls.Config{})
	_, _ = top.Write([]byte(first(sslCode, "")))
	if all, err := io.ReadAll(top); err != nil || !bytes.Contains(all, []byte("unsupported frontend protocol 1234.5679")) {
		t.Errorf("TLS inside TLS: %q %v", all, err) // and the end is a proper one
	}
	if out := l.outcome(); out.f == nil || out.f.Reason != Malformed {
		t.Error(out.f)
	}
}

func TestDirectTLS(t *testing.T) {
	l := listenTLS(t, Options{Method: MethodTrust}, clientTLS("require", ""))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := func(protocols ...string) *tls.Config {
			return &tls.Config{InsecureSkipVerify: true, NextProtos: protocols, MinVersion: version, MaxVersion: version}
		}
		top := tls.Client(l.dial(t), config("postgresql"))
		if err := top.Handshake(); err != nil {
			t.Fatal(err)
		}
		_, _ = top.Write([]byte(first(sslCode, ""))) // as PostgreSQL: no, not once more
		var answer [1]byte
		if _, err := io.ReadFull(top, answer[:]); err != nil || answer[0] != 'N' {
			t.Errorf("TLS inside TLS: %q %v", answer, err)
		}
		_, _ = top.Write([]byte(startup))
		if out := l.outcome(); out.f != nil || out.res.TLS == nil {
			t.Error(out.f)
		}

		// Without the protocol's name, or with another's, nobody gets in.
		top = tls.Client(l.dial(t), config())
		_, _ = top.Write([]byte(startup))
		if n, err := top.Read(make([]byte, 100)); n != 0 || err == nil {
			t.Errorf("without ALPN: %d bytes, %v", n, err)
		}
		if out := l.outcome(); out.f == nil || out.f.Reason != BadTLS || !strings.Contains(out.f.Error(), "ALPN") {
			t.Error(out.f)
		}
		if err := tls.Client(l.dial(t), config("http/1.1", "h2")).Handshake(); version == tls.VersionTLS12 && err == nil {
			t.Error("HTTP was accepted")
		}
		if out := l.outcome(); out.f == nil || out.f.Reason != BadTLS {
			t.Error(out.f)
		}
	}
	// Where TLS is not offered, it is no startup packet.
	plain := listenTLS(t, Options{Method: MethodTrust}, clientTLS("disable", ""))
	if err := tls.Client(plain.dial(t), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"postgresql"}}).Handshake(); err == nil {
		t.Error("direct TLS was accepted")
	}
	if out := plain.outcome(); out.f == nil || out.f.Reason != Malformed || !strings.Contains(out.f.Error(), "a TLS handshake") {
		t.Error(out.f)
	}
	// Behind a request it is too late.
	late := l.dial(t)
	_, _ = late.Write([]byte(first(gssencCode, "")))
	_, _ = io.ReadFull(late, make([]byte, 1))
	if err := tls.Client(late, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"postgresql"}}).Handshake(); err == nil {
		t.Error("direct TLS was accepted behind a request")
	}
	l.outcome()
}

// TestUnixSocketsAreNeverEncrypted: nor need they be, whatever sslmode says.
func TestUnixSocketsAreNeverEncrypted(t *testing.T) {
	dir, _ := tlsFolder(t)
	clients, _ := tlsClients(t, dir, clientTLS("verify-full", "ca_file = \"ca.crt\""))
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	nc, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	ours, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ours.Close() }()
	go func() { _, _ = nc.Write([]byte(first(sslCode, ""))) }()
	done := make(chan error, 1)
	go func() {
		_, err := Serve(context.Background(), ours, time.Now(), &Options{Method: MethodTrust, TLS: clients, Timeout: time.Minute})
		done <- err
	}()
	var answer [1]byte
	if _, err := io.ReadFull(nc, answer[:]); err != nil || answer[0] != 'N' {
		t.Errorf("%q %v", answer, err)
	}
	_, _ = nc.Write([]byte(startup))
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestHandshakeIsWithinTheTimeout: a client that begins one and goes no further, and one that is gone.
func TestHandshakeIsWithinTheTimeout(t *testing.T) {
	l := listenTLS(t, Options{Method: MethodTrust, Timeout: 50 * time.Millisecond}, clientTLS("require", ""))
	for name, begin := range map[string]string{"asked": first(sslCode, ""), "direct": "\x16\x03\x01\x02\x00\x01\x00"} {
		if _, err := l.dial(t).Write([]byte(begin)); err != nil {
			t.Fatal(err)
		}
		if out := l.outcome(); out.f == nil || out.f.Reason != TimedOut {
			t.Errorf("%s: %v", name, out.f)
		}
	}
	l = listenTLS(t, Options{Method: MethodTrust}, clientTLS("require", ""))
	nc := l.dial(t)
	_, _ = nc.Write([]byte(first(sslCode, "")))
	_, _ = io.ReadFull(nc, make([]byte, 1))
	_ = nc.Close()
	if out := l.outcome(); out.f == nil || out.f.Reason != Gone {
		t.Errorf("gone: %v", out.f)
	}
}

// TestClientThatDistrustsIsLogged: it closes with an alert, and weir's log says which.
func TestClientThatDistrustsIsLogged(t *testing.T) {
	l := listenTLS(t, Options{Method: MethodTrust}, clientTLS("prefer", ""))
	l.connect("sslmode=verify-full&sslrootcert=" + l.file("stranger.crt"))
	if out := l.outcome(); out.f == nil || out.f.Reason != BadTLS || !strings.Contains(out.f.Error(), "bad certificate") {
		t.Errorf("%v", out.f)
	}
}

func TestPasswordsTravelThroughTLS(t *testing.T) {
	for method, forms := range map[Method]map[string]string{
		MethodSCRAM: {"clear": rightPassword, "scram": pencilSCRAM}, MethodMD5: storedForms("app"), MethodPassword: storedForms("app"),
	} {
		for name, stored := range forms {
			opt := Options{Method: method, Verifiers: usualVerifiers(nil), Lookup: users(map[string]string{"app": stored})}
			l := listenTLS(t, opt, clientTLS("require", ""))
			if got := l.connect("sslmode=require&channel_binding=disable&password=" + rightPassword); got != "secret" {
				t.Errorf("%s, stored as %s: %s", method, name, got)
			}
			if got := l.connect("sslmode=require&channel_binding=disable&password=wrong"); !strings.HasPrefix(got, "28P01 ") {
				t.Errorf("%s, stored as %s, wrong password: %s", method, name, got)
			}
		}
	}
}

func TestPsqlOverTLS(t *testing.T) {
	needPsql(t)
	l := listenTLS(t, Options{Method: MethodTrust}, clientTLS("verify-full", "ca_file = \"ca.crt\""))
	run := func(more string) string {
		cmd := exec.Command("psql", "-Xc", "select", "host=localhost hostaddr=127.0.0.1 user=app dbname=shop port="+l.port()+" "+more)
		cmd.Env = append(os.Environ(), "PGPASSWORD=", "HOME=/nowhere")
		out, err := cmd.CombinedOutput()
		return fmt.Sprint(strings.TrimSpace(string(out)), " ", err)
	}
	own := "sslcert=" + l.file("app.crt") + " sslkey=" + l.file("app.key")
	for more, want := range map[string]string{
		"sslmode=disable": "connection is not encrypted",
		"sslmode=require": "connection requires a valid client certificate",
		"sslmode=verify-full sslrootcert=" + l.file("ca.crt") + " " + own:                                      "<nil>",
		"sslmode=verify-full sslrootcert=" + l.file("stranger.crt") + " " + own:                                "certificate verify failed",
		"sslmode=require ssl_max_protocol_version=TLSv1.2 " + own:                                              "<nil>",
		"sslmode=require sslcert=" + l.file("other.crt") + " sslkey=" + l.file("other.key"):                    "unknown ca",
		"sslmode=require ssl_max_protocol_version=TLSv1.1 ssl_min_protocol_version=TLSv1.1 gssencmode=disable": "SSL error",
	} {
		if got := run(more); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", more, got, want)
		}
	}
}

func TestNamesOfACertificate(t *testing.T) {
	c := testca.New("ca").Issue(testca.Subject{
		CN: "app", Org: "Example", DNS: []string{"app.example.org"}, Emails: []string{"app@example.org"}, URIs: []string{"spiffe://x/app"},
	}).Certificate
	for kind, want := range map[config.CertName]string{
		config.CertCN: "[app]", config.CertSAN: "[app.example.org app@example.org spiffe://x/app]", config.CertDN: "[CN=app,O=Example]",
	} {
		if got := fmt.Sprint(certificateNames(c, kind)); got != want {
			t.Errorf("%s: %s, want %s", kind, got, want)
		}
	}
	// Two common names are none, and so is an empty one.
	for _, names := range [][]string{{}, {""}, {"app", "root"}, {"app", "app"}} {
		c := new(x509.Certificate)
		for _, n := range names {
			c.Subject.Names = append(c.Subject.Names, pkix.AttributeTypeAndValue{Type: oidCommonName, Value: n})
		}
		if got := certificateNames(c, config.CertCN); len(got) != 0 {
			t.Errorf("%q: %q", names, got)
		}
	}
}
