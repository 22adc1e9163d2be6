package conversation

import (
	"bytes"
	"slices"
	"strings"

	"weir/proxy/prepared"
	"weir/proxy/session"
	"weir/proxy/wire"
)

// ahead is a switch that goes to the server in front of its client's first batch, in the same write, rather than as an errand that is waited
// for. It is a batch of the extended protocol without a Sync: should the server refuse it, that throws away what follows, a Query too, so
// that no text of the client's ever runs under settings that are not its own. The batch is sent again then, after an errand.
//
// The two are one transaction. If the client's statement fails, the server takes the switch back, so nothing may follow the batch until it
// is known what has become of it; and only texts go that way which mean the same in a transaction that has begun already (see plain), and
// cannot leave it open.
type ahead struct {
	state  aheadState
	before *session.Set // the settings that the server returns to if the batch fails; a reference while it is under way
	last   uint64       // the number of the switch's last answer
	left   int          // messages of the batch that have not been sent yet

	queries  bool              // a Query may follow an Execute without a Sync between them
	foreseen []session.Setting // what the server reported of settings that the switch changes, where weir goes by that; see foresee
}

type aheadState uint8

const (
	aheadNone    aheadState = iota // the settings are the client's, or an errand sees to that → aheadDue with a lease
	aheadDue                       // the client's next messages need a switch → aheadAlone, aheadSent
	aheadAlone                     // it has to be an errand → aheadNone
	aheadSent                      // it is under way: Server.set is what will hold → aheadNone, aheadDue if the batch fails, aheadRefused
	aheadRefused                   // the server has refused it, and throws away what follows → aheadAlone
)

// unfit reports that the settings are not the client's, and nothing is under way to change that.
func (a *ahead) unfit() bool { return a.state == aheadDue || a.state == aheadAlone }

// SwitchAhead lets the switch that a client needs go ahead of its first messages, unless they turn out to be such that it must go alone:
// Client.FromClient says NeedSwitch then. False: there must be an errand at once.
func (s *Server) SwitchAhead() bool {
	c := s.client
	if s.shared.Mode == Session || s.forgets() || c.Sub != nil || !s.set.Shown() || !c.Set.Shown() || s.account.Taint() != 0 {
		return false
	}
	if limit, _ := s.set.Value("idle_session_timeout"); limit != "" && limit != "0" {
		return false // the server may be ending the session just now, which is not to hit the client's batch
	}
	if session.Differs(s.set, c.Set, s.goesAlone) {
		return false
	}
	s.ahead.state = aheadDue
	return true
}

// goesAlone reports whether a setting must not be changed in the transaction of the client's statement: those that decide how texts are read,
// because weir reads them before it hears what holds; who the session is; what a transaction, or the time limit of a statement, takes
// over when it begins; and those that change what texts mean, where only the server's report will tell what a reset leaves.
func (s *Server) goesAlone(name string) bool {
	switch {
	case decidesReading(name), guarding(name), strings.HasPrefix(name, "transaction_"):
		return true
	case name == "role", name == authorization, name == session.Authorization:
		return true
	}
	if !session.Meaningful(name) || s.paramAt(name) < 0 {
		return false
	}
	_, has := s.client.Set.Value(name)
	return !has
}

// paramAt is where a setting stands in what the server reports; -1: nowhere.
func (s *Server) paramAt(name string) int {
	return slices.IndexFunc(s.params, func(p session.Setting) bool { return strings.EqualFold(p.Name, name) })
}

// foresee has what the server reports be what it will report of the settings that change what texts mean: the client's next texts are read
// and shared by that before the report comes.
func (s *Server) foresee() {
	s.ahead.foreseen = s.ahead.foreseen[:0]
	session.Differs(s.set, s.client.Set, func(name string) bool {
		if at := s.paramAt(name); at >= 0 && session.Meaningful(name) {
			s.ahead.foreseen = append(s.ahead.foreseen, s.params[at])
			value, _ := s.client.Set.Value(name)
			s.put(at, value)
		}
		return false
	})
}

// unforesee takes that back, as far as the server has not.
func (s *Server) unforesee() {
	for _, was := range s.ahead.foreseen {
		if at := s.paramAt(was.Name); s.params[at] != was {
			s.put(at, was.Value)
		}
	}
}

