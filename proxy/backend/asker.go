package backend

import (
	"context"
	"errors"
	"time"

	"weir/proxy/wire"
)

// Asker asks a server questions of weir's own, one at a time, over a connection of its own.
type Asker struct {
	conn   *Conn
	broken bool // there may be bytes of an old answer, or nothing more to come
}

// closeTimeout bounds the good-bye to a server.
const closeTimeout = time.Second

// Reply is what a query has given.
type Reply struct {
	Columns int
	Rows    int
	First   [][]byte // the first row's values, nil for NULL
}

// NewAsker asks over a connection that has just logged in, and which is the Asker's from now on.
func NewAsker(c *Conn) *Asker { return &Asker{conn: c} }

// Usable tells whether it can be asked again.
func (a *Asker) Usable() bool { return !a.broken }

// Close ends the session, and does not wait for long.
func (a *Asker) Close() {
	_ = a.conn.Net.SetDeadline(time.Now().Add(closeTimeout))
	_, _ = a.conn.stream().Write(wire.AppendTerminate(nil)) // whatever comes of it, the connection is closed
	_ = a.conn.Net.Close()
}

// Ask runs one statement, whose parameters are text. An error of the server's is a *ServerMessage; if it is another, or ctx has ended,
// the session is of no further use.
func (a *Asker) Ask(ctx context.Context, sql string, params ...string) (Reply, error) {
	stop := endWith(ctx, a.conn.Net)
	reply, err := a.ask(sql, params)
	if !stop() {
		a.broken = true
		if err != nil {
			err = ctx.Err()
		}
	}
	return reply, err
}

func (a *Asker) ask(sql string, params []string) (Reply, error) {
	b := wire.AppendParse(nil, "", sql, nil)
	b = wire.AppendBind(b, params)
	b = wire.AppendDescribe(b, 'P', "")
	b = wire.AppendExecute(b)
	b = wire.AppendSync(b)
	a.broken = true // until the answer has been read whole
	if _, err := a.conn.stream().Write(b); err != nil {
		return Reply{}, err
	}
	var reply Reply
	var failed *ServerMessage
	in := messages{from: a.conn.stream(), left: talkMax}
	for {
		m, err := in.next()
		if err != nil {
			if failed != nil {
				return Reply{}, failed // a FATAL one is the last thing that a server says
			}
			return Reply{}, err
		}
		switch m.kind {
		case wire.ServerReadyForQuery:
			a.broken = false
			if failed != nil {
				return Reply{}, failed
			}
			return reply, nil
		case wire.ServerErrorResponse:
			if failed == nil {
				said := readServerMessage(m.body)
				failed = &said
			}
		default:
			if err := reply.take(m); err != nil {
				return Reply{}, err
			}
		}
	}
}

// errCopies is a query that is none.
var errCopies = errors.New("the query is a COPY")

// take notes what a message says of the result.
func (r *Reply) take(m frame) (err error) {
	switch m.kind {
	case wire.ServerRowDescription:
		r.Columns, err = wire.PeekColumns(m.body)
	case wire.ServerDataRow:
		if r.Rows++; r.Rows == 1 {
			r.First, err = wire.PeekRow(m.body)
		}
		if err == nil && r.Rows == 1 && len(r.First) != r.Columns {
			err = wire.ErrTruncated
		}
	case wire.ServerCopyInResponse, wire.ServerCopyOutResponse, wire.ServerCopyBothResponse:
		err = errCopies // and the server would wait for its data
	}
	return err
}
