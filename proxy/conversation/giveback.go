package conversation

import (
	"slices"
	"strconv"
	"strings"

	"weir/proxy/ascii"
	"weir/proxy/session"
	"weir/proxy/sqlscan"
	"weir/proxy/wire"
)

// What a client's login gave is, for the server, something that the session has set: RESET and SET ... TO DEFAULT take it back to what the
// backend's login gave. So weir has the server set it again right behind such a command: in the text of a Query behind the command's last
// word, and behind the Execute that runs one. No word of the client's is changed, and what follows, in the same text or pipeline, finds
// what it would find directly. The answers to what weir has put in are swallowed, and positions that an error tells are those in the
// client's text. DISCARD ALL, behind which nothing can stand in a text, is followed by a Restore (see withholdsReady).

// use is a SET or a RESET of a client's, and what weir has set right behind it.
type use struct {
	sqlscan.SettingUse
	more    []sqlscan.SettingUse // the other settings of the same command
	given   []given
	answers uint32 // messages of the server's that answer what is given
}

// given is a setting that weir gives back.
type given struct {
	session.Setting
	local bool
	form  session.SetForm
}

// givesBack are the settings that weir has set behind each of the commands, which are about to be sent in a text. False: there are none.
// alone reports whether nothing else stands in the text.
func (s *Server) givesBack(uses []use, alone func(u *use) bool) (some bool) {
	if s.client == nil || len(s.client.Login.Settings()) == 0 || s.account.Skipping() || s.Copying() {
		return false
	}
	for i := range uses {
		u := &uses[i]
		if u.given = nil; u.Local && s.account.Quiet() && alone(u) {
			continue // it holds for this text only, and the server warns of that where the text has no second command
		}
		for _, o := range s.loginGave(u.SettingUse) {
			u.given = append(u.given, given{Setting: o, local: u.Local, form: session.FormOf(o)})
			some = true
		}
	}
	return some
}

// loginGave is what the client's login gave of what a command resets.
func (s *Server) loginGave(u sqlscan.SettingUse) []session.Setting {
	login := s.client.Login
	if as := login.As(); as != nil {
		login = as
	}
	if u.Kind != sqlscan.ResetAll {
		name := u.Name
		if name == authorization {
			name = "role" // which the server resets with it
		}
		value, has := login.Value(name)
		if !has || u.Kind != sqlscan.SetDefault {
			return nil
		}
		return []session.Setting{{Name: name, Value: value}}
	}
	return slices.DeleteFunc(slices.Clone(login.Settings()), func(o session.Setting) bool {
		return o.Name == "role" || o.Name == authorization // which it does not touch
	})
}

// sets is what the command does to the client's settings, and what is given.
func (u *use) sets() []sqlscan.SettingUse {
	all := append([]sqlscan.SettingUse{u.SettingUse}, u.more...)
	for _, g := range u.given {
		all = append(all, sqlscan.SettingUse{Kind: sqlscan.SetValue, Name: g.Name, Value: g.Value, Local: g.local})
	}
	return all
}

// edit is a change of weir's to a client's text.
type edit struct {
	at     int // characters before it, of the text as it was; -1: nobody can tell
	gone   int // characters that it has taken out there
	length int // characters that it has put in
}

// edits are the changes to one text.
type edits struct {
	names []edit // for names of prepared statements: first
	given []edit // for what is given back: then, so their places are in what the others have left
	runs  []run
}

// run is a command that runs a prepared statement. An error of it may tell a place in the text of that.
type run struct {
	command  int // its number in the text
	from, to int // where its arguments are, in characters of the text with the names exchanged
}

// counter counts the characters of a text, part by part.
type counter struct {
	s *Server
	n int // so far; -1: that cannot be told
}

// pass adds the next part, and returns the sum.
func (c *counter) pass(text []byte) int {
	if n := c.s.characters(text); n < 0 || c.n < 0 {
		c.n = -1
	} else {
		c.n += n
	}
	return c.n
}

// givenTextMost bounds a text with what is given in it, in bytes: a short one may reset all a thousand times, and what a login gave is long.
const givenTextMost = 64 << 10

// putBehind is the text with what is given put behind each command that gives. False: it would be too long.
func (s *Server) putBehind(text []byte, uses []use) (out []byte, put []edit, fits bool) {
	from, before := 0, counter{s: s}
	for i := range uses {
		if len(uses[i].given) == 0 {
			continue
		}
		to := uses[i].To
		out = append(out, text[from:to]...)
		characters := before.pass(text[from:to])
		from = to
		at := len(out)
		for _, g := range uses[i].given {
			out = session.AppendSet(append(out, ';'), g.Setting, g.local, g.form)
			uses[i].answers++
			if g.form == session.AsQuery {
				uses[i].answers++ // its row's description
			}
		}
		if len(out) > givenTextMost {
			return nil, nil, false
		}
		put = append(put, edit{at: characters, length: len(out) - at})
	}
	return append(out, text[from:]...), put, true
}

// noEncoding is the encoding of text of which the server knows the bytes alone.
const noEncoding = "SQL_ASCII"

// characters is how many characters a text has, as the server counts them; -1: that cannot be told.
func (s *Server) characters(text []byte) (n int) {
	if ascii.Only(text) {
		return len(text)
	}
	encoding, _ := valueOf(s.params, "client_encoding")
	if server, _ := valueOf(s.params, "server_encoding"); server == noEncoding || encoding == noEncoding {
		encoding = server // nothing is converted
	}
	switch {
	case encoding == "UTF8":
		for _, c := range text {
			if c&0xc0 != 0x80 {
				n++
			}
		}
		return n
	case encoding == noEncoding, strings.HasPrefix(encoding, "LATIN"), strings.HasPrefix(encoding, "WIN"), strings.HasPrefix(encoding, "ISO_8859"), strings.HasPrefix(encoding, "KOI8"):
		return len(text)
	}
	return -1
}

