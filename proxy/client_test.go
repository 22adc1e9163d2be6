package proxy_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"
)

// wireClient is a client that says exactly what a test tells it to, and nothing by itself.
type wireClient struct {
	t      *testing.T
	conn   halfConn
	reader *bufio.Reader
	front  *pgproto3.Frontend
	name   string // for messages

	pid, secret uint32            // of its cancel key
	params      map[string]string // as last reported
	status      byte              // of the last ReadyForQuery
}

// dial logs in as user to database db, which must need no password, and returns when the server is ready. params are further
// startup parameters, names and values.
func dial(t *testing.T, addr, user, db string, params ...string) *wireClient {
	t.Helper()
	c, err := tryDial(t, addr, user, db, params...)
	if err != nil {
		t.Fatalf("log in at %s: %v", addr, err)
	}
	return c
}

// tryDial is dial where the login may fail: with a *serverError if the server has said why.
func tryDial(t *testing.T, addr, user, db string, params ...string) (*wireClient, error) {
	t.Helper()
	return tryDialOver(t, dialRaw(t, addr), user, db, params...)
}

// halfConn is a connection that can be closed in one direction: TCP, or TLS.
type halfConn interface {
	net.Conn
	CloseWrite() error
}

// tryDialOver is tryDial on a connection that exists.
func tryDialOver(t *testing.T, conn halfConn, user, db string, params ...string) (*wireClient, error) {
	t.Helper()
	c := newClient(t, conn)
	startup := pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: map[string]string{
		"user": user, "database": db,
	}}
	for i := 0; i < len(params); i += 2 {
		startup.Parameters[params[i]] = params[i+1]
	}
	c.Send(&startup)
	for {
		m, err := c.TryReceive()
		if err != nil {
			return nil, err
		}
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			return nil, &serverError{*m}
		case *pgproto3.ReadyForQuery:
			return c, nil
		}
	}
}

func newClient(t *testing.T, conn halfConn) *wireClient {
	c := &wireClient{t: t, conn: conn, reader: bufio.NewReaderSize(conn, 64<<10), params: map[string]string{}}
	c.front = pgproto3.NewFrontend(exactReader{c.reader}, conn)
	return c
}

// exactReader takes no more from the connection than a message has, so that a test may read the rest as bytes.
type exactReader struct{ r io.Reader }

// Next implements pgproto3.ChunkReader.
func (r exactReader) Next(n int) ([]byte, error) {
	buf := make([]byte, n)
	_, err := io.ReadFull(r.r, buf)
	return buf, err
}

// serverError is an ErrorResponse as an error.
type serverError struct{ pgproto3.ErrorResponse }

func (e *serverError) Error() string {
	return fmt.Sprintf("%s %s: %s", e.Severity, e.Code, e.Message)
}

// encode is the messages as bytes.
func encode(t *testing.T, messages ...pgproto3.FrontendMessage) []byte {
	t.Helper()
	var buf []byte
	for _, m := range messages {
		var err error
		if buf, err = m.Encode(buf); err != nil {
			t.Fatalf("encode %T: %v", m, err)
		}
	}
	return buf
}

// Send sends the messages in one write.
func (c *wireClient) Send(messages ...pgproto3.FrontendMessage) {
	c.t.Helper()
	c.SendBytes(encode(c.t, messages...))
}

// SendBytes sends what need not be messages.
func (c *wireClient) SendBytes(p []byte) {
	c.t.Helper()
	if err := c.TrySendBytes(p); err != nil {
		c.t.Fatalf("%s send: %v", c.name, err)
	}
}

// TrySendBytes is SendBytes for goroutines, and where the other side may be gone.
func (c *wireClient) TrySendBytes(p []byte) error {
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
	_, err := c.conn.Write(p)
	return err
}

// Receive returns the next message; it is valid until the next call.
func (c *wireClient) Receive() pgproto3.BackendMessage {
	c.t.Helper()
	m, err := c.TryReceive()
	if err != nil {
		c.t.Fatalf("%s receive: %v", c.name, err)
	}
	return m
}

// TryReceive is Receive for goroutines, and where the connection may end. It takes note of what a client must know.
func (c *wireClient) TryReceive() (pgproto3.BackendMessage, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	m, err := c.front.Receive()
	if err != nil {
		return nil, err
	}
	switch m := m.(type) {
	case *pgproto3.BackendKeyData:
		c.pid, c.secret = m.ProcessID, m.SecretKey
	case *pgproto3.ParameterStatus:
		c.params[m.Name] = m.Value
	case *pgproto3.ReadyForQuery:
		c.status = m.TxStatus
	}
	return m, nil
}

// answer is what came up to a ReadyForQuery.
type answer struct {
	Rows [][]string // NULL is "NULL"
	Tags []string
	Errs []*serverError
}

// Err is the first error, or nil.
func (a answer) Err() error {
	if len(a.Errs) == 0 {
		return nil
	}
	return a.Errs[0]
}

