package conversation

import "weir/proxy/sqlscan"

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

// speaksOfDefining reports whether a text of which anything may come seems to run such a command.
func speaksOfDefining(text []byte) bool {
	return mentions(text, "create") || mentions(text, "alter") || mentions(text, "drop")
}

// suspectsDefining notes that the client sends such a text.
func (s *Server) suspectsDefining(text []byte, e sqlscan.Effects) {
	s.defines = s.defines || e&(sqlscan.Do|sqlscan.Opaque) != 0 && speaksOfDefining(text)
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
