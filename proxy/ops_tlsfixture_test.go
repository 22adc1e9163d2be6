package proxy_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"weir/internal/testca"
	"weir/proxy/wire"
)

// The package's PostgreSQL takes connections with TLS and without. Its certificate and weir's are from one authority.
var (
	authority  = testca.New("proxy's authority")
	serverPair = authority.Localhost()
	// serverHBA has a role that must use TLS, and one that must show a certificate.
	serverHBA = []string{
		"hostssl all needs_tls all trust", "hostssl all certified all cert", "host all needs_tls,certified all reject",
	}
)

func serverFiles() map[string][]byte {
	return map[string][]byte{"server.crt": serverPair.CertPEM(), "server.key": serverPair.KeyPEM(), "root.crt": authority.PEM()}
}

// inPlainText is for tests that would make no sense with TLS: make tls leaves them alone.
const inPlainText = "\n[server_tls]\nsslmode = \"disable\"\n"

// tlsFolder holds the authority as ca.crt, weir's certificate as weir.crt and weir.key, and a user's called app.
func tlsFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	authority.Write(dir, "ca")
	authority.Localhost().Write(dir, "weir")
	authority.Issue(testca.Subject{CN: "app", DNS: []string{"app.example.org"}}).Write(dir, "app")
	return dir
}

// bothTLS is a configuration that demands TLS of clients and of the server.
func bothTLS(t *testing.T) string {
	t.Helper()
	dir := tlsFolder(t)
	return clientTLS(dir, "require", "") + serverTLS(dir)
}

// serverTLS is a section that demands TLS of the server, and its certificate.
func serverTLS(dir string) string {
	return fmt.Sprintf("[server_tls]\nsslmode = \"verify-full\"\nca_file = %q\n", dir+"/ca.crt")
}

// clientTLS is a section with weir's certificate.
func clientTLS(dir, mode, more string) string {
	return fmt.Sprintf("[client_tls]\nsslmode = %q\ncert_file = %q\nkey_file = %q\n%s\n", mode, dir+"/weir.crt", dir+"/weir.key", more)
}

// startTLS asks for TLS and does the handshake.
func startTLS(t *testing.T, nc net.Conn, configs ...*tls.Config) *tls.Conn {
	t.Helper()
	_ = nc.SetDeadline(time.Now().Add(patience))
	if _, err := nc.Write(wire.AppendSSLRequest(nil)); err != nil {
		t.Fatal(err)
	}
	var answer [1]byte
	if _, err := io.ReadFull(nc, answer[:]); err != nil || answer[0] != 'S' {
		t.Fatalf("the answer to a request for TLS is %q, %v", answer, err)
	}
	c := &tls.Config{RootCAs: authority.Pool(), ServerName: "localhost"}
	if len(configs) > 0 {
		c = configs[0]
	}
	top := tls.Client(nc, c)
	if err := top.Handshake(); err != nil {
		t.Fatalf("handshake: %v", err)
	}
	_ = nc.SetDeadline(time.Time{})
	return top
}
