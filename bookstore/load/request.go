package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"syscall"
	"time"
)

// outcome is how a request ended. kind is empty for a success.
type outcome struct {
	kind  Kind
	bytes int64 // of the body
}

// connection is one client's TCP connection to a server, if it has one open. Requests are written and answers read by
// hand: net/http's client would start two goroutines for every connection.
type connection struct {
	server    *server
	timeout   time.Duration
	keepAlive bool
	conn      *net.TCPConn
	reader    *bufio.Reader
}

// errorBodyMax bounds what is searched for an SQLSTATE.
const errorBodyMax = 4 << 10

// sqlState finds the code in an error's detail.
var sqlState = regexp.MustCompile(`SQLSTATE:? ([0-9A-Z]{5})\b`)

// errStale means that a kept connection ended before the first byte of an answer: the server had closed it while it
// was idle, and the request may be sent again.
var errStale = errors.New("the kept connection was closed")

// request sends one request and reads its answer to the end. look, unless nil, sees the body of a success and may find
// a failure in it.
func (c *connection) request(ctx context.Context, request []byte, look func(body []byte) Kind) outcome {
	deadline := time.Now().Add(c.timeout)
	for {
		kept := c.conn != nil
		if !kept {
			dialer := net.Dialer{Deadline: deadline}
			conn, err := dialer.DialContext(ctx, "tcp", c.server.address)
			if err != nil {
				return outcome{kind: networkKind(err)}
			}
			c.conn = conn.(*net.TCPConn)
			c.reader.Reset(conn)
		}
		got, keep, err := c.exchange(ctx, request, deadline, look)
		if !keep {
			c.close()
		}
		if kept && errors.Is(err, errStale) {
			continue // once: the next connection is new
		}
		return got
	}
}

func (c *connection) exchange(
	ctx context.Context, request []byte, deadline time.Time, look func([]byte) Kind,
) (got outcome, keep bool, err error) {
	// Ctrl-C must not wait for a slow answer.
	conn := c.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = conn.SetDeadline(deadline)
	if ctx.Err() != nil { // it may have ended between the two
		_ = conn.SetDeadline(time.Unix(1, 0))
	}

	_, err = c.conn.Write(request)
	if err == nil {
		_, err = c.reader.Peek(1)
	}
	if err != nil {
		got.kind = networkKind(err)
		if got.kind == CutShort || got.kind == Reset {
			err = errStale
		}
		return got, false, err
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return outcome{kind: networkKind(err)}, false, err
	}
	defer resp.Body.Close()
	var body []byte
	switch {
	case resp.StatusCode/100 != 2:
		got.kind = statusKind(resp)
	case look != nil:
		body, err = io.ReadAll(io.LimitReader(resp.Body, bodyMax))
	}
	rest, copyErr := io.Copy(io.Discard, resp.Body)
	if err := errors.Join(err, copyErr); err != nil {
		return outcome{kind: networkKind(err)}, false, err
	}
	if body != nil {
		got.kind = look(body)
	}
	got.bytes = int64(len(body)) + rest
	return got, c.keepAlive && !resp.Close, nil
}

// bodyMax bounds a listing that is looked into.
const bodyMax = 1 << 20

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
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return NoFile
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return Timeout
	}
	return Other
}
