package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"weir/config"
	"weir/internal/pgserver"
	"weir/internal/testca"
	"weir/proxy/certs"
	"weir/proxy/socket"
)

// The package's server has a certificate for localhost, not for its address, and roles that it lets in with or without TLS only.
var (
	root       = testca.New("backend's root")
	stranger   = testca.New("stranger")
	serverPair = root.Issue(testca.Subject{CN: "localhost", DNS: []string{"localhost"}})
	tlsHBA     = []string{
		"hostssl all needs_tls all trust",
		"hostnossl all hates_tls all trust",
		"hostssl all certified all cert",
		"host all needs_tls,hates_tls,certified all reject",
	}
)

// serverFiles are those of a server with TLS.
func serverFiles() map[string][]byte {
	return map[string][]byte{"server.crt": serverPair.CertPEM(), "server.key": serverPair.KeyPEM(), "root.crt": root.PEM()}
}

// authority writes an authority's certificate into a file.
func authority(t *testing.T, a *testca.Authority) config.Path {
	return config.Path(a.Write(t.TempDir(), "root"))
}

// identity is a client's certificate, of a role that needs one.
func identity(t *testing.T, a *testca.Authority) config.TLS {
	cert, key := a.Issue(testca.Subject{CN: "certified"}).Write(t.TempDir(), "client")
	return config.TLS{SSLMode: config.SSLRequire, CertFile: config.Path(cert), KeyFile: config.Path(key)}
}

func serverTLS(t *testing.T, settings config.TLS) *certs.Server {
	t.Helper()
	s, err := certs.OpenServers(&config.Config{ServerTLS: settings}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s.Of("any")
}

// TestSSLModesAreLibpqs dials with every mode a server that likes both, one that insists on TLS, one that refuses it, and one
// that has none.
func TestSSLModesAreLibpqs(t *testing.T) {
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	d := pgserver.ForTest(t)
	for _, role := range []string{"needs_tls", "hates_tls", "certified"} {
		_ = d.Server.Exec(context.Background(), "postgres", "CREATE ROLE "+role+" LOGIN")
	}
	likes := targetOf(d)
	likes.Host = "localhost"
	as := func(user string) Target {
		to := likes
		to.User, to.Password = user, ""
		return to
	}
	none := withoutTLS(t)
	address := likes
	address.Host = "127.0.0.1"
	unix := likes
	unix.Host = d.Server.SocketDir()
	mode := func(m config.SSLMode) config.TLS { return config.TLS{SSLMode: m} }
	with := func(m config.SSLMode, ca config.Path) config.TLS { return config.TLS{SSLMode: m, CAFile: ca} }
	rootFile, strangerFile := authority(t, root), authority(t, stranger)
	const plain, secret = "false", "true" // pg_stat_ssl.ssl
	for _, tt := range []struct {
		name string
		to   Target
		tls  config.TLS
		want string // plain, secret, or what the error says
	}{
		{"disable", likes, mode(config.SSLDisable), plain},
		{"allow", likes, mode(config.SSLAllow), plain},
		{"prefer", likes, mode(config.SSLPrefer), secret},
		{"require", likes, mode(config.SSLRequire), secret},
		{"require, right authority", likes, with(config.SSLRequire, rootFile), secret},
		{"require, wrong authority", likes, with(config.SSLRequire, strangerFile), "unknown authority"},
		{"verify-ca", likes, with(config.SSLVerifyCA, rootFile), secret},
		{"verify-ca, wrong authority", likes, with(config.SSLVerifyCA, strangerFile), "unknown authority"},
		{"verify-ca, wrong name", address, with(config.SSLVerifyCA, rootFile), secret},
		{"verify-full", likes, with(config.SSLVerifyFull, rootFile), secret},
		{"verify-full, wrong authority", likes, with(config.SSLVerifyFull, strangerFile), "unknown authority"},
		{"verify-full, wrong name", address, with(config.SSLVerifyFull, rootFile), "127.0.0.1"},
		{"verify-full, unix socket", unix, with(config.SSLVerifyFull, strangerFile), plain},
		{"prefer with a ca_file does not verify", likes, with(config.SSLPrefer, strangerFile), secret},

		{"disable, server insists", as("needs_tls"), mode(config.SSLDisable), "no encryption"},
		{"allow, server insists", as("needs_tls"), mode(config.SSLAllow), secret},
		{"prefer, server insists", as("needs_tls"), mode(config.SSLPrefer), secret},
		{"allow, server refuses", as("hates_tls"), mode(config.SSLAllow), plain},
		{"prefer, server refuses", as("hates_tls"), mode(config.SSLPrefer), plain},
		{"require, server refuses", as("hates_tls"), mode(config.SSLRequire), "SSL encryption"},

		{"allow, server has none", none, mode(config.SSLAllow), plain},
		{"prefer, server has none", none, mode(config.SSLPrefer), plain},
		{"require, server has none", none, mode(config.SSLRequire), "the server offers no TLS, and sslmode in [server_tls] demands it"},

		{"certificate", as("certified"), identity(t, root), secret},
		{"no certificate", as("certified"), mode(config.SSLRequire), "requires a valid client certificate"},
		{"certificate of a stranger", as("certified"), identity(t, stranger), "unknown certificate authority"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			to := tt.to
			to.TLS = serverTLS(t, tt.tls)
			c, err := Dial(context.Background(), to)
			if err != nil {
				var failed *DialError
				if tt.name == "certificate of a stranger" && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)) {
					return // the server had closed the connection before it could be told who logs in, and its alert is lost
				}
				if !errors.As(err, &failed) || !strings.Contains(failed.Cause(), tt.want) || failed.Kind != Refused {
					t.Errorf("%v; want %s", err, tt.want)
				}
				return
			}
			defer func() { _ = c.Net.Close() }()
			got := plain
			if to.Port != none.Port {
				got = query(t, c, "select ssl::text from pg_stat_ssl where pid = pg_backend_pid()")
			}
			if got != tt.want || (c.TLS != nil) != (got == secret) {
				t.Errorf("encrypted: %s, with adapter %t; want %s", got, c.TLS != nil, tt.want)
			}
		})
	}
}

