package conversation

import (
	"bytes"
	"cmp"
	"regexp"
	"slices"
	"strings"

	"weir/proxy/session"
	"weir/proxy/sqlscan"
)

// keepers are functions of the database of which the texts show that they may leave something in the session, with those that call them, and the
// tables and views whose triggers, rules, policies, defaults and constraints call them. A statement that names one may leave it each time, however often it has left nothing: a lock that was not to be had, a branch that was
// not taken, a text that the function was given to run. What they leave in the server's process, and settings whose names are made up, nobody
// can be asked about: that keeps the backend.
type keepers struct {
	all   []keeper // sorted
	leave map[string]kept
	deep  []string // those of which nobody can be asked what they have left
}

// keeper is a function, by its name in lower case and a bracket, or a table or view, by its name in lower case, and something that it may leave: one of
// pinsLeft, leavesBlind, or settingLeft and a name.
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
	settingLeft   = "set "
)

// pinsLeft are what keepers leave that pins.
var pinsLeft = map[string]session.Pins{
	leavesProcess: session.Process, leavesAny: session.Opaque, "lock": session.AdvisoryLock, "listen": session.Listen, "temp": session.TempObject,
	"cursor": session.HeldCursor, "prepare": session.SQLPrepare,
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

// makesUp reports whether a text of which anything may come seems to set a setting whose name it makes up, or names a keeper that does.
func (k *keepers) makesUp(text []byte) bool {
	return makesUpSetting.Match(bytes.ToLower(text)) || slices.ContainsFunc(k.deep, func(name string) bool { return k.called(name).blind && mentions(text, name) })
}

// partKeepers finds them: by what stands in the texts of functions, or, where the body was parsed when they were made, by the numbers of the
// functions that it calls.
var partKeepers = "SELECT 'k', name, leaves FROM (WITH RECURSIVE written AS (SELECT oid, pg_catalog.lower(proname::pg_catalog.text) AS name, pg_catalog.lower(prosrc) AS source, " +
	"pg_catalog.jsonb_extract_path_text(pg_catalog.to_jsonb(f), 'prosqlbody') AS body, proconfig FROM pg_catalog.pg_proc AS f " +
	"WHERE prolang OPERATOR(pg_catalog.<>) ALL (ARRAY[12,13]::pg_catalog.oid[]) AND oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid), " +
	// A first look that leaves out most functions, so that the others may be looked at closely.
	"suspect AS (SELECT * FROM written WHERE body IS NOT NULL OR proconfig IS NOT NULL OR source OPERATOR(pg_catalog.~) " +
	`E'execute|set_config|seed|load|dblink|backup|origin|_slot|isn_weak|_shared|gd\\[|spi_|plpy|query_to_xml|ts_|crosstab|xpath_table|advisory|listen|temp|hold|prepare` +
	`|reset|(^|;|begin|then|else|loop)\\s*set\\s'), ` +
	"said AS (SELECT name, 'process' AS leaves FROM suspect WHERE source OPERATOR(pg_catalog.~) " +
	`E'(setseed|dblink_(connect|connect_u|open)|pg_backup_start|pg_start_backup|pg_replication_origin_session_setup|_replication_slot|isn_weak)\\s*\\(` +
	`|\\mset\\s+(local\\s+|session\\s+)?seed\\M|''seed''|\\mload\\s+''|[$%]_shared\\M|\\mgd\\[' ` +
	"OR body OPERATOR(pg_catalog.~) ':funcid 1599 ' OR pg_catalog.array_to_string(proconfig, ',') OPERATOR(pg_catalog.~) '(^|,)seed=' " +
	"UNION ALL SELECT name, 'blind' FROM suspect WHERE source OPERATOR(pg_catalog.~) " + string(session.AppendLiterals(nil, []string{makesUp})) + " " +
	"UNION ALL SELECT name, 'any' FROM suspect WHERE source OPERATOR(pg_catalog.~) E'" +
	`\\mexecute\\M(?!\\s+(function|procedure|on)\\M|\\s*\\(?\\s*(format\\s*\\(\\s*)?` + harmlessText + `)` +
	`|(\\mspi_(exec|query|prepare)\\w*|\\mplpy\\.(execute|prepare|cursor))(?!\\s*\\(?\\s*` + harmlessText + `)` +
	`|\\m(query_to_xml|ts_stat|ts_rewrite|crosstab|xpath_table|dblink_exec)\\w*\\s*\\(|` + atStatement + `(reset\\s|set\\s+(session\\s+)?(role|session|time)\\s+[^=]*;)' ` +
	"OR body OPERATOR(pg_catalog.~) ':funcid 2078 ' " +
	"UNION ALL SELECT name, 'lock' FROM suspect WHERE source OPERATOR(pg_catalog.~) E'pg_(try_)?advisory_lock\\\\w*\\\\s*\\\\(' " +
	"OR body OPERATOR(pg_catalog.~) ':funcid (288[0-3]|2886|2888) ' " +
	"UNION ALL SELECT name, 'listen' FROM suspect WHERE source OPERATOR(pg_catalog.~) E'" + atStatement + `(un)?listen\\s' ` +
	"UNION ALL SELECT name, 'temp' FROM suspect WHERE source OPERATOR(pg_catalog.~) " +
	`E'\\m(create|replace|into)\\s+((local|global)\\s+)?temp(orary)?\\M|\\mpg_temp' ` +
	"UNION ALL SELECT name, 'cursor' FROM suspect WHERE source OPERATOR(pg_catalog.~) E'\\\\mwith\\\\s+hold\\\\M' " +
	"UNION ALL SELECT name, 'prepare' FROM suspect WHERE source OPERATOR(pg_catalog.~) E'" + atStatement + `prepare\\s' ` +
	"UNION ALL SELECT name, pg_catalog.concat('set ', m[1]) FROM suspect, pg_catalog.regexp_matches(source, " +
	`E'set_config\\s*\\(\\s*''([a-z_][a-z0-9_.]*)''\\s*,', 'g') AS m WHERE source OPERATOR(pg_catalog.~) ` +
	`E'set_config\\s*\\([^;]*,(?!\\s*true\\s*\\))\\s*[^,;()]*\\s*\\)' ` +
	"UNION ALL SELECT name, pg_catalog.concat('set ', m[4]) FROM suspect, pg_catalog.regexp_matches(source, " +
	`E'` + atStatement + `set\\s+(session\\s+)?([a-z_][a-z0-9_.]*)\\s*(=|to\\s)', 'g') AS m), ` +
	"calls AS (SELECT DISTINCT name AS caller, pg_catalog.rtrim(m[1], E'( \"\\t\\r\\n') AS callee FROM written, pg_catalog.regexp_matches(source, " +
	`E'[^[:space:]"''(),;.:=<>+*/|!~^&%#@\\[\\]-]+"?\\s*\\(', 'g') AS m WHERE EXISTS (SELECT FROM said)), ` +
	"keeper(name, leaves) AS (SELECT name, leaves FROM said UNION SELECT c.caller, k.leaves FROM keeper AS k, calls AS c " +
	`WHERE c.callee OPERATOR(pg_catalog.=) pg_catalog.regexp_replace(k.name, E'.*[[:space:]"''(),;.:=<>+*/|!~^&%#@\\[\\]-]', ''))` +
	", uses AS (SELECT refclassid, refobjid, COALESCE((SELECT tgrelid FROM pg_catalog.pg_trigger AS t WHERE t.oid OPERATOR(pg_catalog.=) objid AND classid OPERATOR(pg_catalog.=) 2620::pg_catalog.oid), " +
	"(SELECT ev_class FROM pg_catalog.pg_rewrite AS r WHERE r.oid OPERATOR(pg_catalog.=) objid AND classid OPERATOR(pg_catalog.=) 2618::pg_catalog.oid), " +
	"(SELECT adrelid FROM pg_catalog.pg_attrdef AS a WHERE a.oid OPERATOR(pg_catalog.=) objid AND classid OPERATOR(pg_catalog.=) 2604::pg_catalog.oid), " +
	"(SELECT conrelid FROM pg_catalog.pg_constraint AS c WHERE c.oid OPERATOR(pg_catalog.=) objid AND classid OPERATOR(pg_catalog.=) 2606::pg_catalog.oid), " +
	"(SELECT polrelid FROM pg_catalog.pg_policy AS p WHERE p.oid OPERATOR(pg_catalog.=) objid AND classid OPERATOR(pg_catalog.=) 3256::pg_catalog.oid)) AS relation " +
	"FROM pg_catalog.pg_depend WHERE refobjid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND classid OPERATOR(pg_catalog.=) ANY (ARRAY[2620,2618,2604,2606,3256]::pg_catalog.oid[]) " +
	"AND EXISTS (SELECT FROM said)), " +
	"touched(relation, leaves) AS (SELECT u.relation, k.leaves FROM keeper AS k, written AS w, uses AS u WHERE w.name OPERATOR(pg_catalog.=) k.name " +
	"AND u.refclassid OPERATOR(pg_catalog.=) 1255::pg_catalog.oid AND u.refobjid OPERATOR(pg_catalog.=) w.oid " +
	"UNION SELECT u.relation, t.leaves FROM touched AS t, uses AS u " +
	"WHERE u.refclassid OPERATOR(pg_catalog.=) 1259::pg_catalog.oid AND u.refobjid OPERATOR(pg_catalog.=) t.relation)" +
	" SELECT pg_catalog.concat(name, '('), leaves FROM keeper UNION ALL SELECT pg_catalog.lower(relname::pg_catalog.text), leaves " +
	"FROM touched, pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) relation) AS found(name, leaves)"

const (
	// atStatement is where a statement begins in a function's text.
	atStatement = `(^|;|\\m(begin|then|else|loop)\\M)\\s*`
	// harmlessText begins a literal that is a statement which leaves nothing by its first words.
	harmlessText = `e?[''"]\\s*\\(?\\s*(select|with|insert|update|delete|merge|values|truncate|lock|explain|copy|analyze|vacuum|refresh|reindex|cluster|comment` +
		`|alter|drop|grant|revoke|notify|set\\s+(local|constraints|transaction)|create\\s+(?!(or\\s+replace\\s+)?((local|global)\\s+)?temp))\\M`
)

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
	k := keepers{all: all, leave: map[string]kept{}}
	for _, f := range all {
		b := k.leave[f.name]
		b.pins |= pinsLeft[f.leaves]
		b.blind = b.blind || f.leaves == leavesBlind
		if name, is := strings.CutPrefix(f.leaves, settingLeft); is {
			b.settings = append(b.settings, name)
		}
		k.leave[f.name] = b
		if f.leaves == leavesProcess || f.leaves == leavesBlind {
			k.deep = append(k.deep, strings.TrimSuffix(f.name, "("))
		}
	}
	return k
}

