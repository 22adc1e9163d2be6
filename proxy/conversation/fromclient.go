package conversation

import (
	"bytes"
	"slices"

	"weir/proxy/ascii"
	"weir/proxy/exchange"
	"weir/proxy/prepared"
	"weir/proxy/sqlscan"
	"weir/proxy/wire"
)

// Need says why Client.FromClient has stopped.
type Need uint8

// The needs.
const (
	NeedBytes   Need = iota // all has been judged that has come
	NeedBackend             // the message at Took can only be judged with a backend
	NeedAnswer              // the message at Took waits for an answer; Client.Hold says for which
	NeedSwitch              // the message at Took waits until the backend is in the client's settings, which takes an errand
	NeedEnd                 // the client has said goodbye
	NeedRefusal             // the message at Took is not a client's: Violation says what is wrong with it
)

// ClientStep is what came of a client's bytes.
type ClientStep struct {
	Took      int // judged; the rest is to be given again, with more after it
	Need      Need
	Frame     wire.Frame   // with NeedRefusal
	Violation wire.Verdict // with NeedRefusal
	// Vacate: a statement creates, alters or drops a database, and idle sessions may be in its way.
	Vacate bool
	Answer []byte // what the client gets without a server; appended to the slice given to Refuse
}

// message is one of a client's messages on its way: whole, or the first InspectLen bytes of it at least.
type message struct {
	f     wire.Frame
	at    int // where it begins in the read
	body  []byte
	whole bool
}

// end is where the message, or what has come of it, ends in the read.
func (m *message) end() int { return m.at + wire.HeaderLen + len(m.body) }

// FromClient judges p, the next bytes of the client's stream, which s is to get by way of f. s is nil while the client has no backend.
// What the client waited for is over.
func (c *Client) FromClient(s *Server, p []byte, f *Flow) (step ClientStep) {
	f.begin(p)
	c.hold = HoldNone
	pos := c.skipped(s, p, f)
	var m message // filled field by field: a literal would be copied
	for pos < len(p) && step.Need == NeedBytes {
		rest := p[pos:]
		if len(rest) < wire.HeaderLen {
			break
		}
		fr := wire.PeekFrame(rest)
		if verdict := c.check(s, fr); verdict != wire.FrameOK {
			step.Need, step.Frame, step.Violation = NeedRefusal, fr, verdict
			break
		}
		if fr.Type != wire.ClientCopyData && len(rest) < min(fr.Total(), InspectLen) {
			break
		}
		n := min(fr.Total(), len(rest))
		m.f, m.at, m.body, m.whole = fr, pos, rest[wire.HeaderLen:n], n == fr.Total()
		if step.Need = c.message(s, f, &m); step.Need != NeedBytes {
			break
		}
		c.skip = uint32(fr.Total() - n)
		pos += n
	}
	step.Took = pos
	f.end = pos
	if s != nil {
		if s.retry.state == retryPossible {
			s.keepForRetry(c, f)
		}
		c.forwarded(s, f, step.Need)
		step.Vacate = s.concerned(sqlscan.Databases)
	}
	return step
}

// Wants reports whether the next bytes of a client without a backend begin with what can only be judged with one. It spares callers a
// call of FromClient that answers NeedBackend.
func (c *Client) Wants(p []byte) bool {
	if c.skip > 0 || len(p) < wire.HeaderLen {
		return false
	}
	fr := wire.PeekFrame(p)
	return fr.CheckClient() == wire.FrameOK && !unanswered(fr.Type) && fr.Type != wire.ClientTerminate && len(p) >= min(fr.Total(), InspectLen)
}

// forwarded takes note of what goes to the server. A client that waits for an answer within a pipeline would wait for ever: the server
// keeps its answers until a Sync or a Flush.
func (c *Client) forwarded(s *Server, f *Flow, need Need) {
	if f.from < f.end || len(f.out) > 0 {
		s.sent, s.flushed = true, false
	}
	if need == NeedAnswer && s.account.Unended() && !s.flushed && !s.account.Skipping() {
		f.upTo(f.end)
		f.out = wire.AppendFlush(f.out)
		s.flushed, s.sent = true, true
	}
}

// skipped passes over the rest of a message whose beginning has been judged.
func (c *Client) skipped(s *Server, p []byte, f *Flow) int {
	if c.skip == 0 {
		return 0
	}
	n := c.remainder.take(p)
	if c.long != nil && s != nil {
		c.long.feed(&s.shared.keepers, p[:n])
		if c.skip == 0 {
			if c.long.end(s) {
				p[n-1] = spoiler
			}
			c.long = nil
		}
	}
	if c.drop {
		f.drop(n)
		c.drop = c.skip > 0
	}
	return n
}

