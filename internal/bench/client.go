package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// client is one session, spoken by hand: a benchmark's own cost must be small and known, and must not be that of the
// code under test. Not safe for concurrent use.
type client struct {
	conn net.Conn
	r    *bufio.Reader // nil between turns of a client that borrows one, see lend
}

// answer is what came back for one request, up to ReadyForQuery.
type answer struct {
	rows  int64
	bytes int64  // of DataRow messages, headers excluded
	tag   string // of the last CommandComplete
	first string // first column of the first row, if the row fits the read buffer
	err   error  // the server's, if it sent one; the session goes on
}

// serverError is an ErrorResponse.
type serverError struct{ severity, code, message string }

func (e *serverError) Error() string { return fmt.Sprintf("%s %s: %s", e.severity, e.code, e.message) }

// clientTimeout bounds login and every single query: nothing here takes longer unless the proxy hangs.
const clientTimeout = 60 * time.Second

// readBuffer holds the largest message that is looked into; larger ones are counted and skipped.
const readBuffer = 4096

// portsPerAddress is how many connections go out from one loopback address: Linux has 28,232 ephemeral ports by
// default (ip_local_port_range). Further ones come from 127.0.0.2, 127.0.0.3, ..., which macOS does not have.
const portsPerAddress = 20000

// dialClient logs in. n numbers the client within its suite and chooses the source address.
func dialClient(ctx context.Context, addr hostPort, n int) (*client, error) {
	return dialWith(ctx, addr, n, bufio.NewReaderSize(nil, readBuffer))
}

// dialWith logs in and reads through a buffer that the caller owns.
func dialWith(ctx context.Context, addr hostPort, n int, r *bufio.Reader) (*client, error) {
	return dialAs(ctx, addr, n, r, (*client).login)
}

// dialAs is dialWith with another way to log in.
func dialAs(ctx context.Context, addr hostPort, n int, r *bufio.Reader, login func(*client) error) (*client, error) {
	d := net.Dialer{Timeout: clientTimeout}
	if n >= portsPerAddress {
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+n/portsPerAddress))}
	}
	conn, err := d.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return nil, err
	}
	if addr.tls {
		top, err := encrypt(conn)
		if err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("encrypt: %w", err)
		}
		conn = top
	}
	c := &client{conn: conn}
	c.lend(r)
	err = conn.SetDeadline(time.Now().Add(clientTimeout))
	if err == nil {
		err = login(c)
	}
	if err != nil {
		c.close()
		return nil, fmt.Errorf("log in: %w", err)
	}
	return c, nil
}

// encrypt asks for TLS. Whose certificate it is does not matter here.
func encrypt(conn net.Conn) (net.Conn, error) {
	if err := conn.SetDeadline(time.Now().Add(clientTimeout)); err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil { // SSLRequest
		return nil, err
	}
	var yes [1]byte
	if _, err := io.ReadFull(conn, yes[:]); err != nil {
		return nil, err
	}
	if yes[0] != 'S' {
		return nil, errors.New("the target has no TLS")
	}
	top := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	return top, top.Handshake()
}

// lend gives the client a buffer for its next turn, so that ten thousand idle ones need none. Between requests
// nothing may be left in it.
func (c *client) lend(r *bufio.Reader) {
	r.Reset(c.conn)
	c.r = r
}

func (c *client) close() { _ = c.conn.Close() }

func (c *client) login() error {
	a, err := c.exchange(c.startup())
	if err == nil {
		err = a.err
	}
	return err
}

// startup is the client's first message.
func (c *client) startup() []byte {
	body := binary.BigEndian.AppendUint32(nil, 3<<16) // protocol 3.0
	for _, s := range []string{"user", user, "database", database, "application_name", "weirbench", ""} {
		body = append(append(body, s...), 0)
	}
	msg := binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))
	return append(msg, body...)
}

// queryMessage is a Query; it may be sent many times.
func queryMessage(sql string) []byte {
	msg := binary.BigEndian.AppendUint32([]byte{'Q'}, uint32(len(sql)+5))
	return append(append(msg, sql...), 0)
}

// query runs statements through the simple protocol. A server's error is an error here.
func (c *client) query(sql string) (answer, error) {
	a, err := c.run(queryMessage(sql))
	if err == nil {
		err = a.err
	}
	return a, err
}

// run sends a request and reads its answer, within clientTimeout.
func (c *client) run(request []byte) (answer, error) {
	if err := c.conn.SetDeadline(time.Now().Add(clientTimeout)); err != nil {
		return answer{}, err
	}
	return c.exchange(request)
}

// exchange is run with the deadline that the connection has.
func (c *client) exchange(request []byte) (answer, error) {
	if _, err := c.conn.Write(request); err != nil {
		return answer{}, err
	}
	return c.readAnswer(0)
}

// errAuthentication means that the target does not trust us, so nothing here would work.
var errAuthentication = errors.New("it asks for a password; the benchmark expects trust")

// readAnswer reads messages to the next ReadyForQuery, or to one of type until (0: none), which ends it too.
func (c *client) readAnswer(until byte) (answer, error) {
	var a answer
	for {
		head, err := c.r.Peek(5)
		if err != nil {
			if a.err != nil { // a FATAL ends the connection; it says more than EOF
				return a, a.err
			}
			return a, err
		}
		typ, length := head[0], int(binary.BigEndian.Uint32(head[1:]))-4
		if length < 0 {
			return a, fmt.Errorf("message %q with a length of %d", typ, length+4)
		}
		_, _ = c.r.Discard(5) // just peeked
		body, _ := c.r.Peek(min(length, c.r.Size()))
		a.note(typ, length, body)
		if typ == 'R' && len(body) >= 4 && binary.BigEndian.Uint32(body) != 0 {
			return a, errAuthentication
		}
		if _, err := c.r.Discard(length); err != nil {
			return a, noEOF(err)
		}
		if typ == 'Z' || typ == until {
			return a, nil
		}
	}
}

// noEOF turns an end in the middle of a message into the error it is.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// note takes from a message what answer holds. body may be cut off at the buffer's size.
func (a *answer) note(typ byte, length int, body []byte) {
	switch typ {
	case 'D':
		if a.rows == 0 && len(body) >= 6 {
			if n := int(int32(binary.BigEndian.Uint32(body[2:]))); n >= 0 && 6+n <= len(body) {
				a.first = string(body[6 : 6+n])
			}
		}
		a.rows++
		a.bytes += int64(length)
	case 'C':
		a.tag = strings.TrimRight(string(body), "\x00")
	case 'E':
		if a.err == nil {
			a.err = parseError(body)
		}
	}
}

func parseError(body []byte) *serverError {
	e := &serverError{}
	for field := range strings.SplitSeq(string(body), "\x00") {
		if field == "" {
			break
		}
		switch value := field[1:]; field[0] {
		case 'S':
			e.severity = value
		case 'C':
			e.code = value
		case 'M':
			e.message = value
		}
	}
	return e
}
