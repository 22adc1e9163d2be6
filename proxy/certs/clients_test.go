package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"testing"

	"weir/config"
	"weir/internal/testca"
)

// open takes a configuration of [client_tls], whose files are in dir.
func open(t *testing.T, dir, text string) *Clients {
	t.Helper()
	c, err := config.Parse(filepath.Join(dir, "weir.toml"), []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	clients, err := OpenClients(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return clients
}

// handshake makes one and returns both sides' states, the certificate that the server's side has noted, and the error of
// either side.
func handshake(t *testing.T, clients *Clients, client *tls.Config) (server, peer tls.ConnectionState, shown *x509.Certificate, err error) {
	t.Helper()
	a, b := net.Pipe()
	defer func() { _ = a.Close() }()
	client.InsecureSkipVerify = true
	done := make(chan error, 1)
	c := tls.Client(b, client)
	go func() {
		defer func() { _ = b.Close() }()
		err := c.Handshake()
		if err == nil {
			_, err = c.Read(make([]byte, 1)) // with TLS 1.3 the server's verdict comes behind the handshake
		}
		done <- err
	}()
	s := tls.Server(a, clients.Config())
	ctx, choice := WithChoice()
	if err = s.HandshakeContext(ctx); err == nil {
		_ = s.CloseWrite()
	}
	if peerErr := <-done; err == nil && peerErr != io.EOF {
		err = peerErr
	}
	return s.ConnectionState(), c.ConnectionState(), choice.Certificate, err
}

func write(dir string, a *testca.Authority, name string, s testca.Subject) string {
	a.Issue(s).Write(dir, name)
	return fmt.Sprintf("cert_file = \"%[1]s.crt\"\nkey_file = \"%[1]s.key\"\n", name)
}

func TestTLSIsOfferedWhereSomebodyWantsItAndThereIsACertificate(t *testing.T) {
	dir, ca := t.TempDir(), testca.New("ca")
	pair := write(dir, ca, "weir", testca.Subject{CN: "weir"})
	for text, want := range map[string]bool{
		"":                      false,
		"[client_tls]":          false,
		"[client_tls]\n" + pair: true,
		"[client_tls]\nsslmode = \"allow\"\n" + pair:                                                                                    true,
		"[client_tls]\nsslmode = \"disable\"\n" + pair:                                                                                  false,
		"[databases.d]\nhost = \"h\"\n[databases.d.client_tls]\n" + pair:                                                                true,
		"[databases.d]\nhost = \"h\"\n[databases.d.client_tls]\nsslmode = \"disable\"\n[client_tls]\nsslmode=\"disable\"\n" + pair:      false,
		"[client_tls]\nsslmode = \"disable\"\n" + pair + "[databases.d]\nhost = \"h\"\n[databases.d.client_tls]\nsslmode = \"require\"": true,
	} {
		if got := open(t, dir, text).Config() != nil; got != want {
			t.Errorf("%s\noffered: %t", text, got)
		}
	}
}

// A file of PgBouncer's is not checked for that when it is read.
func TestHalfAPairIsNotOffered(t *testing.T) {
	dir, ca := t.TempDir(), testca.New("ca")
	ca.Issue(testca.Subject{CN: "weir"}).Write(dir, "weir")
	for _, half := range []config.TLS{{CertFile: config.Path(dir + "/weir.crt")}, {KeyFile: config.Path(dir + "/weir.key")}} {
		c := config.Default()
		c.ClientTLS.CertFile, c.ClientTLS.KeyFile = half.CertFile, half.KeyFile
		if got, err := OpenClients(c, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("of %+v: offered %t, want an error", half, got.Offers())
		}
	}
}

func TestCertificateIsTheOneForTheHostThatIsAskedFor(t *testing.T) {
	dir, ca := t.TempDir(), testca.New("ca")
	clients := open(t, dir, "[client_tls]\n"+write(dir, ca, "general", testca.Subject{CN: "general", DNS: []string{"db.example.org"}})+
		"[databases.shop]\nhost=\"h\"\n[databases.shop.client_tls]\n"+write(dir, ca, "shop", testca.Subject{CN: "shop", DNS: []string{"*.shop.example.org"}}))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for asked, want := range map[string]string{
			"": "general", "db.example.org": "general", "x.shop.example.org": "shop", "elsewhere.example.org": "general",
		} {
			_, peer, shown, err := handshake(t, clients, &tls.Config{ServerName: asked, MaxVersion: version, MinVersion: version})
			if err != nil {
				t.Fatal(err)
			}
			if got := peer.PeerCertificates[0]; got.Subject.CommonName != want || !got.Equal(shown) {
				t.Errorf("%q: shown %s, want %s; noted %v", asked, got.Subject.CommonName, want, shown.Subject)
			}
		}
	}
}

func TestClientsCertificateIsVerifiedIfThereIsOne(t *testing.T) {
	dir, ca, other, stranger := t.TempDir(), testca.New("ca"), testca.New("other"), testca.New("stranger")
	ca.Write(dir, "ca")
	other.Write(dir, "other")
	clients := open(t, dir, "[client_tls]\nsslmode = \"verify-ca\"\nca_file = \"ca.crt\"\n"+write(dir, ca, "weir", testca.Subject{CN: "weir"})+
		"[databases.shop]\nhost=\"h\"\n[databases.shop.client_tls]\nsslmode=\"verify-full\"\nca_file=\"other.crt\"\nmin_version=\"1.3\"\n"+
		"[databases.plain]\nhost=\"h\"\n[databases.loose]\nhost=\"h\"\n[databases.loose.client_tls]\nsslmode=\"prefer\"\nca_file=\"\"")
	demands := map[string]Demands{
		"plain": {Mode: config.SSLVerifyCA, MinVersion: tls.VersionTLS12}, "unknown": {Mode: config.SSLVerifyCA, MinVersion: tls.VersionTLS12},
		"shop": {Mode: config.SSLVerifyFull, MinVersion: tls.VersionTLS13}, "loose": {Mode: config.SSLPrefer, MinVersion: tls.VersionTLS12},
	}
	for database, want := range demands {
		if got := clients.Demands(database); got.Mode != want.Mode || got.MinVersion != want.MinVersion {
			t.Errorf("%s demands %+v", database, got)
		}
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for name, tt := range map[string]struct {
			from     *testca.Authority
			fails    bool
			verified map[string]bool
		}{
			"none":     {nil, false, nil},
			"ca":       {ca, false, map[string]bool{"plain": true, "unknown": true}},
			"other":    {other, false, map[string]bool{"shop": true}},
			"stranger": {stranger, true, nil},
		} {
			client := &tls.Config{MinVersion: version, MaxVersion: version}
			if tt.from != nil {
				pair := tt.from.Issue(testca.Subject{CN: "app"}).TLS()
				client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
			}
			server, _, _, err := handshake(t, clients, client)
			if (err != nil) != tt.fails {
				t.Errorf("%x %s: %v", version, name, err)
			}
			for database := range demands {
				if got := clients.Demands(database).Verified(&server); got != tt.verified[database] {
					t.Errorf("%x certificate of %s: verified for %s: %t", version, name, database, got)
				}
			}
		}
	}
}

func TestWithoutAuthoritiesNoCertificateIsAskedFor(t *testing.T) {
	dir, ca := t.TempDir(), testca.New("ca")
	clients := open(t, dir, "[client_tls]\n"+write(dir, ca, "weir", testca.Subject{CN: "weir"}))
	_, _, _, err := handshake(t, clients, &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		t.Error("it was asked for")
		return new(tls.Certificate), nil
	}})
	if err != nil {
		t.Error(err)
	}
}

