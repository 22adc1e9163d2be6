package conversation

import (
	"encoding/binary"
	"slices"
	"strings"

	"weir/proxy/pgerror"
	"weir/proxy/prepared"
	"weir/proxy/session"
	"weir/proxy/sqlscan"
	"weir/proxy/wire"
)

// undecided reports whether what m's name means depends on an answer that has not come yet. It does not if none is pending.
func (s *Server) undecided(m *message) bool {
	switch m.f.Type {
	case wire.ClientParse:
		name, _, err := wire.PeekParse(m.body)
		return err == nil && s.undecidedName(name, false)
	case wire.ClientBind:
		_, name, err := wire.PeekBind(m.body)
		if err != nil {
			_, name = longBind(m)
		}
		return name != nil && s.undecidedName(name, true)
	case wire.ClientDescribe, wire.ClientClose:
		kind, name, err := wire.PeekTarget(m.body)
		return err == nil && kind == 'S' && s.undecidedName(name, m.f.Type == wire.ClientDescribe)
	}
	return false
}

// undecidedName is undecided for a statement's name; uses: the message does not change what it means.
func (s *Server) undecidedName(name []byte, uses bool) bool {
	if len(name) == 0 {
		return uses && s.book.UndecidedUnnamed()
	}
	return s.shared.Shares && s.book.Undecided(prepared.Cut(name), uses)
}

// admitParse sends a Parse, unless it has to wait.
func (s *Server) admitParse(c *Client, f *Flow, m *message) Hold {
	name, text, err := wire.PeekParse(m.body)
	if err != nil && !m.whole {
		name = m.body
	}
	hold := HoldNone
	switch {
	case err != nil && m.whole: // the server will refuse it
		s.pass(m.f.Type)
	case s.account.Skipping():
		s.pass(m.f.Type)
	case s.choosy() && s.objects(f, m, name, text):
	case len(name) > longName:
		s.pass(m.f.Type)
		s.doubt(session.PreparedStatement | session.Opaque)
	case len(name) == 0:
		hold = s.parseNames(c, f, m, text)
	case !s.shared.Shares:
		hold = s.parseUnshared(f, m, text)
	default:
		if hold = s.recallsNamed(m, text, len(name)+1); hold == HoldNone {
			s.parseNamed(c, f, m, prepared.Cut(name), len(name)+1)
		}
	}
	if hold == HoldNone {
		s.hearsParse(text)
	}
	return hold
}

// parseUnshared sends a Parse of a named statement where clients share none: its client keeps the backend.
func (s *Server) parseUnshared(f *Flow, m *message, text []byte) Hold {
	if m.whole && s.read(text)&sqlscan.Sequences != 0 {
		if hold, passes := s.recalls(f, m, text); !passes {
			return hold
		}
	}
	s.pass(m.f.Type)
	s.doubt(session.PreparedStatement)
	if !m.whole {
		s.doubt(session.Opaque)
		return HoldNone
	}
	s.suspects(text, sqlscan.Prepare)
	e := s.shared.readText(text, s.mode)
	s.doubt(session.FromEffects(e)) // whenever it is run, which is not followed
	s.keepsUnfollowed(text, e)
	return HoldNone
}

// parseUnnamed enters a Parse of the unnamed statement; body is what stands after the name.
func (s *Server) parseUnnamed(c *Client, body []byte, whole bool) {
	if whole {
		statement := s.book.ParseUnnamed(&s.account, &c.names, &s.shared.Statements, s.parsed(body))
		s.readOtherwise(statement, body)
		return
	}
	own := s.book.ParseUnnamedOwn(&s.account, &c.names, &s.shared.Statements)
	own.Learn(sqlscan.Opaque)
	c.long = s.newLong(body)
	c.long.statement = own
}

