package proxy_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"
	"github.com/jackc/pgx/v5"
)

// readAll reads what the peer says until it closes; a reset counts as a close.
func readAll(t *testing.T, nc net.Conn) string {
	t.Helper()
	_ = nc.SetReadDeadline(time.Now().Add(patience))
	p, err := io.ReadAll(nc)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Fatal("the connection stays open")
	}
	return string(p)
}

// What is no login is closed in silence, with a line in the log, and nobody else notices.
func TestGarbageOnThePort(t *testing.T) {
	d := database(t)
	w := start(t, d, inPlainText)
	good := enter(t, w, d)
	for name, p := range map[string]string{
		"random bytes":          "\xde\xad\xbe\xef and more of them",
		"an HTTP request":       "GET / HTTP/1.1\r\nHost: weir\r\n\r\n",
		"a TLS handshake":       "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"2 GB of startup":       "\x7f\xff\xff\xff\x00\x03\x00\x00user\x00",
		"4 GB of startup":       "\xff\xff\xff\xff\x00\x03\x00\x00user\x00",
		"a length of 0":         "\x00\x00\x00\x00",
		"a length below 8":      "\x00\x00\x00\x07abc",
		"a startup of 10,005":   "\x00\x00\x27\x15\x00\x03\x00\x00user\x00",
		"a short cancel packet": "\x00\x00\x00\x08\x04\xd2\x16\x2e",
	} {
		t.Run(name, func(t *testing.T) {
			nc := dialRaw(t, w.Addr)
			if _, err := nc.Write([]byte(p)); err != nil {
				t.Fatal(err)
			}
			if got := readAll(t, nc); got != "" {
				t.Errorf("it was answered: %q", got)
			}
			eventuallyLogged(t, w, "login failed", "peer="+nc.LocalAddr().String(), "reason=malformed")
		})
		good.Query("SELECT 1")
	}
	eventuallyLogged(t, w, "HTTP")
	eventuallyLogged(t, w, "TLS")
}

// Startup packets that are one, but ask for what there is not, are told so.
func TestStartupPacketsThatAreRefused(t *testing.T) {
	d := database(t)
	w := start(t, d, "[databases.only]\nhost = \"127.0.0.1\"\nport = 1\n")
	packet := func(version uint32, params string) []byte {
		p := binary.BigEndian.AppendUint32(nil, uint32(8+len(params)))
		return append(binary.BigEndian.AppendUint32(p, version), params...)
	}
	for name, c := range map[string]struct {
		p    []byte
		code string
	}{
		"no terminator":    {packet(3<<16, "user\x00a\x00"), "08P01"},
		"no user":          {packet(3<<16, "database\x00only\x00\x00"), "28000"},
		"protocol 4":       {packet(4<<16, "user\x00a\x00\x00"), "0A000"},
		"replication odd":  {packet(3<<16, "user\x00a\x00database\x00only\x00replication\x00maybe\x00\x00"), "22023"},
		"unknown database": {packet(3<<16, "user\x00a\x00database\x00nowhere\x00\x00"), "3D000"},
		"odd setting":      {packet(3<<16, "user\x00a\x00database\x00only\x00a b\x00c\x00\x00"), "42704"},
		"odd options":      {packet(3<<16, "user\x00a\x00database\x00only\x00options\x00-x\x00\x00"), "42601"},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, dialRaw(t, w.Addr))
			client.SendBytes(c.p)
			client.expectLastError(c.code)
			eventuallyLogged(t, w, "login failed", "peer="+client.conn.LocalAddr().String())
		})
	}
}

// Libraries that a session is to begin with would not be loaded, for the server's process has begun: whoever asks for them is told.
func TestLibrariesForTheBeginningAreRefused(t *testing.T) {
	d := database(t)
	w := start(t, d, "")
	for _, params := range [][]string{{"Session_Preload_Libraries", "auto_explain"}, {"options", "-c local_preload_libraries=x"}} {
		_, err := tryDial(t, w.Addr, d.Server.Superuser(), d.Name, params...)
		if e := refused(t, err, "55P02"); !strings.Contains(strings.ToLower(e.Message), "preload_libraries") {
			t.Errorf("%q: told %q", params, e.Message)
		}
	}
	if c := enter(t, w, d); c.Run("SET session_preload_libraries = 'auto_explain'").Err() != nil {
		t.Error("SET is refused, which does nothing directly, either")
	}
}

// What a logged-in client must not send ends that client alone, also in the middle of others' work.
func TestBytesThatAreNoMessagesEndTheirClientOnly(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 2")
	good := enter(t, w, d)
	cases := map[string]struct {
		p    string
		told bool // what exactly, the scripts say
	}{
		"unknown type":      {"\x00\x00\x00\x00\x04", true},
		"a server's type":   {"Z\x00\x00\x00\x05I", true},
		"a password":        {"p\x00\x00\x00\x05\x00", true},
		"length 0":          {"Q\x00\x00\x00\x00", false},
		"length 3":          {"S\x00\x00\x00\x03", false},
		"beyond the limit":  {"S\x00\x00\x27\x11", false},
		"2 GB":              {"Q\x7f\xff\xff\xff", false},
		"4 GB":              {"d\xff\xff\xff\xff", false},
		"behind a good one": {"Q\x00\x00\x00\x0dSELECT 1\x00\x01\x01\x01\x01\x01", true},
	}
	for _, inTransaction := range []bool{false, true} {
		for name, c := range cases {
			client := enter(t, w, d)
			if inTransaction {
				client.Query("BEGIN")
			}
			client.SendBytes([]byte(c.p))
			e := client.ExpectClosed()
			if c.told && (e == nil || e.Code != "08P01") {
				t.Errorf("%s: told %v", name, e)
			}
			if !inTransaction { // later lines may be left out
				eventuallyLogged(t, w, "protocol violation", client.conn.LocalAddr().String())
			}
			good.Query("SELECT 1")
		}
	}
}

