package conversation

import (
	"bytes"

	"weir/proxy/sqlscan"
)

// definers are the tags of commands after which statements of the same text may do something else to the session than before. What makes and drops
// tables is left out, of which temporary ones are made and dropped all the time.
var definers = func() map[string]bool {
	tags := map[string]bool{"ALTER TABLE": true, "ALTER FOREIGN TABLE": true}
	for _, kind := range []string{
		"FUNCTION", "PROCEDURE", "ROUTINE", "AGGREGATE", "OPERATOR", "CAST", "TRANSFORM", "TYPE", "DOMAIN", "VIEW", "TRIGGER", "EVENT TRIGGER", "RULE",
		"POLICY", "EXTENSION", "SCHEMA",
	} {
		tags["CREATE "+kind], tags["ALTER "+kind], tags["DROP "+kind] = true, true, true
	}
	return tags
}()

// defines reports whether a command may change what statements do.
func defines(tag []byte) bool { return definers[string(tag)] }

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

// undoneShapes is for a rollback, which may be to a savepoint: what was prepared since may refer to what is not there any more.
func (s *Server) undoneShapes() {
	s.scope.private = ""
	if s.reshaped {
		s.shared.Statements.Forget()
	}
}

// Reshaped reports, once, whether a transaction has ended in which a command may have changed what texts refer to, or has tried to.
func (s *Server) Reshaped() bool {
	if !s.reshaped || !s.account.Free() {
		return false
	}
	s.reshaped = false
	return true
}

// speaksOfDefining reports whether a text of which anything may come seems to run such a command.
func speaksOfDefining(text []byte) bool {
	return mentions(text, "create") || mentions(text, "alter") || mentions(text, "drop")
}

// suspectsDefining notes that the client sends such a text.
func (s *Server) suspectsDefining(text []byte, e sqlscan.Effects) {
	if e&(sqlscan.Do|sqlscan.Opaque) != 0 && speaksOfDefining(text) {
		s.defines, s.reshaped = true, true
	}
}

// Defined reports, once, whether a transaction has ended in which a command may have changed what statements do.
func (s *Server) Defined() bool {
	if !s.defines || !s.account.Free() {
		return false
	}
	s.defines = false
	return true
}

// Relearn has statements that are trusted be asked after again, because they may do something else now, and functions looked through. What is
// known to leave state is still known.
func (h *Shared) Relearn() {
	h.relearnt++
	for _, b := range h.records.known {
		b.clean, b.failed = 0, 0
	}
	h.customs.known = false
}