// parseNamed sends a Parse of a named statement, or what stands for it. rest is where the text begins in the body.
func (s *Server) parseNamed(c *Client, f *Flow, m *message, name []byte, rest int) {
	size := int(m.f.Len)
	if limit := s.shared.TextsMax; limit > 0 && c.names.Bytes()+size > limit {
		s.refuse(f, m, pgerror.PreparedTextsTooLong(limit))
		return
	}
	f.upTo(m.at)
	var as string
	if m.whole {
		begins := s.beginsBatch()
		f.out, as = s.book.Parse(f.out, &s.account, &c.names, &s.shared.Statements, name, s.parsed(m.body[rest:]))
		statement := c.names.Statement(name)
		s.readOtherwise(statement, m.body[rest:])
		s.retry.parsed = statement
		if as == "" {
			s.retry.shared = statement
			s.namesStatement(begins)
		}
		s.shared.recalls = s.shared.recalls || statement != nil && statement.Effects(s.mode)&sqlscan.Sequences != 0
	} else {
		var own *prepared.Statement
		f.out, as, own = s.book.ParseOwn(f.out, &s.account, &c.names, &s.shared.Statements, name)
		if own != nil {
			own.Learn(sqlscan.Opaque)
			c.long = s.newLong(m.body[rest:])
			c.long.statement = own
		}
	}
	if as != "" {
		f.renamed(m.f, m.body, rest, as, "\x00")
	}
	f.replaced(m.end())
}

// parsed is what a Parse prepares now; body is what stands after the name.
func (s *Server) parsed(body []byte) prepared.Text {
	return prepared.Text{Body: body, Scope: s.scopeKey(), Mode: s.mode}
}

// readOtherwise adds to a statement's effects what its text does if something that is under way changes how the server reads it.
func (s *Server) readOtherwise(statement *prepared.Statement, body []byte) {
	if s.ledger.illegible() {
		statement.Learn(statement.Effects(s.mode) | otherwise(wire.PeekQuery(body), s.mode))
	}
}

// admitBind sends a Bind. The rest of it may be long and is not looked at.
func (s *Server) admitBind(c *Client, f *Flow, m *message) Hold {
	portal, name, err := wire.PeekBind(m.body)
	switch {
	case err != nil && !m.whole:
		s.bindLong(c, f, m)
	case err != nil, s.account.Skipping():
		s.pass(m.f.Type)
	case len(name) == 0:
		own, hold := s.recallsBound(m, c.names.Unnamed())
		if hold != HoldNone {
			return hold
		}
		if statement := s.ensureUnnamed(c, f, m); statement != nil {
			s.bindPortal(m, portal, statement, own)
		}
		c.names.UseUnnamed()
		s.pass(m.f.Type)
	case !s.shared.Shares:
		s.portals.bind(prepared.Cut(portal), bound{}) // no statement of that name is known
		s.pass(m.f.Type)
	default:
		return s.bindNamed(c, f, m, portal, name)
	}
	return HoldNone
}

func (s *Server) bindNamed(c *Client, f *Flow, m *message, portal, name []byte) Hold {
	statement, hold, passes := s.compares(c, f, m, prepared.Cut(name))
	if !passes {
		return hold
	}
	own, hold := s.recallsBound(m, statement)
	if hold != HoldNone || !s.ensure(c, f, m, prepared.Cut(name), statement) {
		return hold
	}
	s.shared.Binds++
	if statement != nil {
		s.bindPortal(m, portal, statement, own)
		f.renamed(m.f, m.body, len(portal)+1+len(name)+1, string(portal), "\x00", statement.Name(), "\x00")
		f.replaced(m.end())
	} else {
		s.question.executed = true // it may be one of PREPARE
		s.portals.bind(prepared.Cut(portal), bound{})
	}
	s.pass(m.f.Type)
	return HoldNone
}

// bindPortal notes what the portal of a statement would do. own: what it asks of sequences are values that the transaction has drawn itself.
func (s *Server) bindPortal(m *message, portal []byte, statement *prepared.Statement, own bool) {
	b := bound{effects: statement.Effects(s.mode), statement: statement}
	if own {
		b.effects &^= sqlscan.Sequences
	}
	if session.FromEffects(b.effects) != 0 {
		s.suspects([]byte(statement.Text()), b.effects)
	}
	if b.effects&(sqlscan.Set|sqlscan.SetLocal|sqlscan.Reset|sqlscan.Discard|sqlscan.SetConfig|anything) != 0 && !statement.Own() {
		b.settings = s.entails([]byte(statement.Text()), b.effects)
		if b.effects&sqlscan.SetConfig != 0 && b.asks == nil {
			given := s.shared.configs([]byte(statement.Text()))
			b.asks = given.bound(givenBy(m))
			b.said = b.asks != nil
			s.shared.addCustom(b.asks)
		}
	}
	if s.learns(b.effects &^ givenTexts) {
		known := s.shared.recordOf(statement, s.mode)
		s.runsWith(statement, m.body, known)
		if s.learns(b.effects) {
			s.binds(known)
		}
		if b.effects&sqlscan.Execute != 0 {
			s.executes([]byte(statement.Text()), s.binds)
		}
	}
	if b.effects&(sqlscan.SetConfig|sqlscan.SetConfigLocal) != 0 && s.bindsSeed(m, statement) {
		b.effects |= sqlscan.Setseed
	}
	s.portals.bind(prepared.Cut(portal), b)
}

