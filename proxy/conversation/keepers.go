package conversation

import (
	"bytes"
	"regexp"
	"slices"

	"weir/proxy/session"
	"weir/proxy/sqlscan"
)

// keepers are functions of the database that leave something in the server's process which nobody can be asked about: they seed random(), load a
// library, connect by dblink. They are found by their texts, with those that call them. A text that calls one of them by name keeps its backend.
// So does one that calls a function which makes up the name of a setting: what is in no list and has no known name cannot be asked for either.
type keepers struct {
	process, blind calledFunctions
}

// calledFunctions are functions by name.
type calledFunctions struct {
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

// makesUp is what a text in lower case has that may make up the name of a setting, in the words that PostgreSQL's regular expressions and Go's have in
// common: set_config with something else than a literal; a string that begins with SET and a name with a dot and a part from elsewhere, as format and
// || put it there; and an EXECUTE of SET and a name from elsewhere. The pieces of an UPDATE are none of these, nor is SET LOCAL.
const makesUp = `set_config\s*\(\s*([^'[:space:]]|'+[^']*'+\s*\|\|)[^;]*,\s*false\s*\)` +
	`|` + opens + `[a-z0-9_"%$]*\.[a-z0-9_."]*(%|` + closes + `)` +
	`|` + opens + `[a-z0-9_"]*%[a-z0-9_"%$]*\.` +
	`|execute\s+(format\s*|concat\s*)?\(*\s*` + opens + `(%|` + closes + `)`

// The beginning and the end of a string in which a setting is set.
const (
	opens  = `('+|\$\w*\$)\s*set\s+(session\s+)?`
	closes = `('+|\$\w*\$)\s*(\|\||,)`
)

var makesUpSetting = regexp.MustCompile(makesUp)

// makesUp reports whether a text of which anything may come seems to set a setting whose name it makes up, or to call a function that does.
func (k *keepers) makesUp(text []byte, mode sqlscan.Mode) bool {
	return makesUpSetting.Match(bytes.ToLower(text)) || k.blind.in(text, mode) ||
		slices.ContainsFunc(k.blind.names, func(name string) bool { return mentions(text, name) }) // in a string, as that of DO
}

// partKeepers finds them: functions that keep a text which has one of lasting, or, where the body was parsed when they were made, call setseed; and
// such as make up the name of a setting.
var partKeepers = "SELECT kind, name, NULL FROM (WITH RECURSIVE written AS (SELECT proname::pg_catalog.text AS name, pg_catalog.lower(prosrc) AS source, " +
	"pg_catalog.jsonb_extract_path_text(pg_catalog.to_jsonb(f), 'prosqlbody') AS body, proconfig FROM pg_catalog.pg_proc AS f " +
	"WHERE prolang OPERATOR(pg_catalog.<>) ALL (ARRAY[12,13]::pg_catalog.oid[]) AND oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid), " +
	"keeper(kind, name) AS ((SELECT 'k', name FROM written WHERE source OPERATOR(pg_catalog.~) " +
	`E'(setseed|dblink_(connect|connect_u|open)|pg_backup_start|pg_start_backup|pg_replication_origin_session_setup|_replication_slot|isn_weak)\\s*\\(` +
	`|\\mset\\s+(local\\s+|session\\s+)?seed\\M|''seed''|\\mload\\s+''' ` +
	"OR body OPERATOR(pg_catalog.~) ':funcid 1599 ' OR pg_catalog.array_to_string(proconfig, ',') OPERATOR(pg_catalog.~) '(^|,)seed=' " +
	"UNION ALL SELECT 'b', name FROM written WHERE source OPERATOR(pg_catalog.~) " + string(session.AppendLiterals(nil, []string{makesUp})) + ") " +
	"UNION SELECT k.kind, w.name FROM written AS w, keeper AS k WHERE w.source OPERATOR(pg_catalog.~) " +
	`pg_catalog.concat(E'\\m', pg_catalog.regexp_replace(pg_catalog.lower(k.name), E'\\W', '.', 'g'), E'"?\\s*\\('))` +
	" SELECT kind, name FROM keeper) AS found"

// keep takes up which functions the database has of that kind. What is known of statements is forgotten if they are others than before.
func (h *Shared) keep(process, blind []string) {
	if news := h.keepers.process.become(process); !h.keepers.blind.become(blind) && !news {
		return
	}
	known := h.customs.known
	h.Renew()
	h.customs.known = known
}

// become reports whether the functions are others than before.
func (f *calledFunctions) become(names []string) bool {
	slices.Sort(names)
	if names = slices.Compact(names); slices.Equal(names, f.names) {
		return false
	}
	*f = calledFunctions{names, sqlscan.NewFunctions(names, nil)}
	return true
}

// in reports whether a text calls one of them.
func (f *calledFunctions) in(text []byte, mode sqlscan.Mode) bool {
	return f.calls != nil && f.calls.Effects(text, mode, 0)&sqlscan.Opaque != 0
}

// kept are what a text leaves that calls keepers.
type kept struct{ process, blind bool }

// in says what a text leaves.
func (k *keepers) in(text []byte, mode sqlscan.Mode) kept {
	return kept{k.process.in(text, mode), k.blind.in(text, mode)}
}

// keeps notes what a statement leaves.
func (s *Server) keeps(k kept) {
	if k.process {
		s.doubt(session.Process)
	}
	if k.blind {
		s.doubtSettings(nil)
		s.question.blind = true
	}
}

// hasKept is for statements that were run before it was known what the database has.
func (s *Server) hasKept() {
	for _, b := range s.audit.suspects {
		s.keeps(s.shared.keepers.in([]byte(b.text), s.mode))
	}
}
