package conversation

import (
	"slices"
	"strconv"

	"weir/proxy/pgerror"
	"weir/proxy/prepared"
	"weir/proxy/sqlscan"
	"weir/proxy/wire"
)

// spokenNames are the effects of texts that name prepared statements: SQL's EXECUTE and DEALLOCATE know those that Parse has prepared,
// too, and on a backend these have names of weir's own.
const spokenNames = sqlscan.Execute | sqlscan.Deallocate

// tagged are the effects of statements with the tags SET and RESET. Where a text executes such a one, its tags do not tell any more which of its own
// commands is done.
const tagged = sqlscan.Set | sqlscan.SetLocal | sqlscan.SetTransaction | sqlscan.Reset

// renaming is a text whose names are being exchanged for those that the backend knows.
type renaming struct {
	s       *Server
	c       *Client
	f       *Flow
	text    []byte
	out     []byte // the new text, so far
	at      int    // what stands before has been copied
	made    edits
	before  counter // of the text up to counted
	counted int
	longer  int // characters that the new text has more of, so far
	decoys  int
	effects sqlscan.Effects     // of the statements that it executes
	ending  []string            // names that its DEALLOCATEs end, "" for those that are not weir's, in order
	missing *prepared.Statement // must be prepared on the backend first
	waits   bool                // what a name means depends on an answer that has not come yet
	none    bool                // a DEALLOCATE ALL stands before: no name is one of weir's any more
	alters  bool                // the text itself may change what its literals mean
}

// rename returns the text as the backend is to get it; what has to precede it has been added to f. False: the text may go as it is, or,
// with a statement in missing, not before that has been prepared. effects are the text's.
func (s *Server) rename(c *Client, f *Flow, m *message, text []byte, effects sqlscan.Effects) (r renaming, changed bool) {
	r = renaming{s: s, c: c, f: f, text: text, before: counter{s: s}, alters: altering(effects)}
	sqlscan.StatementNames(text, s.mode, func(u sqlscan.NameUse) bool {
		r.waits = !u.All && s.book.Undecided([]byte(u.Name), false)
		return !r.waits
	})
	if r.waits {
		return r, false
	}
	f.upTo(m.at)
	sqlscan.StatementNames(text, s.mode, func(u sqlscan.NameUse) bool {
		switch {
		case u.All:
			r.none = true
		case u.Kind == sqlscan.NameExecute:
			r.execute(u)
		default:
			r.deallocate(u)
		}
		return r.missing == nil
	})
	c.unprepared = false
	if r.missing != nil || r.at == 0 {
		return r, false
	}
	r.out = append(r.out, text[r.at:]...)
	return r, true
}

func (r *renaming) put(u sqlscan.NameUse, name string) {
	r.out = append(r.out, r.text[r.at:u.From]...)
	from, at := len(r.out), r.count(u.From)
	r.out = strconv.AppendQuote(r.out, name) // names of weir's have nothing that Go and SQL would quote otherwise
	gone := r.count(u.To) - at
	if r.before.n < 0 {
		at = -1
	}
	r.made.names = append(r.made.names, edit{at, gone, len(r.out) - from})
	r.longer += len(r.out) - from - gone
	r.at = u.To
}

// count is how many characters stand before a place in the text, which is not before the last one that was asked about; -1: that cannot be told.
func (r *renaming) count(to int) int {
	n := r.before.pass(r.text[r.counted:to])
	r.counted = to
	return n
}

// runs takes note of a command that runs a prepared statement.
func (r *renaming) runs(u sqlscan.NameUse) {
	o := run{command: u.Command}
	if from := r.count(u.To); from >= 0 && u.End > u.To {
		o.from = from + r.longer
		o.to = r.count(u.End) + r.longer
	}
	r.made.runs = append(r.made.runs, o)
}

// statement is what a name stands for where the text uses it; nil: what the server knows by that name, which may be a PREPARE of the same text.
func (r *renaming) statement(name string) *prepared.Statement {
	if r.none || slices.Contains(r.ending, name) {
		return nil
	}
	return r.c.names.Statement([]byte(name))
}