// bindsSeed reports whether a Bind may have set_config set the seed of random().
func (s *Server) bindsSeed(m *message, statement *prepared.Statement) bool {
	given := s.shared.configs([]byte(statement.Text()))
	return given.literally() == nil && slices.ContainsFunc(givenBy(m), func(v []byte) bool { return strings.EqualFold(string(v), seedName) })
}

// givenBy are the parameters of a Bind; none if it is too long to be seen whole.
func givenBy(m *message) [][]byte {
	if !m.whole {
		return nil
	}
	values, _ := wire.PeekParameters(m.body)
	return values
}

// admitTarget sends a Describe or a Close.
func (s *Server) admitTarget(c *Client, f *Flow, m *message) {
	kind, name, err := wire.PeekTarget(m.body)
	switch {
	case err == nil && kind == 'P' && m.f.Type == wire.ClientDescribe && !s.account.Skipping():
		s.passDescribe(s.portals.at(prepared.Cut(name)).statement)
	case err != nil || kind != 'S' || s.account.Skipping():
		s.pass(m.f.Type)
	case m.f.Type == wire.ClientDescribe:
		s.describe(c, f, m, name)
	default:
		begins := s.beginsBatch()
		s.closeStatement(c, f, m, name)
		s.namesStatement(begins)
	}
}

func (s *Server) closeStatement(c *Client, f *Flow, m *message, name []byte) {
	switch {
	case len(name) == 0:
		s.book.CloseUnnamed(&s.account, &c.names)
	case !s.shared.Shares:
		s.pass(m.f.Type)
	case c.names.Statement(prepared.Cut(name)) != nil:
		f.upTo(m.at)
		f.out = s.book.Close(f.out, &s.account, &c.names, prepared.Cut(name))
		f.replaced(m.end())
	case prepared.Ours(name):
		s.stray(c, f, m)
	default:
		s.pass(m.f.Type)
	}
}

func (s *Server) describe(c *Client, f *Flow, m *message, name []byte) {
	switch {
	case len(name) == 0:
		s.ensureUnnamed(c, f, m)
	case s.shared.Shares:
		statement := s.renew(c, prepared.Cut(name))
		if !s.ensure(c, f, m, prepared.Cut(name), statement) {
			return
		}
		if statement != nil {
			f.renamed(m.f, m.body, 1+len(name)+1, "S", statement.Name(), "\x00")
			f.replaced(m.end())
		}
		s.passDescribe(statement)
		return
	}
	s.pass(m.f.Type)
}

// ensureUnnamed sees to it that the backend's unnamed statement is the client's.
func (s *Server) ensureUnnamed(c *Client, f *Flow, m *message) *prepared.Statement {
	if s.book.UnnamedSynced() {
		return c.names.Unnamed()
	}
	if s.moves(c.names.Unnamed()) {
		s.shared.Statements.MoveUnnamed(&c.names, s.scopeKey(), s.mode)
	}
	f.upTo(m.at)
	var statement *prepared.Statement
	f.out, statement = s.book.EnsureUnnamed(f.out, &s.account, &c.names)
	return statement
}

// ensure sees to it that the backend holds the statement that a name means; nil: it means nothing, and the server will say so. False: a client has no
// such names, and a message that will be refused has been sent instead.
func (s *Server) ensure(c *Client, f *Flow, m *message, name []byte, statement *prepared.Statement) bool {
	switch {
	case statement != nil:
		elsewhere := s.elsewhere(statement)
		f.upTo(m.at)
		s.rereads(f, statement, elsewhere)
		if m.whole && s.beginsBatch() && s.book.Holds(statement) {
			s.mayRetry(m)
		}
		f.out = s.book.Ensure(f.out, &s.account, name, statement)
		if elsewhere {
			s.book.UsedElsewhere(statement)
		}
		if !statement.Own() && statement != s.retry.parsed && s.retry.uses <= s.account.Answered() {
			s.retry.uses = s.account.Asked() + 1
		}
	case prepared.Ours(name):
		s.stray(c, f, m)
		return false
	}
	return true
}

