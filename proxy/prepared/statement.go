// Package prepared keeps the books of named prepared statements that clients share: which text each client's names stand for,
// which of them a backend holds, and what the answers under way will change in that.
//
// A client's name means a Statement, which is one for all clients of a pool whose Parse had the same text and parameter types.
// On backends it goes by a name of weir's own. It is prepared on a backend when it is first needed there and stays, up to a
// bound, whichever client the backend serves.
//
// It is pure: no I/O, no clock. A Table and all that refers to it belong to one loop; Texts is what the tables of a pool's lanes have in
// common. It may import proxy/sqlscan, proxy/wire and the standard library.
package prepared

import (
	"bytes"
	"encoding/binary"
	"strings"

	"weir/proxy/sqlscan"
	"weir/proxy/wire"
)

// prefix begins every name that weir gives a statement on a backend. The clients' own names never reach a backend while
// statements are shared, unless they begin otherwise and stand for nothing.
const prefix = "weir_"

// Statement is a text with its parameter types, prepared by one client or many.
type Statement struct {
	name    string // on backends
	scope   string // in which the text was parsed
	parse   string // a Parse message's body after the name; empty if it is a client's own
	effects sqlscan.Effects
	mode    sqlscan.Mode // how the text was read for effects
	key     string       // in the table; empty once it is no longer there
	called  *called      // while it is there
	table   *Table
	print   uint64 // 0: not computed yet
	columns uint64 // a digest of those that clients were told of; 0: none was
	literal bool   // see Literal
	refs    int

	next, prev *Statement // in Table.resting, while there is no reference to it
}

// Name is what the statement is called on backends.
func (s *Statement) Name() string { return s.name }

// Own reports that the statement is one client's and lives on one backend only.
func (s *Statement) Own() bool { return s.parse == "" }

// Text is the SQL text; empty for a client's own, which is not kept.
func (s *Statement) Text() string {
	text, _, _ := strings.Cut(s.parse, "\x00")
	return text
}

// endsTransaction reports whether a failed transaction takes the statement (IsTransactionExitStmt in PostgreSQL's
// src/backend/tcop/postgres.c), or whether there is none in it.
func (s *Statement) endsTransaction() bool {
	return sqlscan.ExitsTransaction([]byte(s.Text()), s.mode)
}

// Effects is what the text may do to its session, as backends read it that were in that mode or in one asked for before: a text is
// read when it is parsed, and may be run when the mode is another.
func (s *Statement) Effects(mode sqlscan.Mode) sqlscan.Effects {
	if mode != s.mode && !s.Own() {
		text, _, _ := bytes.Cut([]byte(s.parse), []byte{0})
		s.effects, s.mode = s.effects|s.table.read(text, mode), mode
	}
	return s.effects
}

// Fingerprint is that of the text, as sqlscan has it; of a client's own it is always the same.
func (s *Statement) Fingerprint() uint64 {
	if s.print == 0 {
		s.print = max(sqlscan.Identify([]byte(s.Text()), s.mode), 1)
	}
	return s.print
}

// Told reports whether a client was told of the columns of the result, and so may know them.
func (s *Statement) Told() bool { return s.columns != 0 }

// Outdated reports whether the result may have other columns where the text is prepared from now on: the schema has changed since a client has
// prepared it, or nobody knows, because it is not shared.
func (s *Statement) Outdated() bool {
	if s.Own() {
		return false
	}
	s.table.follow()
	return s.called == nil
}

// Learn enters the effects of a statement whose text has been read elsewhere.
func (s *Statement) Learn(e sqlscan.Effects) { s.effects = e }

// size is what the statement counts against the limit of a client that has it.
func (s *Statement) size() int { return len(s.parse) + statementOverhead }

// statementOverhead is about what weir needs for a statement besides its text.
const statementOverhead = 256

// Table holds the statements of one lane. Its zero value is empty and ready.
type Table struct {
	Totals Totals
	Texts  *Texts                                               // of the pool; nil: the lane has its own. Fixed before the first use
	Read   func(text []byte, mode sqlscan.Mode) sqlscan.Effects // what a text may do; nil: sqlscan.Scan

	statements map[string]*Statement // by key, those that may be shared
	named      map[string]*Statement // by name, these and those that somebody has still
	forgotten  uint64                // see Texts
	resting    resting
}

