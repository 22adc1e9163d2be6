package conversation

import (
	"slices"

	"weir/proxy/session"
	"weir/proxy/sqlscan"
)

// keepers are functions of the database that leave something in the server's process which nobody can be asked about: they seed random(), load a
// library, connect by dblink. They are found by their texts, with those that call them. A text that calls one of them by name keeps its backend.
type keepers struct {
	names []string           // sorted
	calls *sqlscan.Functions // nil: there are none
}

// lasting is what the text of DO has that does so.
var lasting = [...]string{
	"setseed", "set seed", "local seed", "session seed", "'seed'", "load '", "dblink_connect", "dblink_open", "pg_backup_start", "pg_start_backup",
	"pg_replication_origin_session_setup", "_replication_slot", "isn_weak",
}

// mentionsLasting reports whether a text of which anything may come seems to leave something in the server's process.
func mentionsLasting(text []byte) bool {
	return slices.ContainsFunc(lasting[:], func(s string) bool { return mentions(text, s) })
}

// partKeepers finds them: functions that keep a text which has one of lasting, or, where the body was parsed when they were made, call setseed.
const partKeepers = "SELECT 'k', name, NULL FROM (WITH RECURSIVE written AS (SELECT proname::pg_catalog.text AS name, pg_catalog.lower(prosrc) AS source, " +
	"pg_catalog.jsonb_extract_path_text(pg_catalog.to_jsonb(f), 'prosqlbody') AS body, proconfig FROM pg_catalog.pg_proc AS f " +
	"WHERE prolang OPERATOR(pg_catalog.<>) ALL (ARRAY[12,13]::pg_catalog.oid[]) AND oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid), " +
	"keeper(name) AS (SELECT name FROM written WHERE source OPERATOR(pg_catalog.~) " +
	`E'(setseed|dblink_(connect|connect_u|open)|pg_backup_start|pg_start_backup|pg_replication_origin_session_setup|_replication_slot|isn_weak)\\s*\\(` +
	`|\\mset\\s+(local\\s+|session\\s+)?seed\\M|''seed''|\\mload\\s+''' ` +
	"OR body OPERATOR(pg_catalog.~) ':funcid 1599 ' OR pg_catalog.array_to_string(proconfig, ',') OPERATOR(pg_catalog.~) '(^|,)seed=' " +
	"UNION SELECT w.name FROM written AS w, keeper AS k WHERE w.source OPERATOR(pg_catalog.~) " +
	`pg_catalog.concat(E'\\m', pg_catalog.regexp_replace(pg_catalog.lower(k.name), E'\\W', '.', 'g'), E'"?\\s*\\('))` +
	" SELECT name FROM keeper) AS found"

// keep takes up which functions the database has of that kind. What is known of statements is forgotten if they are others than before.
func (h *Shared) keep(names []string) {
	slices.Sort(names)
	if names = slices.Compact(names); slices.Equal(names, h.keepers.names) {
		return
	}
	h.keepers = keepers{names, sqlscan.NewFunctions(names, nil)}
	known := h.customs.known
	h.Renew()
	h.customs.known = known
}

// in reports whether a text calls one of them.
func (k *keepers) in(text []byte, mode sqlscan.Mode) bool {
	return k.calls != nil && k.calls.Effects(text, mode, 0)&sqlscan.Opaque != 0
}

// hasKept has the backend stay with its client if one of the statements that were run is found only now to have called one.
func (s *Server) hasKept() {
	if slices.ContainsFunc(s.audit.suspects, func(b *record) bool { return s.shared.keepers.in([]byte(b.text), s.mode) }) {
		s.doubt(session.Process)
	}
}