// withoutTLS is a scripted server without TLS.
func withoutTLS(t *testing.T) Target {
	return serve(t, func(nc net.Conn) {
		if packet := readPacket(t, nc, true); len(packet) == 4 { // SSLRequest
			send(nc, "N")
			readPacket(t, nc, true)
		}
		send(nc, authOK, keyData, ready)
		readPacket(t, nc, false)
	})
}

// TestServerWithoutTLSIsAskedOnce: the connection on which it has declined goes on, as libpq's does.
func TestServerWithoutTLSIsAskedOnce(t *testing.T) {
	var connections atomic.Int32
	to := serve(t, func(nc net.Conn) {
		connections.Add(1)
		readPacket(t, nc, true)
		send(nc, "N")
		if readPacket(t, nc, true) != "" {
			send(nc, authOK, keyData, ready)
			readPacket(t, nc, false)
		}
	})
	for mode, wanted := range map[config.SSLMode]bool{config.SSLPrefer: true, config.SSLRequire: false} {
		connections.Store(0)
		to.TLS = serverTLS(t, config.TLS{SSLMode: mode})
		c, err := Dial(context.Background(), to)
		if (err == nil) != wanted {
			t.Errorf("%s: %v", mode, err)
		}
		if err == nil {
			_ = c.Net.Close()
		}
		if n := connections.Load(); n != 1 {
			t.Errorf("%s: %d connections", mode, n)
		}
	}
}

// withTLS is a scripted server with TLS only.
func withTLS(t *testing.T, c *tls.Config, script func(net.Conn)) Target {
	return serve(t, func(nc net.Conn) {
		if packet := readPacket(t, nc, true); packet == "" {
			return
		}
		send(nc, "S")
		c.Certificates = []tls.Certificate{serverPair.TLS()}
		top := tls.Server(nc, c)
		if top.Handshake() != nil {
			return
		}
		script(top)
	})
}

func TestOldTLSIsRefused(t *testing.T) {
	to := withTLS(t, &tls.Config{MaxVersion: tls.VersionTLS12}, func(nc net.Conn) {
		readPacket(t, nc, true)
		send(nc, authOK, keyData, ready)
	})
	for version, wanted := range map[config.TLSVersion]bool{config.TLS12: true, config.TLS13: false} {
		to.TLS = serverTLS(t, config.TLS{SSLMode: config.SSLRequire, MinVersion: version})
		c, err := Dial(context.Background(), to)
		if (err == nil) != wanted {
			t.Errorf("%s at least: %v", version, err)
		}
		if err == nil {
			_ = c.Net.Close()
		}
	}
}