// called is what the function or the table of that name leaves.
func (k *keepers) called(name string) kept {
	if b, is := k.leave[name+"("]; is {
		return b
	}
	return k.leave[name]
}

// leftBy says what a text may leave by the keepers that it names, as far as the operator has not said that they leave nothing.
func (h *Shared) leftBy(text []byte, mode sqlscan.Mode) (all kept) {
	if !h.keepers.some() {
		return kept{}
	}
	sqlscan.Names(text, mode, func(name string, called bool) {
		last := name[strings.LastIndexByte(name, '.')+1:]
		all.add(h.keepers.leave[last]) // INSERT INTO t (...) is no call
		if called && !h.Functions.Clean(name) {
			all.add(h.keepers.leave[last+"("])
		}
	})
	return all
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
		s.scope.altered = alteredMore
	}
}

// keepsUnfollowed notes what a statement may leave in the server's process of which nobody will know when it is run.
func (s *Server) keepsUnfollowed(text []byte, e sqlscan.Effects) {
	k := s.shared.leftBy(text, s.mode)
	s.doubt(k.pins & session.Process)
	if e&anything != 0 {
		s.keepsByName(text)
	}
}

// hasKept is for statements that were run before it was known what the database has.
func (s *Server) hasKept() {
	for _, b := range s.audit.suspects {
		k := s.shared.leftBy([]byte(b.text), s.mode)
		s.keeps(&k)
	}
}

// keepsByName notes what a text of which anything may come leaves in the server's process, if it has the name of a keeper.
func (s *Server) keepsByName(text []byte) {
	for _, name := range s.shared.keepers.deep {
		if left := s.shared.keepers.called(name).pins & session.Process; left != 0 && mentions(text, name) {
			s.doubt(left)
		}
	}
}

// keepsRun notes what a text leaves that a keeper is given to run, in the text of its statement or in the parameters of a Bind, and that nobody can
// be asked about.
func (s *Server) keepsRun(given []byte, b *record) {
	if b.kept.runsTexts() && mentionsLasting(given) {
		s.doubt(session.Process)
	}
}
