package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/proxy/session"
)

// syncTries bounds how often a server that keeps talking is read empty.
const syncTries = 3

// errTalkative is a server that never was silent between two messages.
var errTalkative = errors.New("the server did not come to rest after the login")

// takeOver takes the connection out of pgconn's hands. It closes it on an error.
//
// SyncConn must come right before Hijack (pgconn's documentation): pgconn reads
// ahead, and from the background if a write is slow. What it has read and not
// used would be lost to the loop, which would then wait for it forever; so the
// bytes are counted, too.
func (t Target) takeOver(ctx context.Context, pg *pgconn.PgConn, count *tally) (*Conn, error) {
	err := errTalkative
	for range syncTries {
		if err = pg.SyncConn(ctx); err != nil {
			break
		}
		if count.even() {
			break
		}
		err = errTalkative
		if pingErr := pg.Ping(ctx); pingErr != nil {
			err = pingErr
			break
		}
	}
	var hijacked *pgconn.HijackedConn
	if err == nil {
		hijacked, err = pg.Hijack()
	}
	if err != nil {
		_ = pg.Close(ctx)
		return nil, err
	}
	nc := hijacked.Conn.(*countedConn).Conn
	if hijacked.TxStatus != 'I' {
		_ = nc.Close()
		return nil, fmt.Errorf("the login ended in transaction status %q", hijacked.TxStatus)
	}
	if err := nc.SetDeadline(time.Time{}); err != nil {
		_ = nc.Close()
		return nil, err
	}
	conn := &Conn{
		Net: nc, PID: hijacked.PID, Secret: hijacked.SecretKey, TxStatus: hijacked.TxStatus,
		Params: sorted(hijacked.ParameterStatuses), RemoteAddr: nc.RemoteAddr(), Target: t,
	}
	conn.ServerVersion = versionOf(hijacked.ParameterStatuses["server_version"])
	if tcp, ok := conn.RemoteAddr.(*net.TCPAddr); ok {
		conn.Target.Host = tcp.AddrPort().Addr().Unmap().String()
	}
	return conn, nil
}

// sorted lists reported parameters by name.
func sorted(params map[string]string) []session.Setting {
	list := make([]session.Setting, 0, len(params))
	for name, value := range params {
		list = append(list, session.Setting{Name: name, Value: value})
	}
	slices.SortFunc(list, func(a, b session.Setting) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// versionOf turns server_version into the number that PostgreSQL calls
// server_version_num: "15.20 (Debian 15.20-0)" into 150020, "19beta1" into
// 190000. Servers before 10 count otherwise ("9.6.24" is 90624).
func versionOf(text string) int {
	text, _, _ = strings.Cut(text, " ")
	var parts [3]int
	for i, part := range strings.SplitN(text, ".", 3) {
		digits := part[:len(part)-len(strings.TrimLeft(part, "0123456789"))]
		n, err := strconv.Atoi(digits)
		if err != nil || n >= 1000 {
			return 0
		}
		parts[i] = n
	}
	if parts[0] >= 10 {
		return parts[0]*10000 + parts[1]
	}
	return parts[0]*10000 + parts[1]*100 + parts[2]
}

// tally counts what came from the socket and what pgconn has used of it. Its
// reader in the background may count while a ping is under way.
type tally struct{ read, used atomic.Int64 }

// even tells whether nothing lies between socket and pgconn.
func (t *tally) even() bool { return t.read.Load() == t.used.Load() }

// countedConn counts what is read from the socket.
type countedConn struct {
	net.Conn
	count *tally
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.count.read.Add(int64(n))
	return n, err
}

// countedReader counts what pgconn's message reader has taken.
type countedReader struct {
	io.Reader
	count *tally
}

func (r countedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.count.used.Add(int64(n))
	return n, err
}

// counted puts a countedReader in front of the message reader that build makes,
// whose type is of no interest here.
func counted[F any](build func(io.Reader, io.Writer) F, count *tally) func(io.Reader, io.Writer) F {
	return func(r io.Reader, w io.Writer) F { return build(countedReader{r, count}, w) }
}
