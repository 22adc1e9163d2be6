package conversation

import (
	"weir/proxy/exchange"
	"weir/proxy/pgerror"
	"weir/proxy/prepared"
	"weir/proxy/session"
	"weir/proxy/wire"
)

// Event says why Server.FromServer has stopped.
type Event uint8

// The events.
const (
	EventNone     Event = iota // all has been judged that has come
	EventReady                 // a ReadyForQuery; ask Fate
	EventErrand                // an errand has ended; Outcome says how
	EventSync                  // the server throws away what it is sent, until it gets a Sync, which AppendSync does
	EventRetry                 // the client's last batch has to be given to FromClient again: Again
	EventNonsense              // the message at Took is not a server's, or impossible: Doubt and Frame say what
	EventBeyond                // the message at Took is longer than the operator lets through: Frame
)

// ServerStep is what came of a server's bytes.
type ServerStep struct {
	Took    int // judged; the rest is to be given again, with more after it
	Event   Event
	Outcome Outcome // with EventErrand
	Doubt   string  // with EventNonsense
	Frame   wire.Frame
	Resume  bool // the client waited for an answer and may be read again
	// Answered: a request of the client's has got its ReadyForQuery.
	Answered bool
	Failed   []byte         // the body of the last error that the client is sent, of the read; nil if there is none
	Told     *pgerror.Error // what the client is told in its place: weir has refused the message, or has had the statement cancelled
}

// How much of a server's message is looked at.
const (
	looksAtNothing = iota
	looksAtType    // it settles something
	looksAtBody    // its contents matter, too
)

var looks = [256]uint8{
	wire.ServerParseComplete:      looksAtType,
	wire.ServerBindComplete:       looksAtType,
	wire.ServerCloseComplete:      looksAtType,
	wire.ServerNoData:             looksAtType,
	wire.ServerRowDescription:     looksAtType,
	wire.ServerEmptyQueryResponse: looksAtType,
	wire.ServerPortalSuspended:    looksAtType,
	wire.ServerFunctionCallResult: looksAtType,
	wire.ServerCopyInResponse:     looksAtType,
	wire.ServerCopyOutResponse:    looksAtType,
	wire.ServerCopyBothResponse:   looksAtType,
	wire.ServerParameterDesc:      looksAtBody,
	wire.ServerCommandComplete:    looksAtBody,
	wire.ServerErrorResponse:      looksAtBody,
	wire.ServerNoticeResponse:     looksAtBody,
	wire.ServerParameterStatus:    looksAtBody,
	wire.ServerReadyForQuery:      looksAtBody,
	wire.ServerNotification:       looksAtBody,
}

// FromServer judges p, the next bytes of the server's stream, which the client is to get by way of f. It stops after each message that
// may change who has the backend.
func (s *Server) FromServer(p []byte, f *Flow) (step ServerStep) {
	f.begin(p)
	pos := s.remainder.take(p)
	if s.drop || s.client == nil {
		f.drop(pos)
		s.drop = s.drop && s.skip > 0
	}
	answered := s.account.Answered()
	for pos < len(p) && step.Event == EventNone {
		rest := p[pos:]
		if len(rest) < wire.HeaderLen {
			break
		}
		fr := wire.PeekFrame(rest)
		if fr.CheckServer() != wire.FrameOK {
			step.nonsense("a message that no server sends", fr)
			break
		}
		if s.beyond(fr) {
			step.Event, step.Frame = EventBeyond, fr
			break
		}
		n := min(fr.Total(), len(rest))
		if looks[fr.Type] == looksAtNothing && s.client != nil && s.errand == nil && !s.switching() { // rows, mostly: nothing to do but to pass them on
			s.skip = uint32(fr.Total() - n)
			pos += n
			continue
		}
		if s.collects(fr.Type) && len(rest) < min(fr.Total(), InspectLen) {
			break
		}
		if s.probing && !s.meetsProbe(fr, rest) {
			break
		}
		s.take(f, &step, fr, rest[:n], pos)
		s.skip = uint32(fr.Total() - n)
		pos += n
	}
	step.Took = pos
	f.end = pos
	s.forwarded(f)
	s.resume(&step, answered)
	return step
}

// beyond reports whether a message to the client is longer than the operator lets through.
func (s *Server) beyond(fr wire.Frame) bool {
	most := s.shared.PacketMax
	return most > 0 && fr.Total() > most && s.client != nil && s.errand == nil
}

