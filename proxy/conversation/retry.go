package conversation

import (
	"weir/proxy/pgerror"
	"weir/proxy/prepared"
	"weir/proxy/wire"
)

// retry is a batch that may be sent once more without the client's noticing: it begins with the use of a statement that clients share,
// outside of a transaction, and nothing of it has been answered. If the server does not have the statement, because something has
// deallocated it unseen (a function may), nothing has been done, and it is sent again after the statement has been prepared again. So it is
// if the server does not run the statement because its result has other columns since it was prepared, where the client learns of the new
// ones: directly, its own Parse may have come after the change.
type retry struct {
	batch

	again  bool                // the batch has been sent once more already: what the server says now is the client's
	shared *prepared.Statement // what the client's last Parse was answered with, without asking the server. It is not a reference
	parsed *prepared.Statement // what the client has named last since its last Sync. It is not a reference
	uses   uint64              // the number of the first answer that is due to a message that uses a shared statement, or of an answer that has come
	leased uint64              // the number of the last answer before the lease
	named  uint64              // the number of the last answer, if the batch has only named statements up to there: such Parses, and Closes
}

// begin forgets the last client's batches. The buffers stay. asked is the number of the last answer so far.
func (r *retry) begin(asked uint64) { *r = retry{batch: r.anew(), leased: asked} }

// batch is the last batch that may be, or might have been, sent once more.
type batch struct {
	state retryState
	after uint64 // the number of the last answer before those of the batch
	stale bool   // the result of the statement that it begins with has changed
	scope string // what that is prepared anew under: settings that went ahead of the batch have been taken back by then
	from  int    // where the batch begins in the client's read at hand
	kept  []byte // what has come of it

	described []byte // a ParameterDescription, withheld until it is known whether the description of the columns follows or an error
}

// anew is a batch of which nothing has come, with the buffers of this one.
func (b *batch) anew() batch { return batch{kept: b.kept[:0], described: b.described[:0]} }

type retryState uint8

const (
	retryNever    retryState = iota // → retryPossible
	retryPossible                   // its bytes are kept → retryNever, retryFailed
	retryFailed                     // the server has missed the statement: the batch ends, nothing follows it, and it is sent again → retryNever
)

// retryMax bounds the bytes that are kept. A longer batch gets its error.
const retryMax = 64 << 10

// mayRetry notes that the message at hand begins a batch, and uses a statement that the backend should hold.
func (s *Server) mayRetry(m *message) {
	b := &s.retry.batch
	*b = b.anew()
	b.state, b.from, b.after = retryPossible, m.at, s.account.Asked()
}

// namesStatement notes that the client's last message has only changed what a name means. begins: nothing but such messages came before it in its
// batch.
func (s *Server) namesStatement(begins bool) {
	if s.retry.named = 0; begins {
		s.retry.named = s.account.Asked()
	}
}

// beginsBatch reports whether the next message is the first of a batch, outside of a transaction, or those before it have only named statements.
func (s *Server) beginsBatch() bool {
	return s.account.Free() || s.account.Quiet() && s.retry.named > 0 && s.retry.named == s.account.Asked()
}

// keepForRetry keeps what has been judged of the batch.
func (s *Server) keepForRetry(c *Client, f *Flow) {
	r := &s.retry
	judged := f.p[r.from:f.end]
	r.from = 0
	if len(r.kept)+len(judged) > retryMax || c.drop {
		r.state = retryNever
		return
	}
	r.kept = append(r.kept, judged...)
}

// misses takes note of the error that ends the batch.
func (s *Server) misses(body []byte) {
	s.retry.state = retryFailed
	s.retry.described = s.retry.described[:0]
	if s.retry.stale = isStale(body); s.retry.stale {
		s.retry.scope = s.scopeKey()
	}
}