func (r *renaming) execute(u sqlscan.NameUse) {
	defer func() { r.runs(u) }()
	statement := r.statement(u.Name)
	elsewhere := statement != nil && (r.alters || r.s.elsewhere(statement))
	if statement != nil {
		r.s.rereads(r.f, statement, elsewhere)
	}
	switch {
	case statement != nil && r.s.book.Holds(statement):
		if elsewhere {
			r.s.book.UsedElsewhere(statement)
		}
		r.effects |= statement.Effects(r.s.mode)
		r.put(u, statement.Name())
	case statement != nil && !r.c.unprepared:
		r.missing = r.s.renew(r.c, []byte(u.Name))
	case statement != nil || prepared.Ours([]byte(u.Name)):
		r.put(u, strayName)
	}
}

func (r *renaming) deallocate(u sqlscan.NameUse) {
	var name string
	switch {
	case r.statement(u.Name) != nil:
		var decoy string
		r.f.out, decoy = r.s.book.Decoy(r.f.out, &r.s.account, r.decoys)
		r.decoys++
		r.put(u, decoy)
		name = u.Name
	case prepared.Ours([]byte(u.Name)):
		r.put(u, strayName)
	}
	r.ending = append(r.ending, name)
}

// prepareFirst sends a Parse of the statement that a text executes, with a Sync of weir's own: should it fail, the text must still get
// its answer.
func (s *Server) prepareFirst(f *Flow, missing *prepared.Statement) Hold {
	f.out = s.book.Ensure(f.out, &s.account, nil, missing)
	f.out = wire.AppendSync(f.out)
	s.pass(wire.ClientSync)
	s.book.Synced()
	s.own, s.failedAhead = syncPrepare, false
	return HoldName
}

// cancelsText reports whether an error says that the Parse in front of a text was cancelled: its client has asked for that, so the error, and
// the ReadyForQuery that follows, are the answer to the text, which is not sent.
func (s *Server) cancelsText(body []byte) bool {
	if s.client == nil || string(wire.PeekErrorField(body, wire.FieldCode)) != pgerror.CodeQueryCanceled {
		return false
	}
	s.client.answered = true
	return true
}

// queryNames sends a Query that names prepared statements.
func (s *Server) queryNames(c *Client, f *Flow, m *message, text []byte, effects sqlscan.Effects) Hold {
	r, changed := s.rename(c, f, m, text, effects)
	switch {
	case r.waits:
		return HoldName
	case r.missing != nil:
		return s.prepareFirst(f, r.missing)
	}
	renamed := text
	if changed {
		renamed = r.out
	}
	var found settings
	given := renamed
	if r.effects&tagged == 0 {
		found, given, r.made.given = s.givesInText(renamed, effects|r.effects)
	}
	if changed || len(r.made.given) > 0 {
		f.upTo(m.at)
		f.out = wire.AppendQueryBytes(f.out, given)
		f.replaced(m.end())
	}
	s.book.Query(&s.account, &c.names)
	s.ends(r.ending)
	s.enter(entry{effects: effects | r.effects, settings: found, made: r.made})
	s.suspects(text, effects|r.effects)
	s.runsText(renamed, effects|r.effects)
	s.hears(text)
	return HoldNone
}

// parseNames sends a Parse of the unnamed statement, whose text may name prepared statements.
func (s *Server) parseNames(c *Client, f *Flow, m *message, text []byte) Hold {
	effects := sqlscan.Effects(0)
	if m.whole {
		effects = s.read(text)
	}
	if effects&sqlscan.Sequences != 0 {
		if hold := s.recallsLater(text); hold != HoldNone {
			return hold
		}
	}
	if !s.shared.Shares || effects&spokenNames == 0 {
		s.parseUnnamed(c, m.body[1:], m.whole)
		return HoldNone
	}
	r, changed := s.rename(c, f, m, text, effects)
	switch {
	case r.waits:
		return HoldName
	case r.missing != nil:
		return s.prepareFirst(f, r.missing)
	}
	body := m.body[1:]
	if changed {
		body = append(append(r.out, 0), body[len(text)+1:]...)
		f.out = wire.AppendParseBody(f.out, "", body)
		f.replaced(m.end())
	}
	s.parseUnnamed(c, body, true)
	if unnamed := c.names.Unnamed(); r.effects != 0 {
		unnamed.Learn(unnamed.Effects(s.mode) | r.effects)
	}
	s.ends(r.ending)
	return HoldNone
}

// ends notes the names that the last message deallocates.
func (s *Server) ends(names []string) {
	if len(names) > 0 {
		s.deallocating = append(s.deallocating, deallocation{s.account.Asked(), names})
	}
}
