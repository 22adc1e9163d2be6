package proxy_test

import (
	"net"
	"testing"

	"github.com/jackc/pgproto3/v2"
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
client_login_timeout = "200ms"
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

// Connections that do speak, but never to the end, are not shed for others: those are turned away, until the deadline.
func TestFullHouseOfHalfLoginsEndsWithTheDeadline(t *testing.T) {
	d := database(t)
	w := start(t, d, "[limits]\nmax_logins = 2\n[timeouts]\nclient_login_timeout = \"500ms\"")
	for range 2 {
		c := newClient(t, dialRaw(t, w.Addr))
		c.SendBytes([]byte{0, 0, 0})
	}
	eventually(t, func() string {
		c, err := tryDial(t, w.Addr, d.Server.Superuser(), d.Name)
		if err != nil {
			return err.Error()
		}
		c.Query("SELECT 1")
		return ""
	})
}

// A storm of port checks costs nothing and is not worth a line each.
func TestPortChecksAreSilent(t *testing.T) {
	d := database(t)
	w := start(t, d, "")
	for range 50 {
		nc, err := net.Dial("tcp", w.Addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.Close()
	}
	enter(t, w, d).Query("SELECT 1")
	eventually(t, func() string {
		if s := w.Proxy.Snapshot().Logins; s.Now != 0 || s.Failed["gone"] != 50 {
			return "not all are gone"
		}
		return ""
	})
	if w.Log.Contains("login failed") {
		t.Error("port checks are logged")
	}
}

func eventuallyLogged(t *testing.T, w *weirUnderTest, parts ...string) {
	t.Helper()
	eventually(t, func() string {
		if !w.Log.Contains(parts...) {
			return "no line of the log has all of these"
		}
		return ""
	})
}