// precedes is for a client's message, m, on a backend that is not in its settings, or not for certain.
func (s *Server) precedes(c *Client, f *Flow, m *message) Need {
	a := &s.ahead
	switch {
	case a.state == aheadDue && s.account.Free() && c.Sub == nil && !s.forgets():
		n := s.plainBatch(c, f.p[m.at:])
		if n == 0 {
			a.state = aheadAlone
			return NeedSwitch
		}
		a.left = n
		s.sendAhead(f, m)
	case a.unfit():
		a.state = aheadAlone
		return NeedSwitch
	case a.left == 0:
		c.hold = HoldSwitch
		return NeedAnswer
	}
	return NeedBytes
}

// sendAhead puts the switch in front of m.
func (s *Server) sendAhead(f *Flow, m *message) {
	a, c := &s.ahead, s.client
	s.shared.addCustomOf(c.Set)
	f.upTo(m.at)
	var at int
	f.out, at = wire.BeginParse(f.out)
	f.out = wire.EndParse(session.AppendSwitch(f.out, s.set, c.Set), at)
	f.out = append(f.out, bindAndExecute...)
	s.account.Ahead(aheadAnswers)
	s.book.Displaced()
	a.state, a.last = aheadSent, s.account.Asked()
	s.foresee()
	a.before = s.shared.Settings.Retain(s.set)
	s.apply(c.Set)
	s.mayRetry(m)
}

// aheadAnswers is how many answers the switch has: ParseComplete, BindComplete, CommandComplete.
const aheadAnswers = 3

var bindAndExecute = wire.AppendExecute(wire.AppendBind(nil, nil))

// switching reports whether the next answers are the switch's.
func (s *Server) switching() bool {
	return s.ahead.state == aheadSent && s.account.Answered() < s.ahead.last
}

// takeAhead judges a server's message while a switch is under way that has gone ahead. True: the client does not get it.
func (s *Server) takeAhead(step *ServerStep, fr wire.Frame, body []byte) bool {
	switch {
	case fr.Type == wire.ServerParameterStatus: // the client is told what is news to it once the batch is over
		s.noteParameter(step, fr, body)
		return true
	case !s.switching() || fr.Type == wire.ServerReadyForQuery:
		return false
	case fr.Type == wire.ServerErrorResponse:
		if wire.Fatal(body) {
			return false
		}
		s.refuseAhead(step, body)
	default:
		s.account.Server(fr.Type)
	}
	return true
}

// refuseAhead takes note that the server refuses the switch.
func (s *Server) refuseAhead(step *ServerStep, body []byte) {
	s.shared.Errors.Count(string(wire.PeekErrorField(body, wire.FieldCode)))
	busy := s.account.Answered() + 1
	s.account.Server(wire.ServerErrorResponse)
	s.book.Failed(&s.account, busy, s.names())
	s.undeallocated(busy)
	s.ledger.settle(s.account.Answered())
	s.ahead.state = aheadRefused
	if s.client == nil {
		return // it is cleaned like any other that skips
	}
	s.retry.state = retryFailed
	if s.account.Skipping() {
		step.Event = EventSync
	}
}

// concludeAhead takes note of the ReadyForQuery after the batch.
func (s *Server) concludeAhead(status wire.TxStatus) {
	a := &s.ahead
	switch {
	case a.state == aheadRefused:
		s.apply(a.before)
		s.unforesee()
		a.state = aheadAlone
	case s.follow.failed:
		s.apply(a.before)
		s.unforesee()
		a.state = aheadDue
	default:
		a.state = aheadNone
		if status != wire.TxIdle {
			s.doubtSettings(nil) // a text was more than it seemed: only the server knows what will become of its settings
		}
	}
	s.shared.Settings.Release(a.before)
	a.before, a.left = nil, 0
	if s.client == nil {
		a.state = aheadNone
	}
}

// loseAhead is for a backend that is lost.
func (s *Server) loseAhead() {
	s.shared.Settings.Release(s.ahead.before)
	s.ahead = ahead{}
}

// tellAhead adds what the server reports now, as far as that is news to the client, ahead of the ReadyForQuery at pos.
func (s *Server) tellAhead(f *Flow, pos int) {
	c := s.client
	if s.ahead.state != aheadNone || c.Knows(s.params) {
		return
	}
	f.upTo(pos)
	f.out = c.AppendNews(f.out, s.params)
}

