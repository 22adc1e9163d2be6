package backend

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"weir/config"
	"weir/internal/pgserver"
	"weir/proxy/scram"
)

// The package's server asks most for SCRAM, and these roles for something else.
var authHBA = []string{
	"host all hashed all md5",
	"host all asked_clearly all password",
}

const appPassword = "app's own password"

// roles makes them, and returns the verifier that the server has stored for app.
func roles(t *testing.T) (*pgserver.Database, scram.Verifier) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	d := pgserver.ForTest(t)
	literal := "'" + strings.ReplaceAll(appPassword, "'", "''") + "'"
	d.Exec(t,
		"create role app login password "+literal, "create role asked_clearly login password "+literal,
		"set password_encryption = 'md5'", "create role hashed login password "+literal, "create role hashed_asked_scram login password "+literal)
	t.Cleanup(func() {
		d.Exec(t, "drop role app", "drop role asked_clearly", "drop role hashed", "drop role hashed_asked_scram")
	})
	v, ok := scram.ParseVerifier(stored(t, d, "app"))
	if !ok {
		t.Fatal("the server has no verifier of app")
	}
	return d, v
}

// stored is what pg_authid has for a role.
func stored(t *testing.T, d *pgserver.Database, role string) string {
	t.Helper()
	c := mustDial(t, targetOf(d))
	return query(t, c, "select rolpassword from pg_authid where rolname = '"+role+"'")
}

// TestKeysLogInWithoutThePassword: the keys of the server's own verifier carry a login, with and without TLS, among others that
// do not fit, and the connection is at rest as after any login.
func TestKeysLogInWithoutThePassword(t *testing.T) {
	d, v := roles(t)
	_, keys := scram.Derive(appPassword, v.Salt, v.Iterations)
	_, others := scram.Derive(appPassword, []byte("another salt"), 4096)
	for name, mode := range map[string]config.SSLMode{"plain": config.SSLDisable, "TLS": config.SSLRequire} {
		for range 3 {
			to := targetOf(d)
			to.User, to.Password = "app", ""
			to.Substitutes = Substitutes{Verifier: true, Keys: []scram.Keys{others, keys}}
			to.TLS = serverTLS(t, config.TLS{SSLMode: mode})
			c := mustDial(t, to)
			if (c.TLS != nil) != (mode == config.SSLRequire) {
				t.Errorf("%s: TLS %v", name, c.TLS != nil)
			}
			if got := query(t, c, "select current_user || ' ' || pg_backend_pid()"); got != fmt.Sprintf("app %d", c.PID) {
				t.Errorf("%s: the backend answers %q", name, got)
			}
		}
	}
}

func TestHashLogsInWhereTheServerAsksForMD5(t *testing.T) {
	d, _ := roles(t)
	to := targetOf(d)
	to.User, to.Password = "hashed", ""
	to.Substitutes = Substitutes{MD5: config.NewSecret(stored(t, d, "hashed"))}
	if got := query(t, mustDial(t, to), "select current_user"); got != "hashed" {
		t.Errorf("the backend answers %q", got)
	}
	to.Substitutes.MD5 = config.NewSecret("md5" + strings.Repeat("0", 32))
	var failed *DialError
	if _, err := Dial(context.Background(), to); !errors.As(err, &failed) || failed.SQLState() != "28P01" || failed.Kind != Refused {
		t.Errorf("with a wrong hash: %v", err)
	}
}

