package conversation

import (
	"bytes"
	"slices"

	"weir/proxy/prepared"
	"weir/proxy/session"
	"weir/proxy/sqlscan"
)

// unread are what the client has sent since it was last known what the database's functions do. What the statements may have left that nobody can
// be asked about shows once the backend has answered that.
type unread struct {
	texts []unreadText
	bytes int
	lost  bool // there was more
}

type unreadText struct {
	text     []byte
	given    []byte // the parameters of its Bind
	anything bool   // anything may come of it: names count wherever they stand
}

// unreadMax bounds what is kept of a backend's client.
const unreadMax = 256 << 10

// doubtful reports whether there is a text of which anything may have come.
func (u *unread) doubtful() bool {
	return u.lost || slices.ContainsFunc(u.texts, func(x unreadText) bool { return x.anything })
}

// add takes a copy.
func (u *unread) add(x unreadText) {
	if u.bytes += len(x.text) + len(x.given); u.lost || u.bytes > unreadMax {
		*u = unread{lost: true}
		return
	}
	x.text, x.given = bytes.Clone(x.text), bytes.Clone(x.given)
	u.texts = append(u.texts, x)
}

// unlooked notes a text that is sent, unless it is known what the database's functions do.
func (s *Server) unlooked(x unreadText) {
	if s.looksLater() {
		if s.question.unread.add(x); !s.question.unread.lost {
			s.shared.spoken(x.text, anything)
			s.shared.spoken(x.given, anything)
		}
	}
}

// looksLater reports whether it is not known yet what the database's functions do, so that what is sent now has to be looked at once more.
func (s *Server) looksLater() bool { return !s.shared.customs.known && s.shared.Mode != Session }

// hasKept is for what was run before it was known what the database has.
func (s *Server) hasKept() {
	u := s.question.unread
	s.question.unread = unread{}
	for _, x := range u.texts {
		if x.anything {
			s.keepsUnasked(s.shared.keepers.mentioned(x.text))
			s.keepsUnasked(s.shared.keepers.mentioned(x.given))
			continue
		}
		k := s.shared.leftBy(x.text, s.mode)
		s.keeps(&k)
		if k.runsTexts() {
			s.keepsRun(x.text)
			s.keepsRun(x.given)
		}
	}
	if u.lost && len(s.shared.keepers.deep) > 0 {
		s.keepsUnasked(kept{pins: session.Process, blind: true})
	}
	for _, b := range s.audit.suspects { // that may have run as something else than what was known
		k := s.shared.leftBy([]byte(b.text), s.mode)
		s.keeps(&k)
	}
}

// keepsUnasked notes what nobody can be asked about.
func (s *Server) keepsUnasked(left kept) {
	left.pins &= session.Process
	s.keeps(&left)
}

// keepsUnfollowed notes what a statement may leave in the server's process of which nobody will know when it is run.
func (s *Server) keepsUnfollowed(text []byte, e sqlscan.Effects) {
	s.unlooked(unreadText{text: text, anything: e&anything != 0})
	k := s.shared.leftBy(text, s.mode)
	s.doubt(k.pins & session.Process)
	if e&anything != 0 {
		s.keepsByName(text)
	}
}

// keepsByName notes what a text of which anything may come leaves that nobody can be asked about, if it has the name of a keeper. Whether it makes up the
// name of a setting counts once it is done.
func (s *Server) keepsByName(text []byte) {
	left := s.shared.keepers.mentioned(text)
	left.blind = false
	s.keepsUnasked(left)
}

// keepsRun notes what a text leaves that something is given to run, in the text of its statement or in the parameters of a Bind, and that nobody can
// be asked about; and which custom settings it names.
func (s *Server) keepsRun(given []byte) {
	if mentionsLasting(given) {
		s.doubt(session.Process)
	}
	left := s.shared.keepers.mentioned(given)
	left.blind = left.blind || makesUpSetting.Match(bytes.ToLower(given)) || s.mentionsUnshown(given)
	s.keepsUnasked(left)
	s.question.name(s.shared.spoken(given, anything))
}

// runsWith notes what a prepared statement leaves by what it gives to run that stands in its text, in the parameters of a Bind, or in the text that
// executes it.
func (s *Server) runsWith(statement *prepared.Statement, given []byte, known *record) {
	opaque := statement.Effects(s.mode)&sqlscan.Opaque != 0
	runs := opaque || known.kept.runsTexts()
	if s.shared.customs.known && !runs {
		return
	}
	text := []byte(statement.Text())
	s.unlooked(unreadText{text: text, given: given, anything: opaque})
	if runs {
		s.keepsRun(text)
		s.keepsRun(given)
	}
}

// executes gives do what is known of each prepared statement that a text executes with SQL's EXECUTE, by the names that the backend knows. Whoever
// sends the same text may mean others by it.
func (s *Server) executes(text []byte, do func(known *record)) {
	others := false
	sqlscan.StatementNames(text, s.mode, func(u sqlscan.NameUse) bool {
		if u.Kind != sqlscan.NameExecute {
			return true
		}
		statement := s.shared.Statements.Named(u.Name)
		if statement == nil {
			others = true
			return true
		}
		known := s.shared.recordOf(statement, s.mode)
		s.runsWith(statement, text, known)
		if s.learns(statement.Effects(s.mode)) {
			do(known)
		}
		return true
	})
	if others && bytes.IndexByte(text, '\'') >= 0 { // of SQL's PREPARE, whose text may be forgotten by now
		s.keepsRun(text)
	}
}

// hasMentioned is for a text that was too long to be kept, with what it has mentioned of what nobody can be asked about.
func (s *Server) hasMentioned(left kept) {
	s.question.unread.lost = s.question.unread.lost || s.looksLater()
	s.keepsUnasked(left)
}