// First is the first row's first value, "" where there is none.
func (a answer) First() string {
	if len(a.Rows) == 0 || len(a.Rows[0]) == 0 {
		return ""
	}
	return a.Rows[0][0]
}

// receiveUntil receives messages up to the first of a kind.
func receiveUntil[T pgproto3.BackendMessage](c *wireClient) {
	c.t.Helper()
	for {
		if _, ok := c.Receive().(T); ok {
			return
		}
	}
}

// Answer reads up to the next ReadyForQuery.
func (c *wireClient) Answer() answer {
	c.t.Helper()
	a, err := c.TryAnswer()
	if err != nil {
		c.t.Fatalf("%s: %v; so far %+v", c.name, err, a)
	}
	return a
}

// TryAnswer is Answer for goroutines, and where the connection may end.
func (c *wireClient) TryAnswer() (answer, error) {
	var a answer
	for {
		m, err := c.TryReceive()
		if err != nil {
			return a, err
		}
		switch m := m.(type) {
		case *pgproto3.DataRow:
			row := make([]string, len(m.Values))
			for i, v := range m.Values {
				row[i] = string(v)
				if v == nil {
					row[i] = "NULL"
				}
			}
			a.Rows = append(a.Rows, row)
		case *pgproto3.CommandComplete:
			a.Tags = append(a.Tags, string(m.CommandTag))
		case *pgproto3.ErrorResponse:
			a.Errs = append(a.Errs, &serverError{*m})
		case *pgproto3.ReadyForQuery:
			return a, nil
		}
	}
}

// Query runs a simple Query, which must succeed, and returns its first value.
func (c *wireClient) Query(sql string) string {
	c.t.Helper()
	a := c.Run(sql)
	if a.Err() != nil {
		c.t.Fatalf("%s: %s: %v", c.name, sql, a.Err())
	}
	return a.First()
}

// Run runs a simple Query.
func (c *wireClient) Run(sql string) answer {
	c.t.Helper()
	c.Send(&pgproto3.Query{String: sql})
	return c.Answer()
}

// TryRun is Run for goroutines, and where the connection may end.
func (c *wireClient) TryRun(sql string) (answer, error) {
	if err := c.TrySendBytes(queryBytes(sql)); err != nil {
		return answer{}, err
	}
	return c.TryAnswer()
}

// ExpectClosed reads until the server closes the connection and returns the last error that it gave for it, or nil.
func (c *wireClient) ExpectClosed() *serverError {
	c.t.Helper()
	var last *serverError
	for {
		m, err := c.TryReceive()
		if netErr := net.Error(nil); errors.As(err, &netErr) && netErr.Timeout() {
			c.t.Fatalf("%s: the connection stays open", c.name)
		}
		if err != nil {
			return last
		}
		if e, ok := m.(*pgproto3.ErrorResponse); ok {
			last = &serverError{*e}
		}
	}
}

// Vanish ends the connection without a word, as a client that was killed does.
func (c *wireClient) Vanish() { _ = c.conn.Close() }

// Terminate says goodbye.
func (c *wireClient) Terminate() {
	c.t.Helper()
	c.Send(&pgproto3.Terminate{})
	_ = c.conn.Close()
}

// cancelRequest sends a cancel request as libpq does, and returns when the server has closed that connection.
func cancelRequest(t *testing.T, addr string, pid, secret uint32) {
	t.Helper()
	if err := tryCancel(addr, pid, secret); err != nil {
		t.Fatalf("cancel: %v", err)
	}
}

func tryCancel(addr string, pid, secret uint32) error {
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return err
	}
	return tryCancelOver(nc, pid, secret)
}

// tryCancelOver is tryCancel on a connection that exists, which it closes.
func tryCancelOver(nc net.Conn, pid, secret uint32) error {
	return cancelOver(nc, pid, binary.BigEndian.AppendUint32(nil, secret))
}

// cancelOver is tryCancelOver with a secret of any length.
func cancelOver(nc net.Conn, pid uint32, secret []byte) error {
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(patience))
	p := cancelPacket(pid, secret)
	if _, err := nc.Write(p); err != nil {
		return err
	}
	if n, err := nc.Read(p); n != 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("the cancel connection gave %d bytes and %w", n, err)
	}
	return nil
}

// cancelPacket is what a connection sends that cancels.
func cancelPacket(pid uint32, secret []byte) []byte {
	p := binary.BigEndian.AppendUint32(nil, uint32(12+len(secret)))
	p = binary.BigEndian.AppendUint32(p, 80877102)
	p = binary.BigEndian.AppendUint32(p, pid)
	return append(p, secret...)
}

// queryBytes is a simple Query.
func queryBytes(sql string) []byte {
	p := binary.BigEndian.AppendUint32([]byte{'Q'}, uint32(4+len(sql)+1))
	return append(append(p, sql...), 0)
}