// TestLoginSaysWhatItLacks: what weir knows cannot answer what the server asks, and the error says which and why.
func TestLoginSaysWhatItLacks(t *testing.T) {
	d, v := roles(t)
	_, others := scram.Derive(appPassword, []byte("another salt"), v.Iterations)
	verifier := Substitutes{Verifier: true}
	hash := Substitutes{MD5: config.NewSecret(stored(t, d, "hashed"))}
	for _, c := range []struct {
		user  string
		known Substitutes
		lack  Lack
		text  string
	}{
		{"app", Substitutes{}, LackPassword, `the server asks for scram-sha-256, and weir has no password of user "app"`},
		{"app", verifier, LackKeys, `the server asks for scram-sha-256, and weir has only a SCRAM verifier of user "app", whose key no client's login has shown yet`},
		{"app", Substitutes{Verifier: true, Keys: []scram.Keys{others}}, LackFit, `the server asks for scram-sha-256, and its verifier of user "app" is not the one that weir has`},
		{"app", hash, LackClear, `the server asks for scram-sha-256, for which what weir has stored for user "app" does not serve`},
		{"hashed", verifier, LackClear, `the server asks for md5, for which what weir has stored for user "hashed" does not serve`},
		{"hashed", Substitutes{}, LackPassword, `the server asks for md5, and weir has no password of user "hashed"`},
		{"asked_clearly", hash, LackClear, `the server asks for the password in clear text, for which what weir has stored for user "asked_clearly" does not serve`},
		{"asked_clearly", Substitutes{}, LackPassword, `the server asks for the password in clear text, and weir has no password of user "asked_clearly"`},
		// The server feigns a verifier for a user that cannot pass, with a salt of its own.
		{"hashed_asked_scram", Substitutes{Keys: []scram.Keys{others}}, LackFit, `the server asks for scram-sha-256, and its verifier of user "hashed_asked_scram" is not the one that weir has`},
	} {
		to := targetOf(d)
		to.User, to.Password, to.Substitutes = c.user, "", c.known
		_, err := Dial(context.Background(), to)
		var failed *DialError
		if !errors.As(err, &failed) || failed.Lacking() == nil {
			t.Errorf("%s: %v", c.user, err)
			continue
		}
		if failed.Lacking().Lack != c.lack || failed.Cause() != c.text || failed.Kind != Refused || !strings.HasSuffix(failed.Error(), ": "+c.text) {
			t.Errorf("%s: %v, %v: %s\nwant %v: %s", c.user, failed.Kind, failed.Lacking().Lack, failed, c.lack, c.text)
		}
	}
}

// TestWrongKeysAreRefusedByTheServer: the salt fits, the password is another.
func TestWrongKeysAreRefusedByTheServer(t *testing.T) {
	d, v := roles(t)
	_, keys := scram.Derive("not it", v.Salt, v.Iterations)
	to := targetOf(d)
	to.User, to.Password, to.Substitutes = "app", "", Substitutes{Keys: []scram.Keys{keys}}
	var failed *DialError
	if _, err := Dial(context.Background(), to); !errors.As(err, &failed) || failed.SQLState() != "28P01" || failed.Lacking() != nil {
		t.Errorf("%v", err)
	}
}

// saslServer is a scripted server's side of an exchange.
type saslServer struct {
	v     scram.Verifier
	offer string // of mechanisms
	// What it does otherwise than it should; each may be nil.
	first, final func(string) string // changes its messages; "" is to skip it
	said         []string            // what the client has sent
}

func (s *saslServer) run(t *testing.T, nc net.Conn) {
	send(nc, message('R', "\x00\x00\x00\x0a"+s.offer+"\x00"))
	initial := readPacket(t, nc, false)
	s.said = append(s.said, initial)
	_, clientFirst, _ := strings.Cut(initial, "n=,r=")
	nonce := clientFirst + "server"
	first := "r=" + nonce + ",s=" + base64.StdEncoding.EncodeToString(s.v.Salt) + ",i=" + fmt.Sprint(s.v.Iterations)
	if s.first != nil {
		if first = s.first(first); first == "" {
			return
		}
	}
	send(nc, message('R', "\x00\x00\x00\x0b"+first))
	final := readPacket(t, nc, false)
	s.said = append(s.said, final)
	withoutProof, _, _ := strings.Cut(final, ",p=")
	auth := "n=,r=" + clientFirst + "," + first + "," + withoutProof
	last := "v=" + base64.StdEncoding.EncodeToString(s.v.Signature(auth))
	if s.final != nil {
		last = s.final(last)
	}
	if last != "" {
		send(nc, message('R', "\x00\x00\x00\x0c"+last))
	}
}

