package conversation

import (
	"weir/proxy/pgerror"
	"weir/proxy/prepared"
	"weir/proxy/session"
	"weir/proxy/wire"
)

// takeError judges an error. True: the client does not get it.
func (s *Server) takeError(f *Flow, step *ServerStep, fr wire.Frame, message []byte, pos int) (swallow bool) {
	body, whole := message[wire.HeaderLen:], fr.Total() == len(message)
	unheard := false
	switch {
	case s.client == nil || s.errand != nil:
		swallow = true
	case whole && s.retries(body):
		s.misses(body)
		swallow = true
	case whole && s.endsIdle(body):
		swallow, unheard = true, true
	}
	s.tellDescribed(f, pos)
	if !swallow {
		swallow = s.answerError(f, fr, message, pos)
	}
	missed := s.retry.state == retryFailed
	s.note(step, fr, body, message)
	if unheard {
		s.unheard, step.Failed = true, nil
	}
	if missed && s.client != nil && step.Event == EventNone && s.account.Skipping() {
		step.Event = EventSync // the client has sent a Flush, and waits: it will send no Sync before it is answered
	}
	return swallow
}

// answerError sends the client an error: as it is, or in weir's own words. True: the client does not get it, because it belongs to a Parse of weir's own,
// and the text that the client has sent will fail alike.
func (s *Server) answerError(f *Flow, fr wire.Frame, message []byte, pos int) (swallow bool) {
	if s.own == syncPrepare && s.account.Due() == 1 && !s.cancelsText(message[wire.HeaderLen:]) {
		return true
	}
	f.upTo(pos)
	if s.instead(f, message, fr.Total() <= InspectLen) {
		f.replaced(pos + len(message))
		s.drop = len(message) < fr.Total()
	}
	return false
}

// instead puts weir's own words in the place of an error, where it refused the message itself, has had the statement cancelled, or has
// to use the client's name for a statement. False: the error goes on as it is.
func (s *Server) instead(f *Flow, message []byte, whole bool) bool {
	busy := s.account.Answered() + 1
	e := s.ledger.at(busy)
	refused := e != nil && !wire.Fatal(message[wire.HeaderLen:]) // else it is about the connection, whatever was asked
	if refused && e.outdated {
		f.out = wire.AppendErrorBody(f.out, []byte(staleError))
		return true
	}
	if refused && e.refusal != nil && s.account.Status() != wire.TxFailed {
		s.told = e.refusal
		f.out = wire.AppendErrorResponse(f.out, e.refusal)
		return true
	}
	if !whole {
		return false
	}
	if blame := s.blame; blame != nil && string(wire.PeekErrorField(message[wire.HeaderLen:], wire.FieldCode)) == blame.Code {
		s.blame, s.told = nil, blame
		f.out = wire.AppendErrorResponse(f.out, blame)
		return true
	}
	body := message[wire.HeaderLen:]
	if s.outgrown(body) {
		f.out = wire.AppendErrorBody(f.out, []byte(staleError))
		return true
	}
	moved := false
	if e != nil {
		body, moved = relocated(body, &e.made, e.done)
	}
	out, ok := s.client.translate(f.out, body, busy)
	if f.out = out; !ok && moved {
		f.out = wire.AppendErrorBody(f.out, body)
	}
	return ok || moved
}

func (s *Server) noteError(body []byte) {
	code := wire.PeekErrorField(body, wire.FieldCode)
	s.shared.Errors.Count(string(code))
	s.role.denied = s.role.denied || string(code) == refusesWrites
	if wire.Fatal(body) {
		words := wire.PeekErrorField(body, wire.FieldMessage)
		s.farewell = farewell{fatal: true, lastWords: string(words[:min(len(words), lastWordsMax)])}
	}
	if s.errand != nil {
		s.refused = append([]byte(nil), body...)
		return
	}
	s.follow.failed = true
	busy := s.account.Answered() + 1
	s.audit.failed = true
	if left := session.FromError(s.effects(busy)); left != 0 {
		s.doubt(left)
		s.block.blind = s.sets(s.ledger.busyWith(busy, s.Doubtful())) || s.block.blind // in a transaction of its own that it has committed, say
	}
	s.account.Server(wire.ServerErrorResponse)
	s.lost = s.lost || s.missed(body)
	s.book.Failed(&s.account, busy, s.names())
	s.undeallocated(busy)
	s.ledger.settle(s.account.Answered())
	s.failedAhead = s.failedAhead || s.own != syncNone && s.account.Due() == 1 // in the run that weir has ended, not in one before
	if isStale(body) {
		s.shared.Statements.Forget()
	}
}

// lastWordsMax bounds what is kept of a server's last words, in bytes.
const lastWordsMax = 256

// staleRoutine is the function that refuses to run a statement whose result has other columns since it was prepared (0A000, "cached
// plan must not change result type"). The drivers prepare it again then.
const staleRoutine = "RevalidateCachedQuery"

// staleError is the body of its error.
const staleError = "SERROR\x00VERROR\x00C" + pgerror.CodeNotSupported + "\x00Mcached plan must not change result type\x00Fplancache.c\x00R" + staleRoutine + "\x00\x00"

// formatsRoutine is the function that refuses a Bind with more or fewer formats than the result has columns.
const formatsRoutine = "PortalSetResultFormat"

// missed reports whether an error says that the server does not have a statement that the book says it holds: something in the session
// has deallocated it unseen.
func (s *Server) missed(body []byte) bool {
	name := unknownStatement(body)
	return name != "" && s.book.HoldsNamed([]byte(name))
}

// unknownStatement is the name of a statement that the server does not have, as an error says; empty if it says something else.
func unknownStatement(body []byte) string {
	if string(wire.PeekErrorField(body, wire.FieldCode)) != pgerror.CodeUnknownStatement {
		return ""
	}
	message := wire.PeekErrorField(body, wire.FieldMessage)
	from, to := prepared.Spoken(message)
	return string(message[from:to])
}