// collects reports whether the contents of a message of that type matter, so that it is not judged before they have come.
func (s *Server) collects(t byte) bool {
	return looks[t] == looksAtBody || s.errand.reads(t) || t == wire.ServerRowDescription && s.book.Describing()
}

// take judges one message that stands at pos in the read.
func (s *Server) take(f *Flow, step *ServerStep, fr wire.Frame, message []byte, pos int) {
	if fr.Type == wire.ServerNotification {
		s.notification(f, message, fr.Total(), pos)
		return
	}
	s.recent.note(fr.Type | fromServer)
	var swallow bool
	switch body := message[wire.HeaderLen:]; {
	case s.giving > 0 && s.takeGiving(fr.Type, body), s.ahead.state >= aheadSent && s.takeAhead(step, fr, body):
		swallow = true
	case s.passes(fr.Type):
		swallow = s.note(step, fr, body, message)
		if fr.Type == wire.ServerNoticeResponse && fr.Total() == len(message) {
			s.relocateNotice(f, message, pos)
		}
	case fr.Type == wire.ServerErrorResponse:
		swallow = s.takeError(f, step, fr, message, pos)
	default:
		swallow = s.takeAnswer(f, step, fr, message, pos)
	}
	if swallow {
		s.swallow(f, fr, message, pos)
	}
}

// takeAnswer judges a message that does not simply pass. True: the client does not get it.
func (s *Server) takeAnswer(f *Flow, step *ServerStep, fr wire.Frame, message []byte, pos int) (swallow bool) {
	swallow = s.client == nil || s.errand != nil && !(s.errand.Tells && fr.Type == wire.ServerParameterStatus)
	if !swallow && s.withholds(fr, message) {
		swallow = true
	} else {
		s.tellDescribed(f, pos)
	}
	under := s.ahead.state == aheadSent
	swallow = s.note(step, fr, message[wire.HeaderLen:], message) || swallow
	if under && fr.Type == wire.ServerReadyForQuery && !swallow {
		s.tellAhead(f, pos)
	}
	return swallow
}

// passes reports whether a message of that type goes to the client as it is, unless what it settles says otherwise: nothing under way is
// weir's own, or waits for an answer of its kind.
func (s *Server) passes(t byte) bool {
	return t != wire.ServerErrorResponse && t != wire.ServerParameterDesc && s.client != nil && s.errand == nil &&
		s.ahead.state < aheadSent && s.retry.state < retryFailed && len(s.retry.described) == 0
}

// swallow leaves out the message at pos.
func (s *Server) swallow(f *Flow, fr wire.Frame, message []byte, pos int) {
	f.upTo(pos)
	f.replaced(pos + len(message))
	s.drop = len(message) < fr.Total()
}

// forwarded tells the client's outlet where in the stream it stands now.
func (s *Server) forwarded(f *Flow) {
	if s.client == nil {
		f.drop(f.end)
		f.out, f.copied = f.out[:0], false
		return
	}
	if f.from < f.end || len(f.out) > 0 {
		if s.retry.state == retryPossible && s.account.Answered() > s.retry.after {
			s.retry.state = retryNever // it has been answered
		}
		s.client.out.Sent(s.lacks())
	}
}

// resume lets a client go on that waited for an answer, if one has come.
func (s *Server) resume(step *ServerStep, answered uint64) {
	c := s.client
	if c == nil || c.hold == HoldNone || s.probing || s.errand != nil {
		return
	}
	step.Resume = step.Event != EventNone || s.account.Answered() != answered || s.account.Skipping() || s.account.Copying() == exchange.CopyIn
}

// note enters one message into what is known. True: the client does not get it.
func (s *Server) note(step *ServerStep, fr wire.Frame, body, message []byte) (swallow bool) {
	switch fr.Type {
	case wire.ServerReadyForQuery:
		status, err := wire.PeekReadyForQuery(body)
		if err != nil || !status.Valid() {
			step.nonsense("a ReadyForQuery without a status", fr)
			return true
		}
		return s.ready(step, fr, status)
	case wire.ServerErrorResponse:
		s.noteError(body)
		if s.errand == nil && s.client != nil {
			step.Failed, step.Told = body, s.told
		}
		s.told = nil
	case wire.ServerParameterStatus:
		if s.noteParameter(step, fr, body) {
			return s.withheld.discarded
		}
	default:
		if s.errand != nil {
			s.errand.row(s, fr.Type, body)
			return true
		}
		return s.noteAnswer(step, fr, body, message)
	}
	return false
}