func TestConfigIsMadeAnewOnlyForOtherFiles(t *testing.T) {
	dir, ca := t.TempDir(), testca.New("ca")
	clients := open(t, dir, "[client_tls]\n"+write(dir, ca, "weir", testca.Subject{CN: "first"}))
	var now clock
	now.now.Store(clients.general.files.looked.Load())
	clients.general.files.now = now.time
	first := clients.Config()
	now.pass()
	if clients.Config() != first {
		t.Error("it was made anew for nothing")
	}
	ca.Issue(testca.Subject{CN: "second"}).Write(dir, "weir")
	now.pass()
	if _, peer, _, err := handshake(t, clients, &tls.Config{}); err != nil || peer.PeerCertificates[0].Subject.CommonName != "second" {
		t.Errorf("%v, %v", peer.PeerCertificates, err)
	}
}

func TestOnlyPostgreSQLIsSpoken(t *testing.T) {
	dir, ca := t.TempDir(), testca.New("ca")
	clients := open(t, dir, "[client_tls]\n"+write(dir, ca, "weir", testca.Subject{CN: "weir"}))
	for _, tt := range []struct {
		offered []string
		agreed  string
		fails   bool
	}{
		{nil, "", false},
		{[]string{"postgresql"}, "postgresql", false},
		{[]string{"h2", "postgresql"}, "postgresql", false},
		{[]string{"h2", "http/1.1"}, "", true},
	} {
		server, _, _, err := handshake(t, clients, &tls.Config{NextProtos: tt.offered})
		if (err != nil) != tt.fails || !tt.fails && server.NegotiatedProtocol != tt.agreed {
			t.Errorf("%v: agreed on %q, %v", tt.offered, server.NegotiatedProtocol, err)
		}
	}
}