// endsIdle reports whether an error says that the server has ended the session because nothing was asked of it, while a request was on its way there that
// is kept. The server looks for that between two commands only: after it has read the next one, and before it does any of it. It is the first request of
// its lease, so that nothing of the client's is in the session.
func (s *Server) endsIdle(body []byte) bool {
	r := &s.retry
	return r.state == retryPossible && r.after == r.leased && len(r.described) == 0 && s.soleUnanswered() && wire.Fatal(body) &&
		string(wire.PeekErrorField(body, wire.FieldCode)) == pgerror.CodeIdleSessionTimeout && s.Pins() == 0
}

// soleUnanswered reports whether nothing of the batch that is kept has been answered, and all of what is not answered is kept.
func (s *Server) soleUnanswered() bool {
	if s.account.Answered() != s.retry.after || s.client.skip > 0 {
		return false
	}
	return s.account.Due() == 0 || s.account.Due() == 1 && !s.account.Unended()
}

// retries reports whether an error is the first answer to a batch that can be sent again, and says that the server does not have the statement
// that it begins with, or not as it is. A function may say the same, as often as it is called: the batch is sent again once.
func (s *Server) retries(body []byte) bool {
	r := &s.retry
	if r.state != retryPossible || r.again || !s.soleUnanswered() { // no Sync of weir's may end the batch amid a message
		return false
	}
	name := s.retriedName()
	statement := s.client.names.Statement(name)
	switch {
	case statement == nil || statement.Own():
		return false
	case isStale(body):
		return statement.Renewable(s.scopeKey()) && (statement == r.shared && r.after == r.named || describesAnew(s.retry.kept))
	}
	return unknownStatement(body) == statement.Name()
}

// isStale reports whether an error says that the result of a statement has changed since it was prepared.
func isStale(body []byte) bool {
	return string(wire.PeekErrorField(body, wire.FieldRoutine)) == staleRoutine
}

// outgrown reports whether the server refuses to bind a shared statement because that has not as many columns as its client knows: weir has
// prepared it on this backend since they have changed. On a backend that has had it since before, as directly, the server says that it is stale,
// and it is this that drivers prepare it anew for. A client that has named it in the same batch knows of no columns yet: it is mistaken.
func (s *Server) outgrown(body []byte) bool {
	return s.account.Answered()+1 == s.retry.uses && string(wire.PeekErrorField(body, wire.FieldRoutine)) == formatsRoutine
}

// describesAnew reports whether a batch has the statement that it begins with described before it is run: then its client takes what comes
// as it is. What stands in the batch may not have been judged yet.
func describesAnew(batch []byte) bool {
	var portal, name []byte // of the Bind that it begins with
	for p := batch; len(p) >= wire.HeaderLen; {
		f := wire.PeekFrame(p)
		if f.CheckClient() != wire.FrameOK || f.Total() > len(p) {
			return false
		}
		body := p[wire.HeaderLen:f.Total()]
		switch f.Type {
		case wire.ClientDescribe:
			kind, target, err := wire.PeekTarget(body)
			if err == nil && (name == nil || kind == 'S' && string(target) == string(name) || kind == 'P' && string(target) == string(portal)) {
				return true
			}
		case wire.ClientExecute, wire.ClientSync:
			return false
		case wire.ClientBind:
			to, of, err := wire.PeekBind(body)
			if n, bad := wire.PeekResultFormats(body); err != nil || bad != nil || n > 1 {
				return false // it says a format for each of the old columns
			}
			if name == nil {
				portal, name = to, of
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

// tellDescribed puts the description of parameters that was withheld in front of the message at pos.
func (s *Server) tellDescribed(f *Flow, pos int) {
	if r := &s.retry; len(r.described) > 0 {
		f.upTo(pos)
		f.out = append(f.out, r.described...)
		r.described = r.described[:0]
	}
}

// Again returns what the client has to be read once more, before anything else: valid until the next call.
func (s *Server) Again() []byte {
	s.retry.state = retryNever
	s.retry.again = s.ahead.state != aheadAlone // else nothing of it has been tried: the server has refused the switch ahead of it
	if s.retry.stale {
		s.retry.stale = false
		s.shared.Statements.Renew(&s.client.names, s.retriedName(), s.retry.scope, s.mode)
	}
	return s.retry.kept
}
