package relay

import (
	"bytes"
	"encoding/binary"

	"weir/proxy/exchange"
	"weir/proxy/prepared"
	"weir/proxy/session"
	"weir/proxy/sqlscan"
	"weir/proxy/wire"
)

// message is one of a client's messages on its way: whole, or the first inspectLen bytes of it at least.
type message struct {
	f     wire.Frame
	at    int // where it begins in the read
	body  []byte
	whole bool
}

// end is where the message, or what has come of it, ends in the read.
func (m *message) end() int { return m.at + wire.HeaderLen + len(m.body) }

// shares reports whether the names that m uses are looked up in weir's books. What the server throws away needs no names.
func (c *Client) shares() bool { return c.lane.shares && !c.backend.account.Skipping() }

// undecided reports whether what m's name means depends on an answer that has not come yet.
func (c *Client) undecided(m *message) bool {
	book := &c.backend.book
	if !c.lane.shares || !book.Pending() || c.backend.account.Copying() == exchange.CopyIn {
		return false // amid COPY data such a message is the end of the connection, whatever its name means
	}
	switch m.f.Type {
	case wire.ClientParse:
		name, _, err := wire.PeekParse(m.body)
		return err == nil && book.Undecided(name, false)
	case wire.ClientBind:
		_, name, err := wire.PeekBind(m.body)
		return err == nil && book.Undecided(name, true)
	case wire.ClientDescribe, wire.ClientClose:
		kind, name, err := wire.PeekTarget(m.body)
		return err == nil && kind == 'S' && book.Undecided(name, m.f.Type == wire.ClientDescribe)
	}
	return false
}

// admitParse sends a Parse.
func (c *Client) admitParse(s *sending, m *message) {
	b := c.backend
	name, text, err := wire.PeekParse(m.body)
	switch {
	case err != nil && m.whole: // the server will refuse it
	case err != nil: // the name is longer than what is looked at
		b.unnamed.named = true
		b.noteText(sqlscan.Opaque)
	case len(name) == 0:
		if c.deallocates(s, m, text) {
			return
		}
		b.unnamed.sent(c.scanText(text, m.whole))
		c.pass(m.f.Type)
		return
	case c.shares():
		c.shareParse(s, m, name, text)
		return
	default:
		b.unnamed.named = !c.lane.shares // otherwise the server throws it away
	}
	c.scanText(text, m.whole)
	c.pass(m.f.Type)
}

// shareParse sends a Parse of a named statement, or what stands for it.
func (c *Client) shareParse(s *sending, m *message, name, text []byte) {
	b := c.backend
	io := &c.lane.engine.io
	if c.names == nil {
		c.names = &prepared.Names{}
	}
	b.begin()
	s.upTo(io, m.at)
	rest := len(name) + 1
	var as string
	if m.whole {
		s.out, as = b.book.Parse(s.out, &b.account, c.names, &c.lane.statements, c.set.ID(), b.mode, name, m.body[rest:])
	} else {
		s.out, as = b.book.ParseOwn(s.out, &b.account, c.names, &c.lane.statements, name)
		b.pins |= session.PreparedStatement
		c.scanText(text, false)
	}
	if as != "" {
		s.renamed(m.f, m.body, rest, as, "\x00")
	}
	s.replaced(m.end())
}

// admitBind sends a Bind. The rest of it may be long and is not looked at.
func (c *Client) admitBind(s *sending, m *message) {
	b := c.backend
	portal, name, err := wire.PeekBind(m.body)
	switch {
	case err != nil && !m.whole:
		c.sendStray(s, m) // behind a portal's name that is too long to look at
		return
	case err != nil: // the server will refuse it
	case len(name) == 0:
		b.unnamed.used()
	case !c.shares():
	default:
		statement := c.ensure(s, m, name)
		if statement == nil {
			break
		}
		if statement == strayed {
			return
		}
		b.noteText(statement.Effects(b.mode))
		s.renamed(m.f, m.body, len(portal)+1+len(name)+1, string(portal), "\x00", statement.Name(), "\x00")
		s.replaced(m.end())
	}
	c.pass(m.f.Type)
}

// admitTarget sends a Describe or a Close.
func (c *Client) admitTarget(s *sending, m *message) {
	b := c.backend
	kind, name, err := wire.PeekTarget(m.body)
	if err == nil && kind == 'S' && len(name) > 0 && c.shares() {
		switch {
		case m.f.Type == wire.ClientDescribe:
			statement := c.ensure(s, m, name)
			if statement == strayed {
				return
			}
			if statement != nil {
				s.renamed(m.f, m.body, 1+len(name)+1, "S", statement.Name(), "\x00")
				s.replaced(m.end())
			}
		case c.names.Statement(name) != nil:
			b.begin()
			s.upTo(&c.lane.engine.io, m.at)
			s.out = b.book.Close(s.out, &b.account, c.names, name)
			s.replaced(m.end())
			return
		case prepared.Ours(name):
			c.sendStray(s, m)
			return
		}
	}
	c.pass(m.f.Type)
}

// strayed is not a statement: a stray message has been sent.
var strayed = new(prepared.Statement)

