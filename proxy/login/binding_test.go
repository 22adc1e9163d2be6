package login

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/pgserver"
	"weir/internal/testca"
	"weir/proxy/scram"
)

// plusTLS is a server certificate whose signature is made with that algorithm.
func plusTLS(t *testing.T, subject testca.Subject, ca *testca.Authority) string {
	t.Helper()
	cert, key := ca.Issue(subject).Write(t.TempDir(), "bound")
	return fmt.Sprintf("[client_tls]\nsslmode = \"prefer\"\ncert_file = %q\nkey_file = %q\n", cert, key)
}

// TestChannelBindingByHand has clients that do what no driver does, over TLS, with weir and with PostgreSQL, which must answer
// alike.
func TestChannelBindingByHand(t *testing.T) {
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	const bound = "p=tls-server-end-point,,"
	ca := testca.New("ca")
	pair := ca.Localhost()
	server, err := pgserver.Start(context.Background(), pgserver.Options{
		Auth: "scram-sha-256", Settings: map[string]string{"ssl": "on"},
		Files: map[string][]byte{"server.crt": pair.CertPEM(), "server.key": pair.KeyPEM()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	if err := server.Exec(context.Background(), "postgres", "CREATE ROLE bound LOGIN PASSWORD '"+rightPassword+"'", "CREATE DATABASE shop"); err != nil {
		t.Fatal(err)
	}
	l := listenTLS(t, Options{Verifiers: usualVerifiers(nil), Lookup: users(map[string]string{"bound": rightPassword})},
		plusTLS(t, testca.Subject{CN: "weir"}, ca))
	secret := func(addr string) *tls.Conn {
		return (&tlsListener{listener: &listener{addr: addr}}).dialTLS(t, &tls.Config{})
	}
	for _, c := range []struct {
		name  string
		peer  scramPeer
		shift byte // added to the first byte of the binding
		want  string
	}{
		{"bound", scramPeer{mechanism: scram.MechanismPlus, gs2: bound}, 0, "R 12; R ok"},
		{"bound, on an empty challenge", scramPeer{mechanism: scram.MechanismPlus, gs2: bound, late: true}, 0, "R 12; R ok"},
		{"not bound", scramPeer{gs2: "n,,"}, 0, "R 12; R ok"},
		{"to another certificate", scramPeer{mechanism: scram.MechanismPlus, gs2: bound}, 1, "E FATAL 28000 SCRAM channel binding check failed"},
		{"the offer taken away", scramPeer{gs2: "y,,"}, 0, "E FATAL 28000 SCRAM channel binding negotiation error"},
		{"chosen and denied", scramPeer{mechanism: scram.MechanismPlus, gs2: "y,,"}, 0, "E FATAL 08P01 malformed SCRAM message"},
		{"chosen and not done", scramPeer{mechanism: scram.MechanismPlus, gs2: "n,,"}, 0, "E FATAL 08P01 malformed SCRAM message"},
		{"done and not chosen", scramPeer{gs2: bound}, 0, "E FATAL 08P01 malformed SCRAM message"},
		{"another kind", scramPeer{mechanism: scram.MechanismPlus, gs2: "p=tls-unique,,"}, 0, `E FATAL 08P01 unsupported SCRAM channel-binding type "tls-unique"`},
		{"no kind", scramPeer{mechanism: scram.MechanismPlus, gs2: "p=,,"}, 0, `E FATAL 08P01 unsupported SCRAM channel-binding type ""`},
		{"header of another flag", scramPeer{mechanism: scram.MechanismPlus, gs2: bound, change: func(w, p string) string {
			_, rest, _ := strings.Cut(w, ",")
			return "c=biws," + rest + ",p=" + p
		}}, 0, "E FATAL 28000 SCRAM channel binding check failed"},
	} {
		for name, addr := range map[string]string{"weir": l.addr, "PostgreSQL": server.Addr()} {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				nc, peer := secret(addr), c.peer
				if strings.HasPrefix(peer.gs2, "p=") {
					peer.binding = bytes.Clone(scram.Binding(nc.ConnectionState().PeerCertificates[0]))
					peer.binding[0] += c.shift
				}
				if got, _ := peer.run(t, nc, "bound", rightPassword); got != c.want {
					t.Errorf("answered %q, want %q", got, c.want)
				}
			})
		}
	}
}

// TestDriversBindTheirLogins: with the hash that each kind of signature asks for, and where there is none.
func TestDriversBindTheirLogins(t *testing.T) {
	rsa, ed := testca.NewWithKey("rsa", testca.RSAKey()), testca.NewWithKey("ed25519", testca.Ed25519Key())
	for _, tt := range []struct {
		name    string
		subject testca.Subject
		ca      *testca.Authority
		bound   bool
	}{
		{"ECDSA with SHA-256", testca.Subject{}, testca.New("ecdsa"), true},
		{"ECDSA with SHA-384", testca.Subject{Signature: x509.ECDSAWithSHA384}, testca.New("ecdsa"), true},
		{"RSA with SHA-256", testca.Subject{}, rsa, true},
		{"RSA with SHA-512", testca.Subject{Signature: x509.SHA512WithRSA}, rsa, true},
		{"RSA-PSS with SHA-256", testca.Subject{Signature: x509.SHA256WithRSAPSS}, rsa, true},
		{"Ed25519", testca.Subject{}, ed, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.subject.CN, tt.subject.DNS = "localhost", []string{"localhost"}
			text := plusTLS(t, tt.subject, tt.ca)
			opt := Options{Verifiers: usualVerifiers(nil), Lookup: users(map[string]string{"app": pencilSCRAM})}
			any := listenTLS(t, opt, text)
			opt.Method = MethodSCRAMPlus
			plus := listenTLS(t, opt, text)
			for _, c := range []struct {
				listener   *tlsListener
				parameters string
				want       string // where there is a binding
				without    string
			}{
				{any, "sslmode=require&channel_binding=require", "secret", "channel binding required"},
				{any, "sslmode=require&channel_binding=prefer", "secret", "secret"},
				{any, "sslmode=require&channel_binding=disable", "secret", "secret"},
				{any, "sslmode=disable", "plain", "plain"},
				{plus, "sslmode=require&channel_binding=require", "secret", "28000 login is not bound"},
				{plus, "sslmode=require&channel_binding=prefer", "secret", "28000 login is not bound"},
				{plus, "sslmode=require&channel_binding=disable", "28000 login is not bound", "28000 login is not bound"},
				{plus, "sslmode=disable", "28000 login is not bound", "28000 login is not bound"},
				{plus, "sslmode=require&channel_binding=require&password=wrong", "28P01 ", "28000 login is not bound"},
			} {
				want := c.want
				if !tt.bound {
					want = c.without
				}
				parameters := c.parameters
				if !strings.Contains(parameters, "password") {
					parameters += "&password=" + rightPassword
				}
				if got := c.listener.connect(parameters); !strings.Contains(got, want) {
					t.Errorf("%s, and a client with %s: %s, want %s", map[*tlsListener]string{any: "any", plus: "plus"}[c.listener], c.parameters, got, want)
				}
			}
			psql(t, any, plus, tt.bound)
		})
	}
}