// TestServerMustProveItself: one that only pretends to know the verifier is not logged in to, whatever it says.
func TestServerMustProveItself(t *testing.T) {
	v, keys := scram.Derive(appPassword, []byte("salt"), 4096)
	wrong, _ := scram.Derive("wrong", []byte("salt"), 4096)
	for name, c := range map[string]struct {
		server saslServer
		want   string // of the cause; "" is a login
	}{
		"right":             {saslServer{v: v}, ""},
		"another verifier":  {saslServer{v: wrong}, "a machine in between"},
		"no proof":          {saslServer{v: v, final: func(string) string { return "" }}, "before it had proved"},
		"an error":          {saslServer{v: v, final: func(string) string { return "e=invalid-proof" }}, "invalid-proof"},
		"nonsense at last":  {saslServer{v: v, final: func(string) string { return "v=" }}, "a machine in between"},
		"nonsense at first": {saslServer{v: v, first: func(string) string { return "r=x" }}, "malformed"},
		"another nonce":     {saslServer{v: v, first: func(s string) string { return "r=x" + s[2:] }}, "nonce"},
	} {
		t.Run(name, func(t *testing.T) {
			to := serve(t, func(nc net.Conn) {
				readPacket(t, nc, true)
				s := c.server
				s.offer = scram.Mechanism + "\x00"
				s.run(t, nc)
				send(nc, authOK, keyData, ready)
				readPacket(t, nc, false)
			})
			to.Substitutes = Substitutes{Keys: []scram.Keys{keys}}
			conn, err := Dial(context.Background(), to)
			var failed *DialError
			switch {
			case err == nil:
				_ = conn.Net.Close()
				if c.want != "" {
					t.Error("logged in")
				}
			case !errors.As(err, &failed) || c.want == "" || !strings.Contains(failed.Cause(), c.want):
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestExchangeIsBoundToTLS: a server that offers it gets the hash of its certificate, from keys and from a password alike.
func TestExchangeIsBoundToTLS(t *testing.T) {
	v, keys := scram.Derive(appPassword, []byte("salt"), 4096)
	both := scram.MechanismPlus + "\x00" + scram.Mechanism + "\x00"
	for _, c := range []struct{ offer, password, want, header string }{
		{both, "", scram.MechanismPlus, "p=tls-server-end-point,,"},
		{both, appPassword, scram.MechanismPlus, "p=tls-server-end-point,,"},
		{scram.Mechanism + "\x00", "", scram.Mechanism, "y,,"},
		{scram.Mechanism + "\x00", appPassword, scram.Mechanism, "y,,"},
	} {
		s := &saslServer{v: v, offer: c.offer}
		to := withTLS(t, &tls.Config{}, func(nc net.Conn) {
			readPacket(t, nc, true)
			s.run(t, nc)
			send(nc, authOK, keyData, ready)
			readPacket(t, nc, false)
		})
		to.TLS = serverTLS(t, config.TLS{SSLMode: config.SSLRequire})
		if to.Password = c.password; c.password == "" {
			to.Substitutes = Substitutes{Keys: []scram.Keys{keys}}
		}
		mustDial(t, to)
		binding := []byte(c.header)
		if c.want == scram.MechanismPlus {
			binding = append(binding, scram.Binding(serverPair.Certificate)...)
		}
		if !strings.HasPrefix(s.said[0], c.want+"\x00") || !strings.Contains(s.said[0], c.header+"n=,r=") {
			t.Errorf("offered %q, weir began with %q", c.offer, s.said[0])
		}
		if want := "c=" + base64.StdEncoding.EncodeToString(binding) + ","; !strings.HasPrefix(s.said[1], want) {
			t.Errorf("weir's final message is %q, want it to begin with %q", s.said[1], want)
		}
	}
}

// TestKeysAreGivenToNobody: a server, or somebody in its place, that asks for the password itself, or for md5, hears nothing.
func TestKeysAreGivenToNobody(t *testing.T) {
	_, keys := scram.Derive(appPassword, []byte("salt"), 4096)
	for name, question := range map[string]string{"clear": "\x00\x00\x00\x03", "md5": "\x00\x00\x00\x05salt", "SASL of another kind": "\x00\x00\x00\x0aOAUTHBEARER\x00\x00"} {
		heard := make(chan string, 1)
		to := serve(t, func(nc net.Conn) {
			readPacket(t, nc, true)
			send(nc, message('R', question))
			heard <- readPacket(t, nc, false)
		})
		to.Substitutes = Substitutes{Keys: []scram.Keys{keys}, MD5: config.Secret{}}
		if c, err := Dial(context.Background(), to); err == nil {
			_ = c.Net.Close()
			t.Errorf("%s: logged in", name)
		}
		if got := <-heard; got != "" {
			t.Errorf("%s: the server heard %q", name, got)
		}
	}
}

// TestSilenceInTheExchangeMeetsTheDeadline: at each step.
func TestSilenceInTheExchangeMeetsTheDeadline(t *testing.T) {
	v, keys := scram.Derive(appPassword, []byte("salt"), 4096)
	silent := func(string) string { return "" }
	for name, s := range map[string]saslServer{
		"after the client's first message": {v: v, first: silent},
		"after its proof":                  {v: v, final: silent},
	} {
		gone := make(chan struct{})
		to := serve(t, func(nc net.Conn) {
			readPacket(t, nc, true)
			server := s
			server.offer = scram.Mechanism + "\x00"
			server.run(t, nc)
			readPacket(t, nc, false) // until the dial gives up
			close(gone)
		})
		to.ConnectTimeout = 50 * time.Millisecond
		to.Substitutes = Substitutes{Keys: []scram.Keys{keys}}
		var failed *DialError
		if _, err := Dial(context.Background(), to); !errors.As(err, &failed) || failed.Kind != Timeout {
			t.Errorf("%s: %v, want a timeout", name, err)
		}
		<-gone
	}
}