// spoiler stands for the NUL that ends the text of a Query: a server refuses a text that does not end.
const spoiler = '!'

// message judges one message. NeedBytes: it has been dealt with.
func (c *Client) message(s *Server, f *Flow, m *message) Need {
	switch {
	case c.refusal.err != nil:
		return NeedBackend // the caller refuses the rest of the request
	case s == nil && unanswered(m.f.Type):
		c.dropped(f, m)
		return NeedBytes
	case m.f.Type == wire.ClientTerminate:
		return NeedEnd
	case s == nil:
		return NeedBackend
	case c.toSync && m.f.Type != wire.ClientSync, c.answered && s.own == syncNone:
		c.answered = false
		f.upTo(m.at)
		f.replaced(m.end())
		c.drop = !m.whole
		return NeedBytes
	}
	c.toSync = false
	if s.ahead.state != aheadNone {
		if need := s.precedes(c, f, m); need != NeedBytes {
			return need
		}
	}
	if c.Sub != nil && s.mustTakeOn(c, f, m) {
		c.hold = HoldListen
		return NeedAnswer
	}
	if c.hold = s.holds(m); c.hold != HoldNone {
		if c.hold == HoldReset && s.account.Unended() && (s.set != c.Set || s.ledger.discards()) {
			s.syncAlone(f, m)
		}
		return NeedAnswer
	}
	if c.hold = s.admit(c, f, m); c.hold != HoldNone {
		return NeedAnswer
	}
	if s.ahead.left > 0 {
		s.ahead.left--
	}
	return NeedBytes
}

// dropped throws a message away that no server needs to see.
func (c *Client) dropped(f *Flow, m *message) {
	if f.from == m.at && !f.copied {
		f.drop(m.end())
	} else {
		f.upTo(m.at)
		f.replaced(m.end())
	}
	c.drop = !m.whole
}

// unanswered reports whether a message means nothing to a server that has nothing under way: the tail of a COPY that has failed, and a
// Flush. PostgreSQL drops them too; they must not cost a lease that nothing would end.
func unanswered(t byte) bool {
	switch t {
	case wire.ClientCopyData, wire.ClientCopyDone, wire.ClientCopyFail, wire.ClientFlush:
		return true
	}
	return false
}

// holds says whether m must wait for an answer, and for which.
func (s *Server) holds(m *message) Hold {
	switch {
	case s.account.Copying() == exchange.CopyIn:
		return HoldNone // amid COPY data a message is the end of the connection, or dropped, whatever it means
	case s.probing:
		return HoldProbe
	case s.retry.state == retryFailed && !s.account.Skipping():
		return HoldName
	case s.account.Owed() >= owedMax && m.f.Type != wire.ClientSync && m.f.Type != wire.ClientFlush, s.account.Len() >= requestsMax:
		return HoldPipeline
	case s.account.Skipping():
		return HoldNone
	case s.own != syncNone: // its ReadyForQuery says whether the run goes on
		return HoldReset
	case m.f.Type != wire.ClientSync && m.f.Type != wire.ClientFlush && (s.set != s.client.Set || s.ledger.ending > 0 && s.endsMatter(m)):
		return HoldReset
	case s.book.Comparing(), s.book.Pending() && s.undecided(m):
		return HoldName
	case s.forgets() && s.account.Free(): // the client keeps its backend, and has done so before it was known that its values matter
		return HoldRecall
	}
	return HoldNone
}

// endsMatter reports whether m means something else once the state of the session has been discarded, or its statements. Where only a
// statement may be deallocated, that is what names one.
func (s *Server) endsMatter(m *message) bool {
	if s.ledger.discards() {
		return true
	}
	switch m.f.Type {
	case wire.ClientParse, wire.ClientBind, wire.ClientDescribe, wire.ClientClose, wire.ClientQuery:
		return s.shared.Shares
	}
	return false
}

// syncAlone puts a Sync in front of m, which waits until the state of the session has been discarded: then its settings must be
// applied anew, which a server would not do amid a pipeline.
func (s *Server) syncAlone(f *Flow, m *message) {
	f.upTo(m.at)
	f.out = wire.AppendSync(f.out)
	s.pass(wire.ClientSync)
	s.book.Synced()
	s.own, s.failedAhead = syncDiscard, false
}