// TestOneRefusalIsEnough: what has nothing to do with TLS is not asked twice.
func TestOneRefusalIsEnough(t *testing.T) {
	for name, code := range map[string]string{"password": "28P01", "full": "53300", "starting": "57P03", "no database": "3D000"} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			to := withTLS(t, &tls.Config{}, func(nc net.Conn) {
				asked.Add(1)
				readPacket(t, nc, true)
				send(nc, message('E', "SFATAL\x00VFATAL\x00C"+code+"\x00Mno\x00\x00"))
			})
			to.TLS = serverTLS(t, config.TLS{SSLMode: config.SSLPrefer})
			if _, err := Dial(context.Background(), to); err == nil || asked.Load() != 1 {
				t.Errorf("asked %d times: %v", asked.Load(), err)
			}
		})
	}
}

// TestNothingIsLostOverTLS: what the server says in the write that ends the login is the loop's to read, in the same record or in
// the next.
func TestNothingIsLostOverTLS(t *testing.T) {
	to := withTLS(t, &tls.Config{}, func(nc net.Conn) {
		readPacket(t, nc, true)
		send(nc, authOK, keyData, ready, notice("NOTICE", "hello"))
		send(nc, "another record, ")
		if strings.HasPrefix(readPacket(t, nc, false), "select") {
			send(nc, "the very next bytes")
		}
	})
	to.TLS = serverTLS(t, config.TLS{SSLMode: config.SSLRequire})
	c := mustDial(t, to)
	send(c.stream(), message('Q', "select\x00"))
	if before := readOnLoop(t, c, "the very next bytes"); before != notice("NOTICE", "hello")+"another record, " {
		t.Errorf("before them came %q", before)
	}
}

// readOnLoop reads as a loop does until the end has come, and returns what was before it.
func readOnLoop(t *testing.T, c *Conn, end string) string {
	t.Helper()
	fd, err := socket.Detach(c.Net)
	if err != nil {
		t.Fatal(err)
	}
	conn := socket.NewTLS(fd, c.TLS)
	var shared socket.IO
	defer conn.Close(&shared)
	var got []byte
	b := make([]byte, 64<<10)
	for deadline := time.Now().Add(30 * time.Second); !strings.HasSuffix(string(got), end); {
		n, err := conn.Read(&shared, b)
		got = append(got, b[:n]...)
		if err != nil && !errors.Is(err, socket.ErrWouldBlock) || time.Now().After(deadline) {
			t.Fatalf("read %q, %v", got, err)
		}
		if err != nil {
			time.Sleep(time.Millisecond)
		}
	}
	return strings.TrimSuffix(string(got), end)
}

// TestCancelPrefersTLS looks at what a server gets that has TLS, and at one that has not.
func TestCancelPrefersTLS(t *testing.T) {
	got := make(chan string, 1)
	secret := withTLS(t, &tls.Config{}, func(nc net.Conn) { got <- "secret " + readPacket(t, nc, true) })
	plain := serve(t, func(nc net.Conn) {
		packet := readPacket(t, nc, true)
		if len(packet) == 4 {
			send(nc, "N")
			if packet = readPacket(t, nc, true); packet == "" {
				return
			}
		}
		got <- "plain " + packet
	})
	for name, tt := range map[string]struct {
		to   Target
		mode config.SSLMode
		want string
	}{
		"prefer":               {secret, config.SSLPrefer, "secret "},
		"require":              {secret, config.SSLRequire, "secret "},
		"disable":              {plain, config.SSLDisable, "plain "},
		"allow":                {plain, config.SSLAllow, "plain "},
		"prefer without TLS":   {plain, config.SSLPrefer, "plain "},
		"require without TLS":  {plain, config.SSLRequire, ""},
		"verify-full, address": {secret, config.SSLVerifyFull, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tt.to.TLS = serverTLS(t, config.TLS{SSLMode: tt.mode, CAFile: map[bool]config.Path{true: authority(t, root)}[tt.mode == config.SSLVerifyFull]})
			err := Cancel(context.Background(), tt.to, 7, []byte{1, 2, 3, 4})
			if tt.want == "" {
				if err == nil {
					t.Error("the request was sent")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if packet := <-got; !strings.HasPrefix(packet, tt.want) || !strings.HasSuffix(packet, "\x00\x00\x00\x07\x01\x02\x03\x04") {
				t.Errorf("the server got %q", packet)
			}
		})
	}
}

func TestMissingFileIsNamed(t *testing.T) {
	missing := config.Path(filepath.Join(t.TempDir(), "none.crt"))
	_, err := certs.OpenServers(&config.Config{ServerTLS: config.TLS{CAFile: missing}}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "[server_tls]: open "+string(missing)) {
		t.Error(err)
	}
}
