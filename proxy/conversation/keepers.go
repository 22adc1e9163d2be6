package conversation

import (
	"bytes"
	"cmp"
	"regexp"
	"slices"
	"strings"

	"weir/proxy/ascii"
	"weir/proxy/session"
	"weir/proxy/sqlscan"
)

// keepers are functions of the database of which the texts show that they may leave something in the session, with those that call them, and the
// tables, views and domains that do so by triggers, rules and the like. A statement that names one may leave it each time, however often it has left
// nothing: a lock that was not to be had, a branch that was not taken, a text that the function was given to run. What they leave in the server's process, and settings whose names are made up, nobody
// can be asked about: that keeps the backend.
type keepers struct {
	all   []keeper // sorted
	leave map[string]kept
	deep  map[string]kept // those of which nobody can be asked what they have left, by the last word of their names
}

// keeper is a function, table, view or domain, by its name in lower case, and something that it may leave: one of pinsLeft, leavesBlind, or
// settingLeft and a name. A bracket is behind the name of a function, and = behind that of a table which leaves it when it is written only. What event
// triggers leave is that of onDefinitions.
type keeper struct{ name, leaves string }

// kept is what a text may leave that calls keepers.
type kept struct {
	pins     session.Pins
	blind    bool     // a setting of which nothing shows the name
	settings []string // settings, by name
}

// What functions may leave.
const (
	leavesProcess = "process" // seeds of random(), libraries, connections of dblink
	leavesBlind   = "blind"
	leavesAny     = "any" // they run a text that is not written in them
	leavesLock    = "lock"
	leavesListen  = "listen"
	leavesTemp    = "temp"
	leavesCursor  = "cursor"
	leavesPrepare = "prepare"
	settingLeft   = "set "
)

// pinsLeft are what keepers leave that pins.
var pinsLeft = map[string]session.Pins{
	leavesProcess: session.Process, leavesAny: session.Opaque, leavesLock: session.AdvisoryLock, leavesListen: session.Listen,
	leavesTemp: session.TempObject, leavesCursor: session.HeldCursor, leavesPrepare: session.SQLPrepare,
}

// lasting is what the text of DO has that leaves something in the server's process.
var lasting = [...]string{
	"setseed", "set seed", "local seed", "session seed", "'seed'", "load '", "dblink_connect", "dblink_open", "pg_backup_start", "pg_start_backup",
	"pg_replication_origin_session_setup", "_replication_slot", "isn_weak",
	"$_shared", "%_shared", "gd[", // what PL/Perl and PL/Python keep for all functions of a session
}

// mentionsLasting reports whether a text of which anything may come seems to leave something in the server's process.
func mentionsLasting(text []byte) bool {
	return slices.ContainsFunc(lasting[:], func(s string) bool { return mentions(text, s) })
}

// makesUp is what a text in lower case has that may make up the name of a setting, in the words that PostgreSQL's regular expressions and Go's have in
// common: set_config with something else than a literal, and with something else than true at its end; a string that begins with SET and a name with a dot and a part from elsewhere, as format and
// || put it there; and an EXECUTE of SET and a name from elsewhere. The pieces of an UPDATE are none of these, nor is SET LOCAL.
const makesUp = `set_config"?\s*\(\s*([^'[:space:],]|'+[^']*'+\s*\|\|)` + argument + `,` + argument + `,\s*` + notTrue +
	`|` + opens + `[a-z0-9_"%$]*\.[a-z0-9_."]*(%|` + closes + `)` +
	`|` + opens + `[a-z0-9_"]*%[a-z0-9_"%$]*\.` +
	`|execute\s+(format\s*|concat\s*)?\(*\s*` + opens + `(%|` + closes + `)`

const (
	// argument is the rest of an argument, with brackets in it up to the second depth.
	argument = `([^(),;']|'[^']*'|\(([^();']|'[^']*'|\(([^();']|'[^']*')*\))*\))*`
	// notTrue is the beginning of an argument that is more or something else than true.
	notTrue = `([^t[:space:]]|t([^r]|r([^u]|u([^e]|e\s*[^)[:space:]]))))`
)

// The beginning and the end of a string in which a setting is set.
const (
	opens  = `('+|\$\w*\$)\s*set\s+(session\s+)?`
	closes = `('+|\$\w*\$)\s*(\|\||,)`
)

var makesUpSetting = regexp.MustCompile(makesUp)

// makesUp reports whether a text of which anything may come seems to set a setting whose name it makes up, or names a keeper that does.
func (k *keepers) makesUp(text []byte) bool {
	return makesUpSetting.Match(bytes.ToLower(text)) || k.mentioned(text).blind
}

// keep takes up which functions the database has of that kind. What is known of statements is forgotten if they are others than before.
func (h *Shared) keep(found []keeper) {
	slices.SortFunc(found, func(a, b keeper) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.leaves, b.leaves))
	})
	if found = slices.Compact(found); slices.Equal(found, h.keepers.all) {
		return
	}
	h.keepers = newKeepers(found)
	known := h.customs.known
	h.Renew()
	h.customs.known = known
}