// noteParameter takes note of a ParameterStatus. False: nothing is known of it.
func (s *Server) noteParameter(step *ServerStep, fr wire.Frame, body []byte) bool {
	name, value, err := wire.PeekParameterStatus(body)
	if err != nil {
		return false
	}
	if !s.report(string(name), string(value)) {
		step.nonsense("more parameters than a server has", fr)
	}
	return true
}

func (step *ServerStep) nonsense(what string, fr wire.Frame) {
	step.Event, step.Doubt, step.Frame = EventNonsense, what, fr
}

// noteAnswer enters a message that may settle something. True: the client does not get it.
func (s *Server) noteAnswer(step *ServerStep, fr wire.Frame, body, message []byte) bool {
	busy := s.account.Answered() + 1
	if fr.Type == wire.ServerParameterDesc {
		return s.book.Compares(&s.account)
	}
	s.account.Server(fr.Type)
	switch fr.Type {
	case wire.ServerRowDescription, wire.ServerNoData:
		return s.book.Describing() && s.book.Columns(&s.account, digest(fr, body), s.names())
	case wire.ServerCommandComplete:
		s.noteTag(busy, wire.PeekTag(body))
	case wire.ServerPortalSuspended:
		s.noteTag(busy, nil) // it has run, if not to its end
	case wire.ServerFunctionCallResult:
		s.doubt(session.FromEffects(s.effects(busy)))
	case wire.ServerParseComplete, wire.ServerCloseComplete:
		switch s.book.Complete(&s.account, fr.Type, s.names()) {
		case prepared.Swallow:
			return true
		case prepared.AsParseComplete:
			message[0] = wire.ServerParseComplete
		case prepared.Impossible:
			step.nonsense("a statement was prepared twice", fr)
		case prepared.Unknown, prepared.Pass:
		}
	}
	s.ledger.settle(s.account.Answered())
	return false
}

// ready takes note of a ReadyForQuery. True: the client does not get it.
func (s *Server) ready(step *ServerStep, fr wire.Frame, status wire.TxStatus) bool {
	if s.errand != nil {
		s.errandReady(step, status)
		return true
	}
	if s.client == nil && s.account.Due() == 0 {
		step.nonsense("a ReadyForQuery that nobody has asked for", fr)
		return true
	}
	s.conclude(status)
	step.Event = EventReady
	own := s.endOwn()
	if s.account.Settled() && !s.Doubtful() {
		s.settled(status)
	}
	if s.withheld.discarded && !own && s.withholdsReady(status) {
		return true
	}
	s.retry.again = s.retry.again && own
	if s.retry.state == retryFailed {
		if c := s.client; c != nil && s.account.Settled() {
			step.Event = EventRetry
			c.hold = HoldName
			return true
		}
		s.retry.state = retryNever
	}
	step.Answered = !own
	return own
}

// conclude ends the request that a ReadyForQuery answers, in all that follows requests and transactions.
func (s *Server) conclude(status wire.TxStatus) {
	busy := s.account.Answered() + 1
	s.account.Ready(status)
	if s.ahead.state >= aheadSent {
		s.concludeAhead(status)
	}
	if s.book.Pending() {
		s.book.Failed(&s.account, busy, s.names())
	}
	s.ledger.settle(s.account.Answered())
	undone, blind := s.block.ready(status)
	s.pins &^= undone
	s.question.blind = s.question.blind || blind
	if s.follow.any() {
		s.settle(s.follow.ready(status == wire.TxIdle))
	}
	if s.reported {
		s.explain(status)
	}
	s.recall.endClaim(status)
	if status == wire.TxIdle && s.account.Settled() {
		s.cleared()
	}
}

// endOwn ends a Sync of weir's own with the ReadyForQuery that answers it. It reports whether the present one is such, and the client does not get
// it. What came of the Sync is noted for the client's next message.
func (s *Server) endOwn() bool {
	why := s.own
	if why == syncNone || s.account.Due() > 0 {
		return false
	}
	s.own = syncNone
	c := s.client
	if c == nil {
		return true
	}
	c.toSync = why == syncDiscard && s.failedAhead
	c.unprepared = why == syncPrepare && !c.answered
	return !c.answered
}

// settled is for a backend that owes nothing.
func (s *Server) settled(status wire.TxStatus) {
	s.deallocating = nil
	s.names().Settled()
	s.ledger.clear()
	if s.lost {
		s.lost = false
		s.book.Lost()
	}
	if status == wire.TxIdle {
		s.portals.end()
		s.settleScope()
	}
}