// stray sends a message about a statement that does not exist in place of one about another client's: the server answers with the
// error that the client would get from a session of its own, and throws away what follows as it would then.
func (s *Server) stray(c *Client, f *Flow, m *message) {
	f.upTo(m.at)
	f.out = append(f.out, strayMessages[m.f.Type]...)
	f.replaced(m.end())
	c.drop = !m.whole
	s.pass(m.f.Type)
}

// refuse has the client's message refused: a message that the server refuses goes in its place, and the error that the client gets is
// weir's.
func (s *Server) refuse(f *Flow, m *message, err *pgerror.Error) {
	f.upTo(m.at)
	f.out = append(f.out, strayMessages[wire.ClientBind]...)
	f.replaced(m.end())
	s.client.drop = !m.whole
	s.pass(wire.ClientBind)
	s.enterRefusal(err)
}

// enterRefusal has the client get weir's own error for the message that has just been entered.
func (s *Server) enterRefusal(err *pgerror.Error) {
	if !s.account.Skipping() {
		s.ledger.enter(entry{at: s.account.Asked(), refusal: err})
	}
}

var strayMessages = map[byte][]byte{
	wire.ClientBind:     strayMessage(wire.ClientBind, "\x00"+strayName+"\x00\x00\x00\x00\x00\x00\x00"),
	wire.ClientDescribe: wire.AppendDescribe(nil, 'S', strayName),
	wire.ClientClose:    wire.AppendClose(nil, 'S', strayName),
}

// strayName is the name of no statement.
const strayName = "a statement of another client"

// strayQuery is the text of a Query that fails.
const strayQuery = `EXECUTE "` + strayName + `"`

func strayMessage(t byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{t}, uint32(4+len(body))), body...)
}

// deallocation are the names that a message under way deallocates: a Query, or a Parse, when its statement is executed. A name that is
// not weir's is empty.
type deallocation struct {
	at    uint64 // the number of its answer in the account
	names []string
}

// undeallocated forgets what an error has ended: of the statement that the server was busy with, and of what it throws away.
func (s *Server) undeallocated(busy uint64) {
	answered := max(busy, s.account.Answered())
	s.deallocating = slices.DeleteFunc(s.deallocating, func(d deallocation) bool { return busy <= d.at && d.at <= answered })
}

// deallocated takes note of a CommandComplete that may be about prepared statements.
func (s *Server) deallocated(busy uint64, tag []byte) {
	switch string(tag) {
	case "DEALLOCATE":
		for i := len(s.deallocating) - 1; i >= 0; i-- { // what was parsed last before it is what has been executed
			if d := &s.deallocating[i]; d.at <= busy {
				s.names().Drop(d.names[0])
				if d.names = d.names[1:]; len(d.names) == 0 {
					i++
				}
				s.deallocating = s.deallocating[i:]
				break
			}
		}
	case "DEALLOCATE ALL", "DISCARD ALL":
		s.book.Deallocated(s.names())
	}
}

// translate appends an ErrorResponse in which a statement goes by its client's name. busy is the number of the answer that it is. False:
// it mentions none, and nothing is appended.
func (c *Client) translate(dst, body []byte, busy uint64) ([]byte, bool) {
	message := wire.PeekErrorField(body, wire.FieldMessage)
	from, to := prepared.Spoken(message)
	if from == len(message) {
		return dst, false
	}
	name := c.names.Name(message[from:to], string(wire.PeekErrorField(body, wire.FieldCode)) == pgerror.CodeUnknownStatement, busy)
	if name == "" {
		return dst, false
	}
	start := 0
	for i := range body { // where the message stands in the body
		if &body[i] == &message[0] {
			start = i
			break
		}
	}
	dst = append(dst, wire.ServerErrorResponse)
	dst = binary.BigEndian.AppendUint32(dst, uint32(4+len(body)-(to-from)+len(name)))
	dst = append(append(dst, body[:start+from]...), name...)
	return append(dst, body[start+to:]...), true
}
