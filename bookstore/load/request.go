package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"syscall"
	"time"
)

// target is where requests go and what is sent there, made once: net/http's client would start two goroutines for
// every connection, and the load shares its machine with what it measures.
type target struct {
	address   string
	request   []byte
	keepAlive bool
}

func newTarget(u *url.URL, port string, keepAlive bool) *target {
	persistence := "close"
	if keepAlive {
		persistence = "keep-alive"
	}
	return &target{
		address:   net.JoinHostPort(u.Hostname(), port),
		request:   fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: %s\r\n\r\n", u.RequestURI(), u.Host, persistence),
		keepAlive: keepAlive,
	}
}

// outcome is how a request ended. kind is empty for a success.
type outcome struct {
	kind  Kind
	bytes int64 // of the body
}

// connection is one client's TCP connection, if it has one open.
type connection struct {
	target  *target
	timeout time.Duration
	conn    *net.TCPConn
	reader  *bufio.Reader
}

// errorBodyMax bounds what is searched for an SQLSTATE.
const errorBodyMax = 4 << 10

// sqlState finds the code in an error's detail.
var sqlState = regexp.MustCompile(`SQLSTATE ([0-9A-Z]{5})`)

// request sends one request and reads its answer to the end.
func (c *connection) request(ctx context.Context) outcome {
	deadline := time.Now().Add(c.timeout)
	if c.conn == nil {
		dialer := net.Dialer{Deadline: deadline}
		conn, err := dialer.DialContext(ctx, "tcp", c.target.address)
		if err != nil {
			return outcome{kind: networkKind(err)}
		}
		c.conn = conn.(*net.TCPConn)
		c.reader.Reset(conn)
	}
	// Ctrl-C must not wait for a slow answer.
	conn := c.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = conn.SetDeadline(deadline)

	got, keep := c.exchange()
	if !keep {
		c.close()
	}
	return got
}

func (c *connection) exchange() (got outcome, keep bool) {
	if _, err := c.conn.Write(c.target.request); err != nil {
		return outcome{kind: networkKind(err)}, false
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return outcome{kind: networkKind(err)}, false
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		got.kind = statusKind(resp)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		return outcome{kind: networkKind(err)}, false
	}
	got.bytes = n
	return got, c.target.keepAlive && !resp.Close
}

// close ends the connection by a reset: its answer has been read, and an orderly close would leave the local port
// waiting for a minute on some systems, until none is free.
func (c *connection) close() {
	if c.conn == nil {
		return
	}
	_ = c.conn.SetLinger(0)
	_ = c.conn.Close()
	c.conn = nil
}

// statusKind names an HTTP error, with the SQLSTATE that its body tells.
func statusKind(resp *http.Response) Kind {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, errorBodyMax)) // the kind can do without
	kind := fmt.Sprint("HTTP ", resp.StatusCode)
	if m := sqlState.FindSubmatch(body); m != nil {
		kind += " " + string(m[1])
	}
	return Kind(kind)
}

// networkKind names an error below HTTP: what loadtest counts as -1.
func networkKind(err error) Kind {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Timeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Reset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return CutShort
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return NoPort
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return Timeout
	}
	return Other
}
