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
		s.question.unread.add(x)
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
			continue
		}
		k := s.shared.leftBy(x.text, s.mode)
		s.keeps(&k)
		s.keepsRun(x.text, &k)
		s.keepsRun(x.given, &k)
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

// keepsRun notes what a text leaves that a keeper is given to run, in the text of its statement or in the parameters of a Bind, and that nobody can
// be asked about.
func (s *Server) keepsRun(given []byte, k *kept) {
	if !k.runsTexts() {
		return
	}
	if mentionsLasting(given) {
		s.doubt(session.Process)
	}
	s.keepsUnasked(s.shared.keepers.mentioned(given))
}

// runsWith notes what a prepared statement leaves by the keepers that it gives its text to run, or the parameters of a Bind.
func (s *Server) runsWith(statement *prepared.Statement, given []byte, known *record) {
	if s.shared.customs.known && !known.kept.runsTexts() {
		return
	}
	text := []byte(statement.Text())
	s.unlooked(unreadText{text: text, given: given})
	s.keepsRun(text, &known.kept)
	s.keepsRun(given, &known.kept)
}

// hasMentioned is for a text that was too long to be kept, with what it has mentioned of what nobody can be asked about.
func (s *Server) hasMentioned(left kept) {
	s.question.unread.lost = s.question.unread.lost || s.looksLater()
	s.keepsUnasked(left)
}