// Names of what weir prepares and binds for itself behind an Execute. The client's unnamed statement and portal are left alone.
const (
	givingStatement = "weir gives back what the login gave"
	givingPortal    = givingStatement
)

// giveBehind sends what is given behind an Execute.
func (s *Server) giveBehind(f *Flow, m *message, u *use) {
	f.upTo(m.end())
	u.answers = uint32(len(u.given) * len(givingTypes))
	for _, g := range u.given {
		sql := session.AppendSet(nil, g.Setting, g.local, g.form)
		f.out = wire.AppendClose(f.out, 'S', givingStatement) // left by one that has failed, of whichever client
		f.out = wire.AppendParse(f.out, givingStatement, string(sql), nil)
		f.out = append(f.out, givingMessages...)
		for _, t := range givingTypes {
			s.pass(t)
		}
	}
}

// givingMessages are what follows the Close and the Parse, and givingTypes are the types of all.
var (
	givingMessages = func() []byte {
		p := wire.AppendBindNames(nil, givingPortal, givingStatement)
		p = wire.AppendExecuteOf(p, givingPortal)
		p = wire.AppendClose(p, 'P', givingPortal)
		return wire.AppendClose(p, 'S', givingStatement)
	}()
	givingTypes = [...]byte{wire.ClientClose, wire.ClientParse, wire.ClientBind, wire.ClientExecute, wire.ClientClose, wire.ClientClose}
)

// takeGiving judges a server's message while what weir has put in is under way. True: the client does not get it.
func (s *Server) takeGiving(t byte, body []byte) bool {
	switch t {
	case wire.ServerNoticeResponse: // a second warning of a SET LOCAL outside of a transaction, say
		return !strings.HasPrefix(string(wire.PeekErrorField(body, wire.FieldCode)), intervention)
	case wire.ServerParseComplete, wire.ServerBindComplete, wire.ServerRowDescription, wire.ServerCommandComplete, wire.ServerCloseComplete:
		s.giving--
		s.account.Server(t)
		s.ledger.settle(s.account.Answered())
		return true
	case wire.ServerErrorResponse, wire.ServerReadyForQuery:
		s.giving = 0
	}
	return false
}

// intervention is the class of the codes with which a server tells why it ends connections.
const intervention = "57"

// relocated is the body of an error or a notice as it would be without what weir has done to the text, of which so many commands are done.
// False: it tells no position that differs.
func relocated(body []byte, made *edits, done int) (moved []byte, changed bool) {
	if len(made.names) == 0 && len(made.given) == 0 {
		return body, false
	}
	told, err := strconv.Atoi(string(wire.PeekErrorField(body, wire.FieldPosition)))
	if err != nil {
		return body, false
	}
	at := unedited(told, made.given)
	for _, r := range made.runs {
		if r.command == done && !readingText(body) && (at-1 < r.from || at-1 >= r.to) {
			return body, false
		}
	}
	if at > 0 {
		at = unedited(at, made.names)
	}
	switch at {
	case told:
		return body, false
	case 0:
		return wire.ExchangeErrorField(body, wire.FieldPosition, ""), true
	}
	return wire.ExchangeErrorField(body, wire.FieldPosition, strconv.Itoa(at)), true
}

// readingText reports whether an error or a notice comes of reading a text, which the server does before it runs any of it. What is prepared
// has been read.
func readingText(body []byte) bool {
	switch string(wire.PeekErrorField(body, wire.FieldCode)) {
	case "42601", "22P06", "22025": // syntax_error, nonstandard_use_of_escape_character, invalid_escape_sequence
		return true
	}
	return false
}

// unedited is where a position, which counts from 1, was before some edits; 0: nobody can tell. One within weir's words was where these are.
func unedited(position int, made []edit) int {
	at := position - 1
	for _, e := range made {
		switch {
		case e.at < 0:
			return 0
		case at < e.at:
			return at + 1
		case at < e.at+e.length:
			return e.at + 1
		}
		at += e.gone - e.length
	}
	return at + 1
}

// relocateNotice has a notice at pos tell the position in the client's text.
func (s *Server) relocateNotice(f *Flow, message []byte, pos int) {
	e := s.ledger.at(s.account.Answered() + 1)
	if e == nil {
		return
	}
	if body, moved := relocated(message[wire.HeaderLen:], &e.made, e.done); moved {
		f.upTo(pos)
		f.out = wire.AppendNoticeBody(f.out, body)
		f.replaced(pos + len(message))
	}
}

// withheld is a ReadyForQuery that waits until a backend whose client has discarded all of its session's state has what the client's login
// gave. What the server reports meanwhile is news to the client only if it is still so then.
type withheld struct {
	discarded bool
	owed      wire.TxStatus // 0: none
}

// withholdsReady reports whether a ReadyForQuery has to wait.
func (s *Server) withholdsReady(status wire.TxStatus) bool {
	w := &s.withheld
	if status != wire.TxIdle || s.client == nil || !s.account.Settled() || s.Doubtful() || s.retry.state == retryFailed || s.set == s.client.Set {
		w.discarded = false
		return false
	}
	w.owed = status
	return true
}

// TakeReady appends the ReadyForQuery that was withheld, if there is one.
func (s *Server) TakeReady(dst []byte) []byte {
	if s.withheld.owed != 0 {
		dst = wire.AppendReadyForQuery(dst, s.withheld.owed)
	}
	s.withheld = withheld{}
	return dst
}
