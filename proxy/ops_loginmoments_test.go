package proxy_test

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"

	"weir/internal/pgserver"
	"weir/proxy"
	"weir/proxy/wire"
)

// cutAfter is a connection that ends in some way after it has sent so many bytes.
type cutAfter struct {
	*net.TCPConn
	left int
	end  func(*net.TCPConn)
}

func (c *cutAfter) Write(p []byte) (int, error) {
	if len(p) < c.left {
		c.left -= len(p)
		return c.TCPConn.Write(p)
	}
	n, _ := c.TCPConn.Write(p[:c.left])
	c.left = 0
	c.end(c.TCPConn)
	return n, io.ErrClosedPipe
}

// startupPacket is a startup packet of this version.
func startupPacket(version uint32, params ...string) []byte {
	body := binary.BigEndian.AppendUint32(nil, version)
	for _, p := range params {
		body = append(append(body, p...), 0)
	}
	body = append(body, 0)
	return append(binary.BigEndian.AppendUint32(nil, uint32(4+len(body))), body...)
}

var loginStride = flag.Int("login-stride", 101, "of the bytes at which logins are cut, each so-many-th is tried; 1 is all")

// momentLogins are what clients send at once, before they have heard anything.
func momentLogins(t *testing.T, d *pgserver.Database) map[string][]byte {
	user := []string{"user", d.Server.Superuser(), "database", d.Name}
	with := func(version uint32, more ...string) []byte {
		return startupPacket(version, append(slices.Clone(user), more...)...)
	}
	stateful := slices.Concat(queries("set work_mem = '5MB'", "create temp table own (a int)", "begin; select pg_advisory_lock(11)").send,
		parsesAndRuns(t, "s", "select 1").send, encode(t, &pgproto3.Terminate{}))
	copying := slices.Concat(queries("copy w from stdin").send, encode(t, &pgproto3.CopyData{Data: []byte("1\n")}, &pgproto3.CopyDone{}))
	return map[string][]byte{
		"plain":       slices.Concat(with(3<<16), stateful),
		"3.2":         slices.Concat(with(3<<16|2, "_pq_.x", "1", "_pq_.y", "2"), stateful),
		"3.99":        slices.Concat(with(3<<16|99), stateful),
		"options":     slices.Concat(with(3<<16, "options", "-c work_mem=6MB -c app.x=y -c search_path=alpha --lock-timeout=5s"), stateful),
		"replication": slices.Concat(with(3<<16, "replication", "database"), queries("IDENTIFY_SYSTEM", "select 1").send),
		"copy":        slices.Concat(with(3<<16), copying),
		"refused":     slices.Concat(with(3<<16, "options", "-c nonsense=1 -c work_mem=x"), stateful),
	}
}

var connectionEnds = map[string]func(*net.TCPConn){
	"rst":  func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() },
	"fin":  func(c *net.TCPConn) { _ = c.Close() },
	"half": func(c *net.TCPConn) { _ = c.CloseWrite() },
}

// TestLoginsThatEndAtAnyByteLeaveNothing cuts what clients send at once, a login and requests behind it, at each of its bytes.
func TestLoginsThatEndAtAnyByteLeaveNothing(t *testing.T) {
	d := database(t)
	d.Exec(t, statePrelude, "create table w (a int)")
	inEachWay(t, func(t *testing.T, toml string, o proxy.Options, secret bool) {
		w := startWith(t, d, toml+"[pool]\npool_size = 1\n", o)
		w.secret = secret
		next := enter(t, w, d)
		clean := fmt.Sprint(next.Run(everything).Rows)
		for name, stream := range momentLogins(t, d) {
			for ending, end := range connectionEnds {
				cutLogins(t, w, stream, end, secret)
				if a := next.Run(everything); fmt.Sprint(a.Rows) != clean {
					t.Errorf("%s, %s: the next client finds %v %v, want %s", name, ending, a.Rows, a.Err(), clean)
				}
			}
		}
		next.Terminate()
		expectAtRest(t, w)
		for _, p := range w.Proxy.Snapshot().Pools {
			if n := backendCount(p); n > 1 {
				t.Errorf("%d backends", n)
			}
		}
	})
}

// cutLogins sends the beginning of a stream, of many lengths. Over TLS it is longer by the handshake, which is some 2 KiB.
func cutLogins(t *testing.T, w *weirUnderTest, stream []byte, end func(*net.TCPConn), secret bool) {
	length := len(stream)
	if secret {
		length += 2600
	}
	const workers = 8
	var all sync.WaitGroup
	for first := range workers {
		all.Go(func() {
			for n := first * *loginStride; n < length; n += workers * *loginStride {
				nc, err := net.Dial("tcp", w.Addr)
				if err != nil {
					t.Error(err)
					return
				}
				raw := nc.(*net.TCPConn)
				_ = raw.SetDeadline(time.Now().Add(patience))
				c := &cutAfter{TCPConn: raw, left: n, end: end}
				if err := speak(c, stream, secret); err != nil {
					t.Errorf("%d bytes: %v", n, err)
				}
				_ = raw.Close()
			}
		})
	}
	all.Wait()
}

// speak sends the stream and reads to the end.
func speak(c *cutAfter, stream []byte, secret bool) error {
	var conn net.Conn = c
	if secret {
		if _, err := conn.Write(wire.AppendSSLRequest(nil)); err != nil {
			_, err := io.Copy(io.Discard, c.TCPConn)
			return onlyTimeouts(err)
		}
		var answer [1]byte
		if _, err := io.ReadFull(conn, answer[:]); err != nil {
			return onlyTimeouts(err)
		}
		conn = tls.Client(conn, &tls.Config{RootCAs: authority.Pool(), ServerName: "localhost"})
	}
	if _, err := conn.Write(stream); err == nil && c.left > 0 {
		c.end(c.TCPConn)
	}
	_, err := io.Copy(io.Discard, conn)
	return onlyTimeouts(err)
}

// onlyTimeouts is the error of a connection that does not end.
func onlyTimeouts(err error) error {
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return err
	}
	return nil
}
