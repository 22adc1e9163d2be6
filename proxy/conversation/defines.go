package conversation

import (
	"bytes"
	"slices"
	"strings"

	"weir/proxy/sqlscan"
)

// deciding are the kinds of objects that decide what statements do.
var deciding = [...]string{
	"function", "procedure", "routine", "aggregate", "operator", "cast", "transform", "type", "domain", "view", "trigger", "rule", "policy", "extension", "schema",
}

// Changes are what commands have changed that other sessions go by, too, those of other pools among them.
type Changes uint8

// The changes.
const (
	ChangesTexts      Changes = 1 << iota // what texts may refer to: see reshapes
	ChangesStatements                     // what statements may do: see defines
	ChangesLogins                         // what logins get: see redefines
)

// changesOf are the changes of which a CommandComplete tells.
func changesOf(tag []byte, e sqlscan.Effects) (c Changes) {
	if reshapes(tag, e) {
		c |= ChangesTexts
	}
	if defines(tag) {
		c |= ChangesStatements
	}
	if redefines(tag) {
		c |= ChangesLogins
	}
	return c
}

// reshapes reports whether a CommandComplete tells of a change after which a text may refer to something else than it did, or have other columns or
// types. A Parse of it must reach the server then, which would find some of that only when the old statement is described or run, and nothing of
// it where an object stands in front of another one now. What is temporary has a scope of its own: it is made all the time. CREATE TABLE AS and
// its like answer as a query does, so there the text says it.
func reshapes(tag []byte, e sqlscan.Effects) bool {
	kind, _, _ := bytes.Cut(tag, []byte(" "))
	switch string(kind) {
	case "ALTER", "DROP", "IMPORT":
		return true
	case "CREATE":
		return string(tag) != "CREATE INDEX" && (e&sqlscan.Creates != 0 || e&sqlscan.Temp == 0)
	case "SELECT", "EXPLAIN":
		return e&sqlscan.Creates != 0
	}
	return false
}

// definers are the tags of commands after which statements of the same text may do something else to the session than before. What makes and drops
// tables is left out, of which temporary ones are made and dropped all the time.
var definers = func() map[string]bool {
	tags := map[string]bool{"ALTER TABLE": true, "ALTER FOREIGN TABLE": true, "CREATE EVENT TRIGGER": true, "ALTER EVENT TRIGGER": true, "DROP EVENT TRIGGER": true}
	for _, kind := range deciding {
		kind = strings.ToUpper(kind)
		tags["CREATE "+kind], tags["ALTER "+kind], tags["DROP "+kind] = true, true, true
	}
	return tags
}()

// defines reports whether a command may change what statements do.
func defines(tag []byte) bool { return definers[string(tag)] }

// redefines reports whether a command may change what logins get.
func redefines(tag []byte) bool {
	switch string(tag) {
	case "ALTER ROLE", "DROP ROLE", "ALTER DATABASE", "ALTER SYSTEM":
		return true
	}
	return false
}

// noteChanges takes note of what a command has changed.
func (s *Server) noteChanges(c Changes) {
	s.changes |= c
	if c&ChangesTexts != 0 {
		s.shared.Statements.Forget()
	}
	if c&ChangesStatements != 0 {
		s.shared.customs.known = false // a function may set or ask for what no text shows
	}
}

// undoneShapes is for a rollback, which may be to a savepoint: what was prepared since may refer to what is not there any more.
func (s *Server) undoneShapes() {
	s.scope.private = ""
	if s.changes&ChangesTexts != 0 {
		s.shared.Statements.Forget()
	}
}

// suspectsDefining notes that the client sends a text of which anything may come, and that seems to run such commands. A job may make and drop
// tables in one all the time, which does not make statements doubtful.
func (s *Server) suspectsDefining(text []byte, e sqlscan.Effects) {
	if e&(sqlscan.Do|sqlscan.Opaque) == 0 {
		return
	}
	alters := mentions(text, "alter")
	if !alters && !mentions(text, "create") && !mentions(text, "drop") {
		return
	}
	s.changes |= ChangesTexts
	if alters || slices.ContainsFunc(deciding[:], func(kind string) bool { return mentions(text, kind) }) {
		s.changes |= ChangesStatements
	}
}

// Changes returns, once, what has been changed in a transaction that has ended, as far as that is known: a command may have tried to only.
func (s *Server) Changes() Changes {
	if s.changes == 0 || !s.account.Free() {
		return 0
	}
	was := s.changes
	s.changes = 0
	return was
}

// Relearn has statements that are trusted be asked after again, because they may do something else now, and functions looked through. What is
// known to leave state is still known.
func (h *Shared) Relearn() {
	h.relearnt++
	for _, b := range h.records.known {
		b.clean, b.hazy = 0, 0
	}
	h.customs.known = false
}