// psql is the same for libpq.
func psql(t *testing.T, any, plus *tlsListener, bound bool) {
	program, err := exec.LookPath("psql")
	if err != nil {
		t.Log("no psql")
		return
	}
	for _, c := range []struct {
		listener *tlsListener
		binding  string
		in       bool
	}{
		{any, "prefer", true}, {any, "disable", true}, {any, "require", bound}, {plus, "prefer", bound}, {plus, "require", bound}, {plus, "disable", false},
	} {
		if !bound && c.binding != "disable" {
			continue // libpq does not even begin with such a certificate
		}
		cmd := exec.Command(program, "-Xc", "select", "host=localhost hostaddr=127.0.0.1 user=app dbname=shop sslmode=require port="+c.listener.port()+" channel_binding="+c.binding)
		cmd.Env = append(os.Environ(), "PGPASSWORD="+rightPassword, "HOME=/nowhere")
		out, err := cmd.CombinedOutput()
		if (err == nil) != c.in {
			t.Errorf("psql with channel_binding=%s: %s %v", c.binding, out, err)
		}
	}
}

// TestBindingIsNotAskedOfUnixSockets: nobody is in between there.
func TestBindingIsNotAskedOfUnixSockets(t *testing.T) {
	ln, err := net.Listen("unix", t.TempDir()+"/.s.PGSQL.5432")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	l := listenAt(t, ln, Options{Method: MethodSCRAMPlus, Verifiers: usualVerifiers(nil), Lookup: users(map[string]string{"app": rightPassword})})
	c, err := pgconn.Connect(context.Background(), "user=app password="+rightPassword+" dbname=shop host="+strings.TrimSuffix(ln.Addr().String(), "/.s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close(context.Background())
	if out := l.outcome(); out.f != nil {
		t.Error(out.f)
	}
	var refused *pgconn.PgError
	if _, err := pgconn.Connect(context.Background(), "user=app password=wrong dbname=shop host="+strings.TrimSuffix(ln.Addr().String(), "/.s.PGSQL.5432")); !errors.As(err, &refused) || refused.Code != "28P01" {
		t.Error(err)
	}
}