func (t *Table) read(text []byte, mode sqlscan.Mode) sqlscan.Effects {
	if t.Read != nil {
		return t.Read(text, mode)
	}
	return sqlscan.Scan(text, mode)
}

// resting are the statements without a reference, the one left longest ago at the end. They are kept for clients that parse
// the same text next: most drivers parse the unnamed statement for each query, of a few different ones.
type resting struct {
	first, last *Statement
	count       int
	bytes       int
}

// The limits of what a table keeps without a reference.
const (
	restingMax      = 512
	restingBytesMax = 256 << 10
)

func (r *resting) add(s *Statement) {
	s.next, s.prev = r.first, nil
	if r.first != nil {
		r.first.prev = s
	} else {
		r.last = s
	}
	r.first = s
	r.count++
	r.bytes += s.size()
}

func (r *resting) remove(s *Statement) {
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		r.first = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	} else {
		r.last = s.prev
	}
	s.next, s.prev = nil, nil
	r.count--
	r.bytes -= s.size()
}

// Totals count what became of the clients' named statements, over all backends.
type Totals struct {
	Passed    uint64 // Parses of clients that a server was sent
	Saved     uint64 // Parses of clients that a server was not sent, because the backend held the statement already
	Repeated  uint64 // Parses of weir's own, because a client uses on one backend what was prepared on another
	Closed    uint64 // statements that made room on a backend
	Forgotten uint64 // statements that are no longer shared, because the schema has changed
}

// Named returns the statement that backends know by a name; nil: none.
func (t *Table) Named(name string) *Statement { return t.named[name] }

// Len is the number of statements that clients have and that a new Parse may share.
func (t *Table) Len() int { return len(t.statements) - t.resting.count }

// Text is what a Parse has prepared.
type Text struct {
	Body  []byte       // of the message, after the name: the text, and the types of its parameters
	Scope string       // tells apart what alters the meaning of a text: the settings in force where it is parsed
	Mode  sqlscan.Mode // how it is read for effects
}

// Intern returns the statement for a text. n are the client's names: it gets another statement for the same text under each name,
// because an error speaks of a statement and the client must hear its name for it. The caller owns a reference. The body is copied.
func (t *Table) Intern(text Text, n *Names) *Statement {
	s := t.intern(text, 0)
	for nth := byte(1); nth != 0 && s.refs > 1 && n.means(s); nth++ {
		s.release()
		s = t.intern(text, nth)
	}
	return s
}

// Renew has a client's name mean its text as that is parsed from now on, in the place of a statement that a server does not run any more
// because its result has changed. It returns what the name means then: the same as before, if that is nothing, or if its text meant something else than it
// would mean in scope.
func (t *Table) Renew(n *Names, name []byte, scope string, mode sqlscan.Mode) *Statement {
	old := n.Statement(name)
	if !old.Renewable(scope) {
		return old
	}
	return t.Move(n, name, scope, mode)
}

// Move has a client's name, which means something, mean its text as that is parsed in scope, and returns the statement. What is still said of the one
// that it has meant is said of the name.
func (t *Table) Move(n *Names, name []byte, scope string, mode sqlscan.Mode) *Statement {
	old := n.Statement(name)
	n.goes(spoken{name: string(name), onBackend: old.name})
	s := t.Intern(Text{[]byte(old.parse), scope, mode}, n)
	n.set(string(name), s).release()
	return s
}

// MoveUnnamed does so with the unnamed statement.
func (t *Table) MoveUnnamed(n *Names, scope string, mode sqlscan.Mode) {
	old := n.unnamed
	n.unnamed = t.intern(Text{[]byte(old.parse), scope, mode}, 0)
	old.release()
}

// Scope is the one in which the text was parsed; empty for a client's own.
func (s *Statement) Scope() string { return s.scope }

// Literal reports whether the text may have literals, whose meaning settings decide.
func (s *Statement) Literal() bool { return s.literal }

func hasLiterals(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\'' || c == '\\' || c >= 0x80:
			return true
		case c == '$' && (i+1 == len(text) || text[i+1] < '0' || text[i+1] > '9'):
			return true
		case c == '=' && besideNull(text[:i], text[i+1:]): // see transform_null_equals
			return true
		}
	}
	return false
}