// plainBatch is how many messages a client's batch has that may follow a switch in its transaction: p must be a Query, or messages of the
// extended protocol up to a Sync, and nothing more. 0: it may not, or has not come whole.
func (s *Server) plainBatch(c *Client, p []byte) (messages int) {
	if len(p) > InspectLen {
		return 0
	}
	bound := false // the unnamed portal is the client's: until then it is the switch's
	for len(p) >= wire.HeaderLen && messages < batchMax {
		f := wire.PeekFrame(p)
		if f.CheckClient() != wire.FrameOK || f.Total() > len(p) {
			return 0
		}
		body := p[wire.HeaderLen:f.Total()]
		p = p[f.Total():]
		messages++
		switch f.Type {
		case wire.ClientQuery:
			if messages == 1 && len(p) == 0 && s.ahead.queries && s.plainText(wire.PeekQuery(body)) {
				return 1
			}
			return 0
		case wire.ClientSync:
			if len(p) > 0 {
				return 0
			}
			return messages
		}
		if !s.plainMessage(c, f.Type, body, bound) {
			return 0
		}
		bound = bound || f.Type == wire.ClientBind && body[0] == 0
	}
	return 0
}

// plainMessage reports whether a message of the extended protocol may be part of such a batch. bound: the unnamed portal is the client's by now.
func (s *Server) plainMessage(c *Client, t byte, body []byte, bound bool) bool {
	switch t {
	case wire.ClientParse:
		name, text, err := wire.PeekParse(body)
		return err == nil && len(name) == 0 && s.plainText(text) // a statement that is prepared may have to be prepared again alone: see retry
	case wire.ClientBind:
		return s.plainBind(c, body)
	case wire.ClientDescribe, wire.ClientExecute:
		return bound || !usesUnnamedPortal(t, body) // else the server has to say that there is none
	case wire.ClientClose:
		return true
	}
	return false
}

// usesUnnamedPortal reports whether a Describe or an Execute is about the unnamed portal, or cannot be read.
func usesUnnamedPortal(t byte, body []byte) bool {
	if t == wire.ClientExecute {
		return len(body) == 0 || body[0] == 0
	}
	return len(body) < 2 || body[0] == 'P' && body[1] == 0
}

// batchMax bounds the messages of a batch that a switch goes ahead of.
const batchMax = 64

// plainBind reports whether the statement of a Bind is plain, as far as it was not prepared in the same batch.
func (s *Server) plainBind(c *Client, body []byte) bool {
	_, name, err := wire.PeekBind(body)
	if err != nil || !s.shared.Shares && len(name) > 0 {
		return false
	}
	statement := c.names.Unnamed()
	if len(name) > 0 {
		statement = c.names.Statement(prepared.Cut(name))
	}
	if statement != nil && len(name) > 0 && s.book.Lacks(prepared.Cut(name), statement) && statement.Outdated() {
		return false // its columns may have to be compared first
	}
	return statement == nil || !statement.Own() && statement.Effects(s.mode) == 0 && plain([]byte(statement.Text()))
}

// plainText reports whether a text may follow a switch in its transaction.
func (s *Server) plainText(text []byte) bool {
	return plain(text) && s.shared.read(text, s.mode) == 0
}

// plain reports whether a text is one statement that reads or changes rows. Such a one means the same in a transaction that has begun
// already, and ends it.
func plain(text []byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n(")
	if i := bytes.IndexByte(text, ';'); i >= 0 && len(bytes.Trim(text[i:], "; \t\r\n")) > 0 {
		return false
	}
	var word [8]byte
	n := 0
	for n < len(text) && n < len(word) && text[n]|0x20 >= 'a' && text[n]|0x20 <= 'z' {
		word[n] = text[n] | 0x20
		n++
	}
	switch string(word[:n]) {
	case "select", "insert", "update", "delete", "with", "values", "table", "merge":
		return true
	}
	return false
}

// majorOf is the version of the server that reports params, without what follows a dot or a letter; 0: that cannot be told.
func majorOf(params []session.Setting) (n int) {
	version, _ := valueOf(params, "server_version")
	for i := 0; i < len(version) && version[i] >= '0' && version[i] <= '9'; i++ {
		n = 10*n + int(version[i]-'0')
	}
	return n
}

// queriesFollow reports whether a server takes a Query after an Execute without a Sync for what it is: later ones leave the transaction
// open and say that it is not, or the contrary.
func queriesFollow(params []session.Setting) bool {
	major := majorOf(params)
	return major > 0 && major < 17
}