// admit enters one message into the account and into what is known of the session, and changes it where it must not go as it is. It
// returns why the message has to wait, if it has.
func (s *Server) admit(c *Client, f *Flow, m *message) Hold {
	s.recent.note(m.f.Type)
	switch m.f.Type {
	case wire.ClientCopyData:
	case wire.ClientQuery:
		return s.admitQuery(c, f, m)
	case wire.ClientParse:
		return s.admitParse(c, f, m)
	case wire.ClientBind:
		return s.admitBind(c, f, m)
	case wire.ClientDescribe, wire.ClientClose:
		s.admitTarget(c, f, m)
	case wire.ClientExecute:
		return s.admitExecute(f, m)
	case wire.ClientFunctionCall:
		return s.admitFunctionCall(f, m)
	case wire.ClientSync:
		s.pass(m.f.Type)
		s.book.Synced()
		s.retry.parsed = nil
	default:
		s.pass(m.f.Type)
	}
	return HoldNone
}

// admitFunctionCall sends a FunctionCall, unless it has to wait.
func (s *Server) admitFunctionCall(f *Flow, m *message) Hold {
	if wire.CallsSequence(m.body) {
		if hold, passes := s.recalls(f, m, nil); !passes {
			return hold
		}
	}
	s.pass(m.f.Type)
	if !wire.CallsLargeObject(m.body) {
		s.does(sqlscan.Call | sqlscan.Process) // only the server knows which function it is
	}
	return HoldNone
}

// pass enters a message that goes to the server.
func (s *Server) pass(t byte) { s.account.Client(t) }

// does enters what the last message may do to the session. What is thrown away does nothing.
func (s *Server) does(e sqlscan.Effects) { s.enter(entry{effects: e}) }

// entails reads which settings a text sets, and notes what else may come of one of which anything may come.
func (s *Server) entails(text []byte, e sqlscan.Effects) (found settings) {
	const sets = sqlscan.Set | sqlscan.Reset
	var given configs
	if e&sqlscan.SetConfig != 0 {
		given = s.shared.configs(text)
		found.said = given.literally() != nil
	}
	if e&anything != 0 {
		found.makesUp = s.mayDoAnything(text, e)
	}
	switch {
	case e == sqlscan.Discard:
		found.partly = sqlscan.Settings(text, s.mode, func(sqlscan.SettingUse) bool { return false }) // it can be read, and has no DISCARD ALL
	case e&(sets|sqlscan.SetConfig) == 0 && (e&sqlscan.SetLocal == 0 || !mentions(text, "default")):
	case s.ledger.illegible() && !unmistakable(text):
	case e&sets == 0 && e&sqlscan.SetConfig != 0:
		found.asks = given.literally()
	case e&sqlscan.Execute != 0 && !s.shared.Shares: // what it executes may set something, too
	case e&^followable == 0 && s.shared.Mode != Session || s.client != nil && len(s.client.Login.Settings()) > 0:
		found.uses, found.followed = settingUses(text, e, s.mode)
		if !found.followed && e&^followable == 0 {
			found.asks = assigned(found.uses)
		}
		found.followed = found.followed && s.shared.Mode != Session // there a client keeps its backend
	}
	if e&setters != 0 && !found.followed && found.asks == nil && s.shared.Mode != Session {
		names, sure := s.named(text, e)
		found.named, found.makesUp = names, found.makesUp || !sure
	}
	return found
}

// mayDoAnything notes what may come of a text of which anything may. It reports whether it may set a setting whose name it makes up, or that is not shown.
func (s *Server) mayDoAnything(text []byte, e sqlscan.Effects) (makesUp bool) {
	s.suspectsDefining(text, e)
	s.unlooked(unreadText{text: text, anything: true})
	s.keepsByName(text)
	return s.shared.keepers.makesUp(text) || s.mentionsUnshown(text)
}

// unmistakable reports whether a text is read in the same way whatever the settings say.
func unmistakable(text []byte) bool {
	return ascii.Only(text) && bytes.IndexByte(text, '\\') < 0
}

func (s *Server) enter(e entry) {
	if e.effects != 0 && !s.account.Skipping() {
		e.at = s.account.Asked()
		s.ledger.enter(e)
		s.noteAlteration(e.effects)
		s.question.executed = s.question.executed || e.effects&sqlscan.Execute != 0
		s.concerns |= e.effects & (sqlscan.Notify | sqlscan.Databases)
	}
}

// concerned reports, once, whether a text with that effect has been sent.
func (s *Server) concerned(e sqlscan.Effects) bool {
	is := s.concerns&e != 0
	s.concerns &^= e
	return is
}

