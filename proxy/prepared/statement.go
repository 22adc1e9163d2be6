// Package prepared keeps the books of named prepared statements that clients share: which text each client's names stand for,
// which of them a backend holds, and what the answers under way will change in that.
//
// A client's name means a Statement, which is one for all clients of a pool whose Parse had the same text and parameter types.
// On backends it goes by a name of weir's own. It is prepared on a backend when it is first needed there and stays, up to a
// bound, whoever the backend serves.
//
// It is pure: no I/O, no clock. A Table and all that refers to it belong to one loop. It may import proxy/sqlscan,
// proxy/wire and the standard library.
package prepared

import (
	"bytes"
	"encoding/binary"
	"strconv"
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
	parse   string // a Parse message's body behind the name; empty if it is a client's own
	effects sqlscan.Effects
	mode    sqlscan.Mode // how the text was read for effects
	key     string       // in the table; empty once it is no longer there
	table   *Table
	refs    int
}

// Name is what the statement is called on backends.
func (s *Statement) Name() string { return s.name }

// Own reports that the statement is one client's and lives on one backend only.
func (s *Statement) Own() bool { return s.parse == "" }

// endsTransaction reports whether a failed transaction takes the statement (IsTransactionExitStmt in PostgreSQL's
// src/backend/tcop/postgres.c), or whether there is none in it.
func (s *Statement) endsTransaction() bool {
	text, _, _ := strings.Cut(s.parse, "\x00")
	first, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	switch strings.ToLower(strings.TrimRight(first, ";")) {
	case "", "commit", "rollback", "end", "abort":
		return true
	case "prepare":
		return strings.HasPrefix(strings.ToLower(strings.TrimSpace(rest)), "transaction")
	}
	return false
}

// Effects is what the text may do to its session, as a backend in that mode reads it.
func (s *Statement) Effects(mode sqlscan.Mode) sqlscan.Effects {
	if mode != s.mode {
		text, _, _ := bytes.Cut([]byte(s.parse), []byte{0})
		s.effects, s.mode = sqlscan.Scan(text, mode), mode
	}
	return s.effects
}

// Table holds the statements of one pool. Its zero value is empty and ready.
type Table struct {
	Totals Totals

	statements map[string]*Statement
	last       uint64
}

// Totals count what became of the clients' named statements, over all backends.
type Totals struct {
	Passed    uint64 // Parses of clients that a server was sent
	Saved     uint64 // Parses of clients that a server was not sent, because the backend held the statement already
	Repeated  uint64 // Parses of weir's own, because a client uses on one backend what was prepared on another
	Closed    uint64 // statements that made room on a backend
	Forgotten uint64 // statements that nobody shares any more, because the schema has changed
}

// Len is the number of statements that a new Parse may share.
func (t *Table) Len() int { return len(t.statements) }

// Intern returns the statement for a Parse message's body behind the name. scope tells apart what alters the meaning of a text:
// the settings of the client. n are the client's names: it gets another statement for the same text under each name, because an
// error speaks of a statement and the client must hear its name for it. The caller owns a reference. body is copied.
func (t *Table) Intern(scope uint32, body []byte, mode sqlscan.Mode, n *Names) *Statement {
	s := t.intern(scope, 0, body, mode)
	for nth := byte(1); nth != 0 && s.refs > 1 && n.means(s); nth++ {
		s.release()
		s = t.intern(scope, nth, body, mode)
	}
	return s
}

// keyHead is the length of what stands in front of the body in a key.
const keyHead = 5

func (t *Table) intern(scope uint32, nth byte, body []byte, mode sqlscan.Mode) *Statement {
	var space [512]byte
	key := append(append(space[:0], byte(scope), byte(scope>>8), byte(scope>>16), byte(scope>>24), nth), body...)
	if s := t.statements[string(key)]; s != nil {
		s.refs++
		return s
	}
	t.last++
	owned := string(key)
	text, _, _ := bytes.Cut(body, []byte{0})
	s := &Statement{
		name: prefix + strconv.FormatUint(t.last, 36), parse: owned[keyHead:], key: owned, table: t,
		effects: sqlscan.Scan(text, mode), mode: mode, refs: 1,
	}
	if t.statements == nil {
		t.statements = map[string]*Statement{}
	}
	t.statements[owned] = s
	return s
}

// appendParse appends the Parse that prepares the statement.
func (s *Statement) appendParse(out []byte) []byte {
	out = append(out, wire.ClientParse)
	out = binary.BigEndian.AppendUint32(out, uint32(4+len(s.name)+1+len(s.parse)))
	out = append(append(out, s.name...), 0)
	return append(out, s.parse...)
}

// own makes a statement that nobody shares and that cannot be prepared a second time.
func (t *Table) own() *Statement {
	t.last++
	return &Statement{name: prefix + strconv.FormatUint(t.last, 36), table: t, refs: 1}
}

// Forget makes every Parse that comes from now on prepare its text anew, because what the texts refer to has changed. The
// statements that clients have stay theirs.
func (t *Table) Forget() {
	t.Totals.Forgotten += uint64(len(t.statements))
	for _, s := range t.statements {
		s.key = ""
	}
	clear(t.statements)
}

func (s *Statement) retain() *Statement {
	if s != nil {
		s.refs++
	}
	return s
}

// release gives up a reference. What nobody refers to is forgotten.
func (s *Statement) release() {
	if s == nil {
		return
	}
	s.refs--
	switch {
	case s.refs < 0:
		panic("prepared: a statement was released once too often")
	case s.refs == 0 && s.key != "":
		delete(s.table.statements, s.key)
		s.key = ""
	}
}

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
