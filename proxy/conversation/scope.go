package conversation

import (
	"strconv"
	"strings"
	"unsafe"

	"weir/proxy/prepared"
	"weir/proxy/session"
	"weir/proxy/sqlscan"
)

// scope is what a statement's text means where it is parsed now. Clients share a statement only if its scope is the same.
type scope struct {
	key     string // of the settings that are known to be in force
	set     *session.Set
	params  []session.Setting
	known   bool
	altered alteration
	private string // of the present client, from one alteration to the next
}

// alteration is what may have been done since the last moment at which the settings in force were known.
type alteration uint8

const (
	unaltered   alteration = iota
	alteredMore            // a setting has been changed, perhaps one that changes what texts mean, or there may be temporary objects
)

// alters are the effects after which the settings in force are not those that are known.
const alters = sqlscan.Set | sqlscan.SetLocal | sqlscan.Reset | sqlscan.SetConfig | sqlscan.SetConfigLocal | sqlscan.Do | sqlscan.Call |
	sqlscan.Opaque | sqlscan.Discard

// noteAlteration takes note of a text that is about to be sent.
func (s *Server) noteAlteration(e sqlscan.Effects) {
	if altering(e) {
		s.alterScope()
	}
}

// altering reports whether a text may change what texts mean.
func altering(e sqlscan.Effects) bool {
	return e&alters != 0 && e&benign == 0 || e&sqlscan.Temp != 0 // after the latter another object may be in front
}

// alterScope is for what may change the meaning of the texts that are parsed from now on. Those parsed before, under an earlier change in the same
// transaction, may mean something else: the private scope ends with each change.
func (s *Server) alterScope() {
	s.scope.altered, s.scope.private = alteredMore, ""
}

// settleScope is for the end of a transaction: what it changed locally is gone, and what it changed for good is in the pins. Temporary objects
// are what texts may refer to for as long as they keep the backend.
func (s *Server) settleScope() {
	if s.doubtful()&(session.SettingChanged|session.Opaque) == 0 && s.pins&session.TempObject == 0 && !s.audit.due {
		s.scope.altered, s.scope.private = unaltered, ""
	}
}

// private begins the keys of scopes that nobody shares. No key of settings begins so.
const private = "\xff"

// moves reports whether a statement that has to be prepared on the backend may mean something else there than where its client has prepared it:
// prepared as it is, others that share it would find that. Where the settings in force are not known, only a text with literals is taken to, of those that
// others share.
func (s *Server) moves(statement *prepared.Statement) bool {
	switch {
	case statement == nil || statement.Own() || statement.Scope() == s.scopeKey():
		return false
	case s.scope.altered == unaltered:
		return true
	}
	return !strings.HasPrefix(statement.Scope(), private) && statement.Literal()
}

// elsewhere reports whether a statement that others share is used in another scope than its own, where its literals may mean something else.
func (s *Server) elsewhere(statement *prepared.Statement) bool {
	return statement.Literal() && statement.Scope() != s.scopeKey() && !strings.HasPrefix(statement.Scope(), private)
}

// rereads prepares for a statement to be used: one that the server may have read anew in another scope is given up, and prepared once more, unless it is
// used elsewhere again.
func (s *Server) rereads(f *Flow, statement *prepared.Statement, elsewhere bool) {
	if !elsewhere && s.book.Misread(statement) {
		f.out = s.book.GiveUp(f.out, &s.account, statement)
	}
}

// move has a name mean its text as that is read now, where its statement moves, and returns what it means.
func (s *Server) move(c *Client, name []byte, statement *prepared.Statement) *prepared.Statement {
	if s.moves(statement) {
		return s.shared.Statements.Move(&c.names, name, s.scopeKey(), s.mode)
	}
	return statement
}

// scopeKey is the scope of a text that is parsed now. Where the settings in force are not known it is one that was never given
// before and that only the present lease has.
func (s *Server) scopeKey() string {
	x := &s.scope
	if x.altered != unaltered {
		if x.private == "" {
			x.private = private + strconv.FormatUint(s.shared.pool().texts.Number(), 36)
		}
		return x.private
	}
	if !x.known || x.set != s.set || !sameList(x.params, s.params) {
		x.key, x.set, x.params, x.known = s.shared.scopeOf(s.set, s.params), s.set, s.params, true
	}
	return x.key
}

// scopeOf is the key of the settings that can change what a text means. What a server reports is what holds, in the server's own
// spelling; the rest is as the client gave it.
func (h *Shared) scopeOf(set *session.Set, params []session.Setting) string {
	var space [512]byte
	key := session.AppendMeaning(space[:0], params)
	for _, setting := range set.Settings() {
		if !reported(params, setting.Name) {
			key = session.AppendMeaning(key, []session.Setting{setting})
		}
	}
	if known, ok := h.scopes[string(key)]; ok {
		return known
	}
	owned := string(key)
	h.scopes = remember(h.scopes, scopesMax, owned, owned)
	return owned
}

func reported(params []session.Setting, name string) bool {
	for _, p := range params {
		if session.SameName(p.Name, name) {
			return true
		}
	}
	return false
}

func sameList(a, b []session.Setting) bool {
	return len(a) == len(b) && unsafe.SliceData(a) == unsafe.SliceData(b)
}
