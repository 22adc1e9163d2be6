package conversation

import (
	"unsafe"

	"weir/proxy/prepared"
	"weir/proxy/sqlscan"
	"weir/proxy/wire"
)

// Heard is what is noted of a transaction's statements for the log and for tracing. Of a request that a client sends before its last
// transaction is over, it is noted with that one.
type Heard struct {
	Traced bool // for tracing: a traceparent is looked for

	Statements int // Queries and Executes
	Parent     sqlscan.TraceParent

	text  [StatementStart]byte
	n     int
	opens bool // the text only begins the transaction: the next one says more
}

// Hear has what the client sends noted from now on; nil ends that.
func (s *Server) Hear(h *Heard) { s.heard = h }

// Clear is for the next transaction.
func (h *Heard) Clear() { h.Statements, h.Parent, h.n, h.opens = 0, sqlscan.TraceParent{}, 0, false }

// Text is the beginning of the first statement; of the second, if that only began the transaction. Empty if it is not known. It holds
// until the next call of FromClient or Clear.
func (h *Heard) Text() []byte { return h.text[:h.n] }

// says takes note of a text.
func (h *Heard) says(text []byte) {
	if h.Traced && !h.Parent.Known() {
		h.Parent, _ = sqlscan.ParseTraceParent(text)
	}
	if (h.n == 0 || h.opens) && len(text) > 0 {
		h.n = copy(h.text[:], text)
		h.opens = sqlscan.BeginsTransaction(text, 0)
	}
}

// hears takes note of a Query that is sent.
func (s *Server) hears(text []byte) {
	if s.heard != nil {
		s.heard.Statements++
		s.heard.says(text)
	}
}

// hearsParse takes note of a Parse that is sent.
func (s *Server) hearsParse(text []byte) {
	if s.heard != nil && !s.account.Skipping() {
		s.heard.says(text)
	}
}

// hearsExecute takes note of an Execute that is sent, of a statement that may not be known. Where clients share none, that of a portal is
// not followed: then it was heard when it was parsed, or not at all.
func (s *Server) hearsExecute(statement *prepared.Statement) {
	if s.heard == nil {
		return
	}
	s.heard.Statements++
	if statement != nil && s.shared.Shares {
		text := statement.Text()
		s.heard.says(unsafe.Slice(unsafe.StringData(text), len(text))) // which reads it only
	}
}

// Asks is the text of the first statement of p, which a client has sent and which has not been judged yet. Empty if it is not known.
func (c *Client) Asks(p []byte) []byte {
	if c.skip > 0 || len(p) < wire.HeaderLen {
		return nil
	}
	f := wire.PeekFrame(p)
	if f.CheckClient() != wire.FrameOK {
		return nil
	}
	body := p[wire.HeaderLen:min(f.Total(), len(p))]
	switch f.Type {
	case wire.ClientQuery:
		return wire.PeekQuery(body)
	case wire.ClientParse:
		_, text, _ := wire.PeekParse(body)
		return text
	case wire.ClientBind:
		if _, name, err := wire.PeekBind(body); err == nil {
			if s := c.names.Statement(prepared.Cut(name)); s != nil {
				return []byte(s.Text())
			}
		}
	}
	return nil
}
