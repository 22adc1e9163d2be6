package relay

import (
	"strings"

	"weir/proxy/pgerror"
	"weir/proxy/status"
	"weir/proxy/wire"
)

const (
	// failuresMax bounds the SQLSTATEs that are remembered. A client can make a server raise any; the one met longest ago makes room.
	failuresMax = 128
	// failureTextMax bounds what is kept of a message, in bytes.
	failureTextMax = 200
)

// failures remembers the last error of each SQLSTATE that clients of an engine were sent. It belongs to the loop.
type failures map[string]*failure

type failure struct {
	count         uint64
	at            int64 // the loop's clock
	weirs         bool  // it was weir's own
	login         Identity
	peer, app     string
	text          string
	client, onPID uint32
}

// clientFailed takes note of an error that the server has sent to the present client, which is told something else if weir has brought
// it about.
func (b *Backend) clientFailed(body []byte, told *pgerror.Error) {
	code, text := wire.PeekErrorField(body, wire.FieldCode), wire.PeekErrorField(body, wire.FieldMessage)
	if b.client != nil && len(code) == 5 {
		if b.watched != nil {
			copy(b.watched.sqlState[:], code)
		}
		if told != nil {
			b.client.failed(told.Code, told.Message, true)
			return
		}
		b.client.failed(string(code), string(text[:min(len(text), failureTextMax)]), false)
	}
}

// failed takes note of an error that the client is sent.
func (c *Client) failed(code, text string, weirs bool) {
	e := c.lane.engine
	f := e.failures[code]
	if f == nil {
		e.failures.makeRoom()
		if e.failures == nil {
			e.failures = failures{}
		}
		f = new(failure)
		e.failures[code] = f
	}
	f.count++
	f.at, f.weirs, f.login, f.peer, f.app, f.client = e.loop.Now(), weirs, c.identity(), c.peer, c.app(), c.number
	f.text = strings.ToValidUTF8(text[:min(len(text), failureTextMax)], "")
	f.onPID = 0
	if c.backend != nil {
		f.onPID = c.backend.pid
	}
}

// makeRoom forgets what is too much.
func (s failures) makeRoom() {
	if len(s) < failuresMax {
		return
	}
	oldest, at := "", int64(0)
	for code, f := range s {
		if oldest == "" || f.at < at {
			oldest, at = code, f.at
		}
	}
	delete(s, oldest)
}

// Failures are the last errors of each SQLSTATE, in no order. Any goroutine but the loop's.
func (e *Engine) Failures() (rows []status.Failure) {
	e.loop.Call(func() {
		for code, f := range e.failures {
			rows = append(rows, status.Failure{
				SQLState: code, Count: f.count, Ago: e.since(f.at), Weirs: f.weirs, Database: f.login.Database, User: f.login.User,
				Peer: f.peer, App: f.app, Client: f.client, Backend: f.onPID, Text: f.text,
			})
		}
	})
	return rows
}