// ensure looks up a name and sees to it that the backend holds its statement. Nil: the name means nothing, and the server will
// say so.
func (c *Client) ensure(s *sending, m *message, name []byte) *prepared.Statement {
	statement := c.names.Statement(name)
	switch {
	case statement != nil:
		s.upTo(&c.lane.engine.io, m.at)
		s.out = c.backend.book.Ensure(s.out, &c.backend.account, name, statement)
	case prepared.Ours(name):
		c.sendStray(s, m)
		return strayed
	}
	return statement
}

// sendStray sends a message about a statement that does not exist in place of one about another client's: the server answers with
// the error that the client would get from a session of its own, and throws away what follows as it would then.
func (c *Client) sendStray(s *sending, m *message) {
	s.upTo(&c.lane.engine.io, m.at)
	s.out = append(s.out, strayMessages[m.f.Type]...)
	s.replaced(m.end())
	c.discard = !m.whole
	c.pass(m.f.Type)
}

var strayMessages = map[byte][]byte{
	wire.ClientBind:     strayMessage(wire.ClientBind, "\x00"+strayName+"\x00\x00\x00\x00\x00\x00\x00"),
	wire.ClientDescribe: wire.AppendDescribe(nil, 'S', strayName),
	wire.ClientClose:    wire.AppendClose(nil, 'S', strayName),
}

// strayName is nobody's statement.
const strayName = "a statement of another client"

func strayMessage(t byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{t}, uint32(4+len(body))), body...)
}

// deallocates sends a Query, or a Parse of the unnamed statement, whose text deallocates a statement that others share: in its
// place, one that deallocates a decoy. False: the text does something else.
func (c *Client) deallocates(s *sending, m *message, text []byte) bool {
	if c.names.Len() == 0 || !m.whole || !c.shares() {
		return false
	}
	name, ok := sqlscan.Deallocated(text)
	if !ok || c.names.Statement([]byte(name)) == nil {
		return false
	}
	b := c.backend
	s.upTo(&c.lane.engine.io, m.at)
	s.out = b.book.Decoy(s.out, &b.account)
	if m.f.Type == wire.ClientQuery {
		s.out = wire.AppendQuery(s.out, prepared.DeallocateDecoy)
	} else {
		s.out = wire.AppendParse(s.out, "", prepared.DeallocateDecoy, nil)
		b.unnamed.sent(sqlscan.Deallocate)
	}
	s.replaced(m.end())
	b.deallocating = append(b.deallocating, name)
	b.noteText(sqlscan.Deallocate)
	c.pass(m.f.Type)
	return true
}

// displace ends an unnamed statement that may be an earlier client's, before the first message of a lease. A Query and a Parse of
// the unnamed statement end it by themselves, whatever becomes of them.
func (c *Client) displace(s *sending, m *message) {
	b := c.backend
	b.unnamed.foreign = false
	switch m.f.Type {
	case wire.ClientQuery:
		b.unnamed.left = false
		return
	case wire.ClientParse:
		if name, _, err := wire.PeekParse(m.body); err == nil && len(name) == 0 {
			return
		}
	}
	b.unnamed.left = false
	s.upTo(&c.lane.engine.io, m.at)
	s.out = b.book.CloseUnnamed(s.out, &b.account)
}

// deallocated takes note of a CommandComplete that may be about prepared statements.
func (b *Backend) deallocated(tag []byte) {
	switch string(tag) {
	case "DEALLOCATE":
		if len(b.deallocating) > 0 {
			if b.client != nil {
				b.client.names.Drop(b.deallocating[0])
			}
			b.deallocating = b.deallocating[1:]
		}
	case "DEALLOCATE ALL", "DISCARD ALL":
		b.book.Deallocated(b.names())
	}
}

// reshapes reports whether a CommandComplete tells of a change behind which a text may have other columns or types than it had. A
// Parse of it must reach the server then, which would say so only when the old statement is described or run. Changes that were
// made past weir are found out that way. What creates a table is left out: temporary ones are made all the time.
func reshapes(tag []byte) bool {
	return bytes.HasPrefix(tag, []byte("ALTER ")) || bytes.HasPrefix(tag, []byte("DROP ")) || bytes.HasPrefix(tag, []byte("CREATE VIEW"))
}

// names are those of the present client, nil if there is none.
func (b *Backend) names() *prepared.Names {
	if b.client == nil {
		return nil
	}
	return b.client.names
}

const missingStatement = "26000" // invalid_sql_statement_name

// translate returns an ErrorResponse in which a statement goes by its client's name, or nil if it mentions none.
func (c *Client) translate(body []byte) []byte {
	message := wire.PeekErrorField(body, wire.FieldMessage)
	from, to := prepared.Spoken(message)
	if from == len(message) {
		return nil
	}
	name := c.names.Name(message[from:to], string(wire.PeekErrorField(body, wire.FieldCode)) == missingStatement)
	if name == "" {
		return nil
	}
	start := len(body) - len(message)
	for i := range body { // where the message stands in the body
		if len(message) > 0 && &body[i] == &message[0] {
			start = i
			break
		}
	}
	out := c.lane.engine.io.Borrow(wire.HeaderLen + len(body) + len(name))
	out = append(out, wire.ServerErrorResponse)
	out = binary.BigEndian.AppendUint32(out, uint32(4+len(body)-(to-from)+len(name)))
	out = append(append(out, body[:start+from]...), name...)
	return append(out, body[start+to:]...)
}
