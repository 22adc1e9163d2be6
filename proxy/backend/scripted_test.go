package backend

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"weir/proxy/wire"
)

// A scripted server: real enough for a login, wrong where the test says so.

// message makes a message of the protocol.
func message(kind byte, body string) string {
	return string(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))) + body
}

const (
	authOK  = "R\x00\x00\x00\x08\x00\x00\x00\x00"
	keyData = "K\x00\x00\x00\x0c\x00\x00\x00\x07\x01\x02\x03\x04"
	ready   = "Z\x00\x00\x00\x05I"
)

// serve accepts one connection after the other and hands each to a script.
func serve(t *testing.T, script func(net.Conn)) Target {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			script(nc)
			_ = nc.Close()
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
	return Target{Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port, Database: "shop", User: "app", ConnectTimeout: time.Minute}
}

// readPacket reads a startup packet (kind 0) or a message.
func readPacket(t *testing.T, nc io.Reader, startup bool) string {
	var head [5]byte
	from := head[:]
	if startup {
		from = head[1:]
	}
	if _, err := io.ReadFull(nc, from); err != nil {
		return ""
	}
	body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
	if _, err := io.ReadFull(nc, body); err != nil {
		t.Errorf("a packet was cut: %v", err)
	}
	return string(body)
}

func send(nc net.Conn, parts ...string) { _, _ = io.WriteString(nc, strings.Join(parts, "")) }

// TestWhatComesAfterTheLoginIsLeftUnread has the server talk in the same write that ends the login: that is for the loop to read.
func TestWhatComesAfterTheLoginIsLeftUnread(t *testing.T) {
	after := notice("NOTICE", "hello") + message('S', "TimeZone\x00UTC\x00") + "\x00 and the first byte of a message"
	script := authOK + keyData + message('S', "TimeZone\x00GMT\x00") + ready
	for name, size := range map[string]int{"at once": len(script + after), "byte by byte": 1} {
		to := serve(t, func(nc net.Conn) {
			readPacket(t, nc, true)
			for rest := script + after; rest != ""; {
				n := min(size, len(rest))
				send(nc, rest[:n])
				rest = rest[n:]
			}
		})
		c := mustDial(t, to)
		if got := param(c, "TimeZone"); got != "GMT" {
			t.Errorf("%s: TimeZone is %q, want that of the login", name, got)
		}
		if got, err := io.ReadAll(c.Net); err != nil || string(got) != after {
			t.Errorf("%s: the connection goes on with %q, %v", name, got, err)
		}
	}
}

// notice makes a NoticeResponse.
func notice(severity, text string) string {
	return message('N', "S"+severity+"\x00V"+severity+"\x00C01000\x00M"+text+"\x00\x00")
}

func TestSilentServerMeetsTheDeadline(t *testing.T) {
	for name, script := range map[string]string{
		"at once":        "",
		"in the login":   authOK,
		"in a message":   authOK + "K\x00\x00",
		"before the end": authOK + keyData,
	} {
		t.Run(name, func(t *testing.T) {
			to := serve(t, func(nc net.Conn) {
				send(nc, script)
				_, _ = io.Copy(io.Discard, nc) // until the dial gives up
			})
			to.ConnectTimeout = 50 * time.Millisecond
			_, err := Dial(context.Background(), to)
			var failed *DialError
			if !errors.As(err, &failed) || failed.Kind != Timeout {
				t.Fatalf("%v, want a timeout", err)
			}
			if want := "dial " + to.String() + ": timed out (server_connect_timeout)"; failed.Error() != want {
				t.Errorf("%v, want %s", failed, want)
			}
		})
	}
}

func TestGivenUpDialSaysSo(t *testing.T) {
	ctx, giveUp := context.WithCancel(context.Background())
	to := serve(t, func(nc net.Conn) {
		giveUp()
		_, _ = io.Copy(io.Discard, nc)
	})
	_, err := Dial(ctx, to)
	if !errors.Is(err, context.Canceled) || !strings.HasSuffix(err.Error(), ": given up") {
		t.Errorf("%v, want that the caller gave up", err)
	}
}

func TestWhatIsNoPostgreSQLIsUnreachable(t *testing.T) {
	for name, c := range map[string]struct{ script, cause string }{
		"HTTP":                    {"HTTP/1.1 400 Bad Request\r\n\r\n", "expected 4 to 262144"},
		"closes":                  {"", "the server closed the connection"},
		"closes in the login":     {authOK, "the server closed the connection"},
		"no authentication":       {ready, "'Z' before AuthenticationOk"},
		"in a transaction":        {authOK + keyData + "Z\x00\x00\x00\x05T", "transaction status"},
		"unknown authentication":  {"R\x00\x00\x00\x08\x00\x00\x00\x63", "unknown kind 99"},
		"a server that starts up": {message('E', "SFATAL\x00VFATAL\x00C57P03\x00Mthe database system is starting up\x00\x00"), "the database system is starting up"},
	} {
		t.Run(name, func(t *testing.T) {
			to := serve(t, func(nc net.Conn) {
				readPacket(t, nc, true)
				send(nc, c.script)
			})
			_, err := Dial(context.Background(), to)
			var failed *DialError
			if !errors.As(err, &failed) || failed.Kind != Unreachable {
				t.Fatalf("%v, want unreachable", err)
			}
			if !strings.Contains(failed.Cause(), c.cause) || !strings.HasPrefix(failed.Error(), "dial shop at 127.0.0.1:") {
				t.Errorf("cause %q of %v, want %q", failed.Cause(), failed, c.cause)
			}
			if strings.Contains(failed.Cause(), "user=") || strings.Contains(failed.Cause(), "127.0.0.1") {
				t.Errorf("the cause names more than the cause: %s", failed.Cause())
			}
		})
	}
}

// query runs a simple Query on a backend that was taken over and returns the
// first column of the last row; an error as its SQLSTATE.
func query(t *testing.T, c *Conn, sql string) string {
	t.Helper()
	send(c.stream(), message('Q', sql+"\x00"))
	return answer(t, c)
}

// answer reads up to ReadyForQuery.
func answer(t *testing.T, c *Conn) string {
	t.Helper()
	r := bufio.NewReader(c.stream())
	var out string
	for {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			t.Fatal(err)
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(r, body); err != nil {
			t.Fatal(err)
		}
		switch head[0] {
		case 'D':
			if n := int32(binary.BigEndian.Uint32(body[2:])); n >= 0 {
				out = string(body[6 : 6+n])
			}
		case 'E':
			out = string(wire.PeekErrorField(body, wire.FieldCode))
		case 'Z':
			return out
		}
	}
}