func newKeepers(all []keeper) keepers {
	k := keepers{all: all, leave: map[string]kept{}, deep: map[string]kept{}}
	for _, f := range all {
		b := k.leave[f.name]
		b.pins |= pinsLeft[f.leaves]
		b.blind = b.blind || f.leaves == leavesBlind
		word := kept{pins: pinsLeft[f.leaves], blind: f.leaves == leavesBlind}
		if name, is := strings.CutPrefix(f.leaves, settingLeft); is {
			b.settings = append(b.settings, name)
			if session.Unshown(name) {
				word.settings = []string{name}
			}
		}
		k.leave[f.name] = b
		if f.name != onDefinitions && (f.leaves == leavesProcess || word.blind || word.settings != nil) {
			name := strings.TrimRight(f.name, "(=")
			name = name[strings.LastIndexFunc(name, func(r rune) bool { return !inWord(byte(min(r, 0xff))) })+1:]
			word.add(k.deep[name])
			k.deep[name] = word
		}
	}
	return k
}

// mentioned is what nobody can be asked about of what a text leaves by the keepers whose names stand anywhere in it.
func (k *keepers) mentioned(text []byte) kept {
	var m mention
	m.feed(k, text)
	return m.end(k)
}

// mention is mentioned, for a text that comes in pieces.
type mention struct {
	word    [64]byte // a name is no longer
	n       int
	escaped bool // the next byte, behind a backslash, is no part of a name: a line break in a string, as \n
	left    kept
}

// feed takes the next bytes.
func (m *mention) feed(k *keepers, p []byte) {
	if len(k.deep) == 0 {
		return
	}
	for _, c := range p {
		switch {
		case m.escaped:
			m.escaped = false
		case inWord(c):
			if m.n < len(m.word) {
				m.word[m.n] = ascii.Lower(c)
				m.n++
			}
		default:
			m.ends(k)
			m.escaped = c == '\\'
		}
	}
}

func (m *mention) ends(k *keepers) {
	if m.n > 0 {
		m.left.add(k.deep[string(m.word[:m.n])])
		m.n = 0
	}
}

// end takes the end of the text.
func (m *mention) end(k *keepers) kept {
	m.ends(k)
	return m.left
}

// inWord reports whether a byte may be part of a name that needs no quotes.
func inWord(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || ascii.Lower(c) >= 'a' && ascii.Lower(c) <= 'z'
}

// leftBy says what a text may leave by the keepers that it names.
func (h *Shared) leftBy(text []byte, mode sqlscan.Mode) (all kept) {
	if !h.keepers.some() {
		return kept{}
	}
	var written kept
	writes, before := false, ""
	definitions := h.keepers.leave[onDefinitions]
	sqlscan.Names(text, mode, func(name string, called bool) {
		dot := strings.LastIndexByte(name, '.')
		last := name[dot+1:]
		all.add(h.keepers.leave[last]) // INSERT INTO t (...) is no call
		written.add(h.keepers.leave[last+"="])
		if called || dot >= 0 { // t.f calls f(t)
			all.add(h.keepers.leave[last+"("])
		}
		if definitions.some() && definitionWords[name] {
			all.add(definitions)
			definitions = kept{}
		}
		writes = writes || writers[name] && before != "for" && before != "key"
		before = name
	})
	if writes {
		all.add(written)
	}
	return all
}

// writers are the words of which a text has one that writes into a table. SELECT FOR UPDATE does not.
var writers = map[string]bool{"insert": true, "update": true, "delete": true, "merge": true, "truncate": true, "copy": true}

// onDefinitions is the name of the keeper that is any command which defines something.
const onDefinitions = "*"

// definitionWords are the words of which such a command has one.
var definitionWords = map[string]bool{
	"create": true, "alter": true, "drop": true, "grant": true, "revoke": true, "comment": true, "refresh": true, "reindex": true, "security": true, "import": true, "into": true,
}

func (k *kept) add(more kept) {
	k.pins |= more.pins
	k.blind = k.blind || more.blind
	k.settings = append(k.settings, more.settings...)
}

// some reports whether there are any.
func (k *keepers) some() bool { return len(k.leave) > 0 }

// some reports whether there is anything.
func (k *kept) some() bool { return k.pins != 0 || k.blind || len(k.settings) > 0 }

// runsTexts reports whether a keeper runs a text that is not written in it.
func (k *kept) runsTexts() bool { return k.pins&session.Opaque != 0 }

// listens reports whether what the session listens to may be something else then.
func (k *kept) listens() bool { return k.pins&(session.Listen|session.Opaque) != 0 }

// keeps notes what a statement may have left.
func (s *Server) keeps(k *kept) {
	if k.pins != 0 {
		s.doubt(k.pins)
	}
	if k.blind {
		s.doubtSettings(nil)
		s.question.blind = true
	}
	if len(k.settings) > 0 {
		s.doubtSettings(k.settings)
	}
	if k.pins&session.Opaque != 0 || k.blind || len(k.settings) > 0 {
		s.alterScope()
	}
}