// What strangers cause is logged at most ten times a second, and what is left out is counted.
func TestStrangersCannotFillTheLog(t *testing.T) {
	d := database(t)
	w := start(t, d, "")
	const strangers = 200
	began := time.Now()
	for range strangers {
		nc := dialRaw(t, w.Addr)
		_, _ = nc.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	}
	eventually(t, func() string {
		if n := w.Proxy.Snapshot().Logins.Failed["malformed"]; n != strangers {
			return fmt.Sprintf("%d failed", n)
		}
		return ""
	})
	seconds := int(time.Since(began)/time.Second) + 2
	if n := strings.Count(w.Log.String(), "login failed"); n == 0 || n > 10*seconds {
		t.Errorf("%d lines in less than %d seconds", n, seconds)
	}
	eventually(t, func() string { // the next line that is written says how many were not
		_, _ = dialRaw(t, w.Addr).Write([]byte("GET / HTTP/1.1\r\n\r\n"))
		if !w.Log.Contains("lines_left_out=") {
			return "nothing says how many lines were left out"
		}
		return ""
	})
}

// Clients that misbehave after login can be as many as strangers.
func TestViolationsCannotFillTheLog(t *testing.T) {
	d := database(t)
	w := startAsUsual(t, d, "[loops]\ncount = 1") // the limit is each loop's
	began := time.Now()
	for range 60 {
		c := enter(t, w, d)
		c.SendBytes([]byte("\x00\x00\x00\x00\x04"))
		c.ExpectClosed()
	}
	seconds := int(time.Since(began)/time.Second) + 2
	if n := strings.Count(w.Log.String(), "protocol violation"); n == 0 || n > 10*seconds {
		t.Errorf("%d lines in less than %d seconds", n, seconds)
	}
}

func TestEncryptionRequestsAreDeclined(t *testing.T) {
	d := database(t)
	w := start(t, d, inPlainText)
	c := newClient(t, dialRaw(t, w.Addr))
	for _, code := range []uint32{80877104, 80877103} { // GSSENC, SSL
		c.SendBytes(binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8}, code))
		var answer [1]byte
		_ = c.conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(c.reader, answer[:]); err != nil || answer[0] != 'N' {
			t.Fatalf("got %q, %v", answer, err)
		}
	}
	c.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: map[string]string{
		"user": d.Server.Superuser(), "database": d.Name,
	}})
	c.Answer()
	c.Query("SELECT 1")
}

// Each method lets the right password in with a real driver, and says the same to a wrong password as to no such user.
func TestAuthenticationMethods(t *testing.T) {
	d := database(t)
	for _, method := range []string{"password", "md5", "scram-sha-256"} {
		t.Run(method, func(t *testing.T) {
			w := start(t, d, fmt.Sprintf(`
[auth]
type = %q
[users.%s]
password = "right"
`, method, d.Server.Superuser()))
			dsn := func(user, password string) string {
				u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: w.Addr, Path: d.Name, RawQuery: "sslmode=prefer"}
				return u.String()
			}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			conn, err := pgx.Connect(ctx, dsn(d.Server.Superuser(), "right"))
			if err != nil {
				t.Fatal(err)
			}
			var n int
			if err := conn.QueryRow(ctx, "SELECT $1::int + 1", 41).Scan(&n); err != nil || n != 42 {
				t.Errorf("%d, %v", n, err)
			}
			_ = conn.Close(ctx)
			for user, reason := range map[string]string{d.Server.Superuser(): "wrong_password", "nobody": "no_such_user"} {
				_, err := pgx.Connect(ctx, dsn(user, "wrong"))
				want := fmt.Sprintf(`FATAL: password authentication failed for user "%s" (SQLSTATE 28P01)`, user)
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v", user, err)
				}
				eventuallyLogged(t, w, "login failed", "reason="+reason, "user="+user)
			}
		})
	}
}

// A line of the log must not break at what a stranger calls himself.
func TestStrangersNameCannotForgeALogLine(t *testing.T) {
	d := database(t)
	w := start(t, d, "[auth]\ntype = \"password\"\n")
	c := newClient(t, dialRaw(t, w.Addr))
	c.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: map[string]string{
		"user": "x\nlevel=INFO msg=\"weir has stopped\"", "database": d.Name,
	}})
	c.Receive()
	c.Send(&pgproto3.PasswordMessage{Password: "x"})
	c.expectLastError("28P01")
	eventuallyLogged(t, w, "login failed")
	for line := range strings.Lines(w.Log.String()) {
		if !strings.HasPrefix(line, "time=") {
			t.Errorf("a line that weir did not write: %q", line)
		}
	}
}
