package conversation

import (
	"weir/proxy/prepared"
	"weir/proxy/wire"
)

// retry is a batch that may be sent once more without the client's noticing: it begins with the use of a statement that clients share,
// outside of a transaction, and nothing of it has been answered. If the server does not have the statement, because something has
// deallocated it unseen (a function may), nothing has been done, and it is sent again after the statement has been prepared again. So it is
// if the server does not run the statement because its result has other columns since it was prepared, where the client learns of the new
// ones: directly, its own Parse may have come after the change.
type retry struct {
	state retryState
	after uint64 // the number of the last answer before those of the batch
	stale bool   // the result of the statement has changed
	scope string // what it is prepared anew under: settings that went ahead of the batch have been taken back by then

	described []byte // a ParameterDescription, withheld until it is known whether the description of the columns follows or an error

	shared   *prepared.Statement // what the client's last Parse was answered with, without asking the server. It is not a reference
	sharedAt uint64              // the number of that answer, if nothing but such Parses came before it in its batch

	from int    // where the batch begins in the client's read at hand
	kept []byte // what has come of it
	told []byte // the error, as the client gets it if the batch cannot be sent again
}

type retryState uint8

const (
	retryNever    retryState = iota // → retryPossible
	retryPossible                   // its bytes are kept → retryNever, retryFailed
	retryFailed                     // the server has missed the statement: the batch ends, and is sent again → retryNever, retryTold
	retryTold                       // it has become too long: its error is told before its ReadyForQuery → retryNever
)

// retryMax bounds the bytes that are kept. A longer batch gets its error.
const retryMax = 64 << 10

// mayRetry notes that the message at hand begins a batch, and uses a statement that the backend should hold.
func (s *Server) mayRetry(m *message) {
	s.retry.state, s.retry.from, s.retry.kept = retryPossible, m.at, s.retry.kept[:0]
	s.retry.told, s.retry.described = s.retry.told[:0], s.retry.described[:0]
	s.retry.after, s.retry.stale = s.account.Asked(), false
}

// shares notes that a Parse is answered without asking the server. begins: nothing but such ones came before it in its batch.
func (s *Server) shares(statement *prepared.Statement, begins bool) {
	if s.retry.shared, s.retry.sharedAt = statement, s.account.Asked(); !begins {
		s.retry.sharedAt = 0
	}
}

// beginsBatch reports whether the next message is the first of a batch, outside of a transaction, or nothing but shared Parses came before it.
func (s *Server) beginsBatch() bool {
	return s.account.Free() || s.account.Quiet() && s.retry.sharedAt > 0 && s.retry.sharedAt == s.account.Asked()
}

// keepForRetry keeps what has been judged of the batch.
func (s *Server) keepForRetry(c *Client, f *Flow) {
	r := &s.retry
	judged := f.p[r.from:f.end]
	r.from = 0
	if len(r.kept)+len(judged) > retryMax || c.drop {
		if r.state = retryNever; len(r.told) > 0 {
			r.state = retryTold
		}
		return
	}
	r.kept = append(r.kept, judged...)
}

// misses takes note of the error that ends the batch.
func (s *Server) misses(message []byte) {
	s.retry.state = retryFailed
	told, ok := s.client.translate(s.retry.told[:0], message[wire.HeaderLen:], s.account.Answered()+1)
	if !ok {
		told = append(told, message...)
	}
	s.retry.told = told
	if s.retry.stale = isStale(message[wire.HeaderLen:]); s.retry.stale {
		s.retry.scope = s.scopeKey()
	}
}

// retries reports whether an error, the message at pos in the server's read, is the first answer to a batch that can be sent again, and
// says that the statement is missing.
func (s *Server) retries(f *Flow, body []byte, pos int) bool {
	if s.retry.state != retryPossible || s.account.Answered() != s.retry.after || s.account.Due() > 1 {
		return false
	}
	if s.client.skip > 0 { // no Sync of weir's may end the batch amid a message
		return false
	}
	return s.missed(body) || isStale(body) && s.describesAnew()
}

// isStale reports whether an error says that the result of a statement has changed since it was prepared.
func isStale(body []byte) bool {
	return string(wire.PeekErrorField(body, wire.FieldRoutine)) == staleRoutine
}

// describesAnew reports whether the batch has the statement that it begins with described before it is run, or is the first to use it after
// its Parse: then its client takes what comes as it is.
func (s *Server) describesAnew() bool {
	name := s.retriedName()
	statement := s.client.names.Statement(name)
	if !statement.Renewable(s.scopeKey()) {
		return false // it would be sent again as it is, and again
	}
	if name == nil || statement == nil || statement == s.retry.shared && s.retry.after == s.retry.sharedAt {
		return statement != nil
	}
	for p := s.retry.kept; len(p) >= wire.HeaderLen; {
		f := wire.PeekFrame(p)
		switch {
		case f.Type == wire.ClientDescribe:
			return true
		case f.Type == wire.ClientExecute || f.Total() > len(p):
			return false
		case f.Type == wire.ClientBind:
			if n, err := wire.PeekResultFormats(p[wire.HeaderLen:f.Total()]); err != nil || n > 1 {
				return false // it says a format for each of the old columns
			}
		}
		p = p[f.Total():]
	}
	return false
}

// retriedName is the name of the statement that the batch begins with the use of.
func (s *Server) retriedName() (name []byte) {
	p := s.retry.kept
	if len(p) < wire.HeaderLen {
		return nil
	}
	f := wire.PeekFrame(p)
	body := p[wire.HeaderLen:min(f.Total(), len(p))]
	switch f.Type {
	case wire.ClientBind:
		_, name, _ = wire.PeekBind(body)
	case wire.ClientDescribe:
		_, name, _ = wire.PeekTarget(body)
	}
	return prepared.Cut(name)
}

// withholds reports whether a message waits for the next one: servers describe the parameters of a statement before they find that its
// result has changed.
func (s *Server) withholds(fr wire.Frame, message []byte) bool {
	if s.retry.state != retryPossible || s.account.Answered() != s.retry.after || fr.Type != wire.ServerParameterDesc {
		return false
	}
	if fr.Total() > len(message) {
		s.retry.state = retryNever
		return false
	}
	s.retry.described = append(s.retry.described[:0], message...)
	return true
}

// Again returns what the client has to be read once more, before anything else: valid until the next call.
func (s *Server) Again() []byte {
	s.retry.state = retryNever
	if s.retry.stale {
		s.retry.stale = false
		s.shared.Statements.Renew(&s.client.names, s.retriedName(), s.retry.scope, s.mode)
	}
	return s.retry.kept
}