// admitQuery sends a Query, unless it has to wait.
func (s *Server) admitQuery(c *Client, f *Flow, m *message) Hold {
	s.shared.Queries++
	text := wire.PeekQuery(m.body)
	switch {
	case s.account.Skipping():
		s.pass(m.f.Type)
	case !m.whole:
		s.hears(text)
		s.book.Query(&s.account, &c.names)
		s.does(sqlscan.Opaque)
		s.suspects(text, sqlscan.Opaque)
		c.long = s.newLong(text)
		c.long.at = s.account.Asked()
	case s.runsFamiliar(text):
		s.book.Query(&s.account, &c.names)
		s.hears(text)
	default:
		return s.admitText(c, f, m, text)
	}
	return HoldNone
}

// admitText sends a Query whose text has to be read.
func (s *Server) admitText(c *Client, f *Flow, m *message, text []byte) Hold {
	effects := s.read(text)
	harmless := effects == 0
	if effects&sqlscan.Sequences != 0 {
		if hold, passes := s.recalls(f, m, text); !passes {
			return hold
		}
		effects &^= sqlscan.Sequences
	}
	if s.choosy() {
		if err := s.objection(text, effects); err != nil {
			s.refuseQuery(f, m, err)
			return HoldNone
		}
	}
	if effects&spokenNames != 0 && s.shared.Shares {
		return s.queryNames(c, f, m, text, effects)
	}
	found, given, put := s.givesInText(text, effects)
	if len(put) > 0 {
		f.upTo(m.at)
		f.out = wire.AppendQueryBytes(f.out, given)
		f.replaced(m.end())
	}
	s.book.Query(&s.account, &c.names)
	s.enter(entry{effects: effects, settings: found, made: edits{given: put}})
	s.suspects(text, effects)
	if known := s.runsText(text, effects); known != nil && harmless {
		s.shared.records.familiar.add(text, known)
	}
	s.hears(text)
	return HoldNone
}

// givesInText reads which settings the text of a Query sets, and puts into it what weir gives back.
func (s *Server) givesInText(text []byte, e sqlscan.Effects) (found settings, out []byte, put []edit) {
	found = s.entails(text, e)
	alone := func(u *use) bool { return sqlscan.Empty(text[:u.From], s.mode) && sqlscan.Empty(text[u.To:], s.mode) }
	if len(found.uses) == 0 || !s.givesBack(found.uses, alone) {
		return found, text, nil
	}
	given, put, fits := s.putBehind(text, found.uses)
	if !fits {
		return settings{}, text, nil // like a text that cannot be read
	}
	return found, given, put
}

// admitExecute sends an Execute.
func (s *Server) admitExecute(f *Flow, m *message) Hold {
	s.shared.Queries++
	portal, err := wire.PeekExecute(m.body)
	if err != nil {
		s.pass(m.f.Type)
		return HoldNone // the server will refuse it
	}
	b := s.portals.at(prepared.Cut(portal))
	if b.effects == 0 {
		s.pass(m.f.Type)
		s.ran(&b)
		return HoldNone
	}
	if b.effects&sqlscan.Sequences != 0 && !s.account.Skipping() && !s.recallsOwn() {
		if hold, passes := s.recalls(f, m, b.text()); !passes {
			return hold
		}
	}
	b.effects &^= sqlscan.Sequences
	s.pass(m.f.Type)
	if len(b.uses) == 1 {
		b.uses = slices.Clone(b.uses) // the portal's are the next Execute's, too
	}
	s.enter(entry{effects: b.effects, settings: b.settings})
	s.ran(&b)
	if len(b.uses) == 1 && s.givesBack(b.uses, func(*use) bool { return false }) {
		s.giveBehind(f, m, &b.uses[0])
	}
	return HoldNone
}

// ran takes note of the statement of a portal that is run.
func (s *Server) ran(b *bound) {
	s.hearsExecute(b.statement)
	if b.statement == nil {
		return
	}
	s.runsStatement(b.statement, b.effects)
	if b.effects&sqlscan.Execute != 0 && s.learns(b.effects&^givenTexts) {
		s.executes(b.text(), s.runs)
	}
}

// read looks for what a text does to the session. While something is under way that may change how the server reads texts, it is read
// in each way that is possible.
func (s *Server) read(text []byte) sqlscan.Effects {
	e := s.shared.read(text, s.mode)
	if s.ledger.illegible() {
		e |= otherwise(text, s.mode)
	}
	return e
}
