package conversation

import (
	"hash/maphash"

	"weir/proxy/prepared"
	"weir/proxy/wire"
)

// A statement that a client has prepared before a change of the schema may come to a backend that has not had it. Prepared there, its result
// would have the columns of today, and the client would take them for those that it was told of: an int4 for a float4. So weir compares the
// two first, and where they differ refuses the statement as a server does that has had it since before the change.

// compares sees to it that the statement that a Bind names has the columns that its client knows, and returns what the name means then. The Bind does not
// pass with HoldName, after the server has been asked for the columns that it has, and where they are others: a message that will be refused has been
// sent instead.
func (s *Server) compares(c *Client, f *Flow, m *message, name []byte) (statement *prepared.Statement, hold Hold, passes bool) {
	statement = c.names.Statement(name)
	switch {
	case statement == nil || !s.book.Lacks(name, statement):
		return statement, HoldNone, true
	case !statement.Outdated():
		return s.move(c, name, statement), HoldNone, true
	case describesAnew(f.p[m.at:]):
		return s.shared.Statements.Renew(&c.names, name, s.scopeKey(), s.mode), HoldNone, true
	case !statement.Told():
		return statement, HoldNone, true
	case s.book.Differs(statement):
		f.upTo(m.at)
		f.out = s.book.GiveUp(f.out, &s.account, statement)
		s.stray(c, f, m)
		s.ledger.enter(entry{at: s.account.Asked(), outdated: true})
		return nil, HoldNone, false
	}
	f.upTo(m.at)
	f.out = s.book.Compare(f.out, &s.account, statement)
	return nil, HoldName, false
}

// renew returns what a name means, which is its text as that is read now if its statement is from before a change of the schema and the backend has to
// prepare it anyway: its client is told the columns.
func (s *Server) renew(c *Client, name []byte) *prepared.Statement {
	statement := c.names.Statement(name)
	switch {
	case statement == nil || !s.book.Lacks(name, statement):
		return statement
	case statement.Outdated():
		return s.shared.Statements.Renew(&c.names, name, s.scopeKey(), s.mode)
	}
	return s.move(c, name, statement)
}

// passDescribe enters a Describe of a statement, or of its portal. Nil: weir does not know which.
func (s *Server) passDescribe(statement *prepared.Statement) {
	if statement == nil || statement.Own() || statement.Told() {
		s.pass(wire.ClientDescribe)
		return
	}
	s.book.Describe(&s.account, statement)
}

// digestSeed makes that nobody can choose columns whose digests are the same.
var digestSeed = maphash.MakeSeed()

// noColumns is the digest of a NoData.
const noColumns = 1

// digest tells the columns of a RowDescription from others. 0: it is too long to be read.
func digest(fr wire.Frame, body []byte) uint64 {
	if fr.Type == wire.ServerNoData {
		return noColumns
	}
	if fr.Total() > InspectLen {
		return 0
	}
	var h maphash.Hash
	h.SetSeed(digestSeed)
	if err := wire.EachColumn(body, func(piece []byte) { _, _ = h.Write(piece) }); err != nil {
		return 0
	}
	return max(h.Sum64(), noColumns+1)
}
