package conversation

import (
	"weir/proxy/wire"
)

// retry is a batch that may be sent once more without the client's noticing: it begins with the use of a statement that clients share,
// outside of a transaction, and nothing of it has been answered. If the server does not have the statement, because something has
// deallocated it unseen (a function may), nothing has been done, and it is sent again after the statement has been prepared again.
type retry struct {
	state retryState
	from  int    // where the batch begins in the client's read at hand
	kept  []byte // what has come of it
	told  []byte // the error, as the client gets it if the batch cannot be sent again
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
	s.retry.told = s.retry.told[:0]
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
}

// retries reports whether an error, the message at pos in the server's read, is the first answer to a batch that can be sent again, and
// says that the statement is missing.
func (s *Server) retries(f *Flow, body []byte, pos int) bool {
	if s.retry.state != retryPossible || f.from < pos || len(f.out) > 0 || s.account.Due() > 1 {
		return false
	}
	return s.missed(body)
}

// Again returns what the client has to be read once more, before anything else: valid until the next call.
func (s *Server) Again() []byte {
	s.retry.state = retryNever
	return s.retry.kept
}