// besideNull reports whether NULL ends one text or begins another.
func besideNull(before, behind string) bool {
	const null = "null"
	before, behind = strings.TrimRight(before, " \t\r\n"), strings.TrimLeft(behind, " \t\r\n")
	return len(before) >= len(null) && strings.EqualFold(before[len(before)-len(null):], null) || len(behind) >= len(null) && strings.EqualFold(behind[:len(null)], null)
}

// Renewable reports whether Renew can do so: nil has no text, and what was prepared in another scope means something else in this one.
func (s *Statement) Renewable(scope string) bool {
	return s != nil && !s.Own() && s.scope == scope
}

// Has reports whether the statement for a Parse message's body is there.
func (t *Table) Has(scope string, body []byte) bool {
	var space [512]byte
	return t.statements[string(appendKey(space[:0], scope, 0, body))] != nil
}

func appendKey(key []byte, scope string, nth byte, body []byte) []byte {
	key = binary.AppendUvarint(key, uint64(len(scope)))
	return append(append(append(key, scope...), nth), body...)
}

// intern is Intern for the statement that a client has under the nth name of the same text.
func (t *Table) intern(text Text, nth byte) *Statement {
	t.follow()
	scope, body, mode := text.Scope, text.Body, text.Mode
	var space [512]byte
	key := appendKey(space[:0], scope, nth, body)
	if s := t.statements[string(key)]; s != nil {
		if s.refs == 0 {
			t.resting.remove(s)
		}
		s.refs++
		s.Effects(mode)
		return s
	}
	owned := string(key)
	sql, _, _ := bytes.Cut(body, []byte{0})
	called := t.pool().retain(owned)
	parse := owned[len(key)-len(body):]
	return t.enter(&Statement{
		name: called.name, called: called, parse: parse, key: owned, table: t, literal: hasLiterals(parse[:len(sql)]),
		scope:   owned[len(key)-len(body)-1-len(scope) : len(key)-len(body)-1],
		effects: t.read(sql, mode), mode: mode, refs: 1,
	})
}

// appendParse appends a Parse of a name, whose body goes on with rest.
func appendParse(out []byte, name, rest string) []byte {
	out = append(out, wire.ClientParse)
	out = binary.BigEndian.AppendUint32(out, uint32(4+len(name)+1+len(rest)))
	out = append(append(out, name...), 0)
	return append(out, rest...)
}

// own makes a statement that is not shared and cannot be prepared a second time.
func (t *Table) own() *Statement {
	return t.enter(&Statement{name: t.pool().own(), table: t, refs: 1})
}

// Forget makes every Parse that comes from now on prepare its text anew, because what the texts refer to has changed. The
// statements that clients have stay theirs.
func (t *Table) Forget() {
	t.pool().forget()
	t.follow()
}

func (s *Statement) retain() *Statement {
	if s != nil {
		s.refs++
	}
	return s
}

// release gives up a reference. A statement without one rests.
func (s *Statement) release() {
	if s == nil {
		return
	}
	s.refs--
	switch {
	case s.refs < 0:
		panic("prepared: a statement was released once too often")
	case s.refs == 0 && s.key != "":
		s.table.rest(s)
	case s.refs == 0:
		delete(s.table.named, s.name)
	}
}

// rest keeps s for the next client that parses its text, in the place of those that were left longest ago.
func (t *Table) rest(s *Statement) {
	t.resting.add(s)
	for t.resting.count > restingMax || t.resting.bytes > restingBytesMax {
		oldest := t.resting.last
		t.resting.remove(oldest)
		t.leave(oldest)
	}
}

// NameMax is how much of a name counts: PostgreSQL's tables of statements and portals have keys of NAMEDATALEN bytes, the last of
// which is zero (src/backend/commands/prepare.c, dynahash.c).
const NameMax = wire.NameMax

// Cut shortens a name in a message as PostgreSQL does.
func Cut(name []byte) []byte { return name[:min(len(name), NameMax)] }

// Ours reports whether a client uses a name that only weir gives.
func Ours(name []byte) bool { return bytes.HasPrefix(name, []byte(prefix)) }

// Spoken returns where p mentions a statement by weir's name; from is len(p) if it does not.
func Spoken(p []byte) (from, to int) {
	from = bytes.Index(p, []byte(prefix))
	if from < 0 {
		return len(p), len(p)
	}
	to = from + len(prefix)
	for to < len(p) && (p[to] >= '0' && p[to] <= '9' || p[to] >= 'a' && p[to] <= 'z') {
		to++
	}
	return from, to
}
