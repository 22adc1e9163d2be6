package proxy_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"

	"weir/proxy/status"
)

func TestSilentConnectionIsClosedByTheLoginDeadline(t *testing.T) {
	d := database(t)
	w := start(t, d, "[timeouts]\nclient_login_timeout = \"200ms\"")
	c := newClient(t, dialRaw(t, w.Addr))
	if e := c.ExpectClosed(); e != nil {
		t.Errorf("a connection that never spoke was told %v", e)
	}
	eventuallyLogged(t, w, "login failed", "peer="+c.conn.LocalAddr().String(), "reason=timeout")
}

func TestLoginThatStopsHalfWayIsToldWhy(t *testing.T) {
	d := database(t)
	w := start(t, d, `
[auth]
type = "scram-sha-256"
[users.reader]
password = "secret"
[timeouts]
client_login_timeout = "600ms"
`)
	c := newClient(t, dialRaw(t, w.Addr))
	c.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: map[string]string{"user": "reader"}})
	c.expectLastError("57014")
}

// Connections that say nothing cannot keep those out that do.
func TestSilentConnectionsMakeRoomForGoodClients(t *testing.T) {
	d := database(t)
	w := start(t, d, "[limits]\nmax_logins = 4")
	const silent = 40
	for range silent {
		dialRaw(t, w.Addr)
	}
	for range 5 {
		enter(t, w, d).Query("SELECT 1")
	}
	eventually(t, func() string {
		if s := w.Proxy.Snapshot().Logins; s.Shed < silent-4 || s.Now > 4 {
			return "too few are shed"
		}
		return ""
	})
}

// A cancel request needs no place among the logins, all of which go on.
func TestCancelRequestGetsThroughWhereAllLoginsAreTaken(t *testing.T) {
	d := database(t)
	w := start(t, d, "[loops]\ncount = 1\n[limits]\nmax_logins = 1")
	c := enter(t, w, d)
	c.inBackground("SELECT pg_sleep(60)")
	expectActive(t, w, 1)
	held, release := w.Proxy.Hold(0)
	<-held
	first, second := dialRaw(t, w.Addr), dialRaw(t, w.Addr)
	if _, err := first.Write(encode(t, &pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: map[string]string{"user": "x"}})); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Write(cancelPacket(c.pid, binary.BigEndian.AppendUint32(nil, c.secret))); err != nil {
		t.Fatal(err)
	}
	release()
	refused(t, c.Answer().Err(), "57014")
}

// Connections that begin a login and do not go on with it make room as those that say nothing do.
func TestLoginsThatDoNotGoOnMakeRoomForGoodClients(t *testing.T) {
	startup := encode(t, &pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: map[string]string{"user": "reader"}})
	const places = 4
	for what, begin := range map[string]func(c *wireClient){
		"one byte":                     func(c *wireClient) { c.SendBytes(startup[:1]) },
		"half a startup packet":        func(c *wireClient) { c.SendBytes(startup[:len(startup)/2]) },
		"a request for TLS":            func(c *wireClient) { c.SendBytes([]byte{0, 0, 0, 8, 4, 210, 22, 47}) },
		"half a ClientHello":           func(c *wireClient) { c.SendBytes([]byte{22, 3, 1, 2, 0, 1, 0}) },
		"a startup packet":             func(c *wireClient) { c.SendBytes(startup) },
		"half a password":              func(c *wireClient) { c.SendBytes(append(startup, 'p', 0, 0, 0, 50)) },
		"a byte at a time, for always": trickle,
	} {
		t.Run(what, func(t *testing.T) {
			d := database(t)
			w := start(t, d, fmt.Sprintf("[limits]\nmax_logins = %d\n[auth]\ntype = \"hba\"\nhba_file = %q\n[users.reader]\npassword = \"secret\"\n%s",
				places, hbaFile(t), clientTLS(tlsFolder(t), "prefer", "")))
			var begun []*wireClient
			for range places {
				c := newClient(t, dialRaw(t, w.Addr))
				begin(c)
				begun = append(begun, c)
			}
			eventually(t, func() string {
				if n := w.Proxy.Snapshot().Logins.Now; n != places {
					return "they have not arrived"
				}
				return ""
			})
			for range 5 {
				eventually(t, func() string { // some may go on with the login for a moment
					c, err := tryDial(t, w.Addr, d.Server.Superuser(), d.Name)
					if err != nil {
						return err.Error()
					}
					c.Query("SELECT 1")
					return ""
				})
			}
			if shed := w.Proxy.Snapshot().Logins.Shed; shed == 0 {
				t.Error("none made room")
			}
			for _, c := range begun {
				c.Vanish()
			}
		})
	}
}

// hbaFile asks the user reader for a password, and no other.
func hbaFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hba")
	if err := os.WriteFile(path, []byte("host all reader all scram-sha-256\nhost all all all trust\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// trickle sends a startup packet of 10,000 bytes, slowly, until its connection ends.
func trickle(c *wireClient) {
	c.SendBytes([]byte{0, 0, 39, 16, 0, 3, 0, 0})
	go func() {
		for c.TrySendBytes([]byte{'u'}) == nil {
			time.Sleep(time.Millisecond)
		}
	}()
}

// A login that takes its time is not disturbed while there are places.
func TestSlowLoginIsServedWhereThereIsRoom(t *testing.T) {
	d := database(t)
	w := start(t, d, "[limits]\nmax_logins = 2")
	slow := newClient(t, dialRaw(t, w.Addr))
	startup := encode(t, &pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: map[string]string{
		"user": d.Server.Superuser(), "database": d.Name,
	}})
	for i := range startup {
		slow.SendBytes(startup[i : i+1])
		if i%10 == 0 {
			enter(t, w, d).Query("SELECT 1")
		}
	}
	for {
		if _, ready := slow.Receive().(*pgproto3.ReadyForQuery); ready {
			break
		}
	}
	slow.Query("SELECT 1")
}

// A storm of port checks costs nothing and is not worth a line each, nor are checks that send a part of a packet.
func TestHealthChecksAreSilent(t *testing.T) {
	d := database(t)
	w := start(t, d, "")
	checks := []string{"", "\x00", "\x00\x00\x00", "\x00\x00\x00\x20", "\x00\x00\x00\x20\x00\x03\x00\x00us", "\x00\x00\x00\x08\x04\xd2\x16\x2f", "X"}
	const times = 10
	for range times {
		for i, part := range checks {
			nc := dialRaw(t, w.Addr)
			if _, err := nc.Write([]byte(part)); err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 {
				_ = nc.SetLinger(0) // a RST, as HAProxy likes to end its checks
			}
			_ = nc.Close()
		}
	}
	enter(t, w, d).Query("SELECT 1")
	eventually(t, func() string {
		if s := w.Proxy.Snapshot().Logins; s.Now != 0 || s.Failed[status.Gone] != uint64(times*len(checks)) || s.Refused() != 0 {
			return fmt.Sprintf("not all are gone: %+v", s)
		}
		return ""
	})
	if w.Log.Contains("WARN") {
		t.Error("health checks are logged")
	}
}

func eventuallyLogged(t *testing.T, w *weirUnderTest, parts ...string) {
	t.Helper()
	eventually(t, func() string {
		if !w.Log.Contains(parts...) {
			return fmt.Sprintf("no line of the log has %q", parts)
		}
		return ""
	})
}
