package conversation

import (
	"fmt"
	"slices"

	"weir/proxy/session"
	"weir/proxy/wire"
)

// question is what a backend has to be asked before it may leave its client, and what it has answered.
//
// Reading a statement says what it may have done to the session; asking says what it has done. Pins that reading finds are only suspicions
// until an answer makes them sure, or ends them.
type question struct {
	sure     session.Pins // those of the server's pins that an answer has confirmed, and nothing has touched since
	settings []string     // that may have been changed, by name
	named    []string     // custom ones among those, and others that a text names which may have changed any: see name
	any      bool         // any setting may have been changed
	guard    bool         // the question was cancelled: the session has a short time limit
	blind    bool         // a setting may have been changed that nobody can ask for: no text says its name, or the server does not show it
	unnamed  bool         // a custom setting may have been changed whose name nothing shows: these are in no list
	kept     bool         // the session has settings that its set does not have, which keeps the backend: what is asked next is all of them
	beyond   bool         // the question's answer has one that the backend's login may not set

	unread unread // what was sent before it was known what the database's functions do

	executed bool // a statement of SQL's PREPARE may have been run: what it does is asked once these are gone, for until then they keep the backend

	pause  uint8 // transactions until a pin is asked about again
	pauses uint8

	asked    asked
	answered []session.Setting
	found    session.Pins
	names    []string // of custom settings that functions of the database set
	keepers  []keeper
}

// asked is what the question under way is about.
type asked struct {
	pins     session.Pins
	settings []string // by name, with any all the custom ones that are known
	any      bool
	read     session.Pins // what reading has suspected

	functions bool // what the database's functions do
	defined   bool // the same, because there may be others than before
}

// askable are the pins that a server can be asked about. It cannot say whether setseed was called, what
// dblink is connected to and the like, and LOAD leaves code behind.
const askable = session.SettingChanged | session.Listen | session.TempObject | session.AdvisoryLock | session.HeldCursor | session.SQLPrepare |
	session.Opaque

// Limits of a question.
const (
	askedNamesMax  = 16  // settings that are asked for by name; of more, all are asked for
	namedMax       = 64  // custom settings that one question asks for because texts have named them; the client of more keeps its backend
	customNamesMax = 256 // names of custom settings that a pool remembers
)

// doubt notes that pins may have come or gone.
func (s *Server) doubt(pins session.Pins) {
	s.pins |= pins
	s.question.sure &^= pins
	s.question.pause, s.question.pauses = 1, 0
	s.worn = s.worn || pins&(session.Load|session.Seed|session.Process) != 0
	if pins&session.Opaque != 0 {
		s.question.all()
	}
}

// all has any setting be in doubt.
func (q *question) all() { q.any, q.unnamed = true, true }

// touch notes that pins that the backend has may have ended.
func (s *Server) touch(pins session.Pins) { s.question.sure &^= pins }

// doubtSettings notes that a setting may have been changed: one of those, or any if there are none.
func (s *Server) doubtSettings(names []string) {
	q := &s.question
	s.pins |= session.SettingChanged
	q.sure &^= session.SettingChanged
	q.name(names)
	q.blind = q.blind || slices.ContainsFunc(names, s.unshown)
	if len(names) == 0 || q.kept || slices.Contains(names, session.Authorization) || slices.ContainsFunc(names, s.mayBeBeyond) ||
		len(q.settings)+len(names) > askedNamesMax {
		q.all()
		return
	}
	for _, name := range names {
		if !slices.Contains(q.settings, name) {
			q.settings = append(q.settings, name)
		}
	}
}

// mayBeBeyond reports whether the backend's login may lack the right to set a setting, which a role of the client's or a function with the rights of
// its owner has set: it cannot be carried to another backend. Of a custom one, which may be a library's, only a superuser is taken to have more rights.
func (s *Server) mayBeBeyond(name string) bool {
	if s.superuser() {
		return false
	}
	now, _ := valueOf(s.params, "is_superuser")
	return session.Privileged(name) || custom(name) && now == "on"
}

// unshown reports whether the server may not tell the backend's login what a setting is.
func (s *Server) unshown(name string) bool { return session.Unshown(name) && !s.superuser() }

// mentionsUnshown reports whether a text has the name of one of those, wherever in it.
func (s *Server) mentionsUnshown(text []byte) bool {
	return session.AnyUnshown(func(name string) bool { return mentions(text, name) }) && !s.superuser()
}

// superuser reports whether the backend's login is one.
func (s *Server) superuser() bool {
	login, _ := valueOf(s.login, "is_superuser")
	return login == "on"
}

// name notes custom settings that a text names. They are in no list, so a question about any setting has to ask for them.
func (q *question) name(names []string) {
	for _, name := range names {
		switch {
		case !custom(name) || slices.Contains(q.named, name):
		case len(q.named) == namedMax:
			q.blind = true
		default:
			q.named = append(q.named, name)
		}
	}
}

// doubtful are the pins that must be asked about.
func (s *Server) doubtful() session.Pins { return s.pins & askable &^ s.question.sure }

// questioned reports whether the backend must be asked what state its session is in before it may be given to another client.
func (s *Server) questioned() bool {
	if s.shared.Mode == Session || s.ignored() {
		return false
	}
	audits := s.audits()
	doubtful := s.doubtful()
	return audits || doubtful != 0 && !(doubtful == session.Listen && s.mayHandOver()) // which asks for the channels themselves
}

// AskedAnew reports whether the last question was also about the functions of the database because these may have changed. That does not count
// as what asking about statements costs: whoever makes many functions would have none of them asked about.
func (s *Server) AskedAnew() bool { return s.question.asked.defined }

// unquestioned is for a backend that is as after its login.
func (s *Server) unquestioned() {
	s.pins = 0
	s.worn = s.worn || s.question.unread.doubtful() // it may have left what only the end of the process undoes
	s.question = question{}
	s.block.blind = false
	s.audit.forget()
}

// Ask is the errand that asks a backend for the state of its session.
var Ask = &Errand{Name: "ask", text: appendQuestion, onRow: (*Server).answer, onEnd: hasAnswered}

// appendQuestion appends the question. All names in it are qualified, operators too: it is read under the client's search_path. A custom
// setting is in no list of PostgreSQL's (GUC_CUSTOM_PLACEHOLDER in src/backend/utils/misc/guc.c), so those that were ever seen are asked for
// by name.
func appendQuestion(s *Server, dst []byte) []byte {
	q := &s.question
	a := asked{pins: s.doubtful(), any: q.any || s.audit.due}
	a.read = a.pins
	if a.any {
		a.pins = askable
		a.settings = s.unlisted()
	} else {
		a.settings = q.settings
	}
	q.asked, q.answered, q.beyond, q.found, q.names, q.keepers = a, nil, false, 0, nil, nil

	var space [2048]byte
	sql := space[:0]
	open := q.guard || s.opens()
	if open {
		sql = append(sql, opening...) // first: the modes of a transaction are refused once the text has run a query
	}
	if q.guard {
		sql = append(sql, partTimeout+";SET LOCAL statement_timeout TO 0;"...)
	}
	sql = appendParts(sql, s, a)
	if !open {
		return wire.AppendQueryBytes(dst, sql)
	}
	dst = wire.AppendQueryBytes(dst, append(sql, ";COMMIT"...))
	return wire.AppendQuery(dst, "ROLLBACK") // if it has failed, the block is still open
}

// opens reports whether the question must not run in a transaction as the session begins them: it might have to wait for others.
func (s *Server) opens() bool {
	for _, setting := range s.set.Settings() {
		if transactional(setting.Name) {
			return true
		}
	}
	return false
}

// The parts of a question. A value comes in the encoding of the database, as printable text.
const (
	// settingsOf finds the settings of the session, without what only belongs to the transaction of the question, and those asked for that are in no list.
	settingsOf = "SELECT COALESCE(l.name, asked) AS name, context FROM pg_catalog.pg_show_all_settings() AS l" +
		" FULL JOIN pg_catalog.unnest(ARRAY[%s]) AS asked ON pg_catalog.lower(l.name) OPERATOR(pg_catalog.=) asked" +
		" WHERE source OPERATOR(pg_catalog.=) 'session' AND l.name OPERATOR(pg_catalog.!~) '^transaction_(isolation|read_only|deferrable)$' OR source IS NULL"
	partTimeout = "SELECT 's', name, " + valueOfName + " FROM (SELECT 'statement_timeout') AS t(name)"
	valueOfName = "pg_catalog.encode(pg_catalog.convert_to(pg_catalog.current_setting(name, true), pg_catalog.getdatabaseencoding()), 'escape')"
	partLocks   = "SELECT 'a', NULL, NULL WHERE EXISTS (SELECT FROM pg_catalog.pg_lock_status() WHERE locktype OPERATOR(pg_catalog.=) 'advisory'" +
		" AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())"
	partChannels   = "SELECT 'l', NULL, NULL WHERE EXISTS (SELECT FROM pg_catalog.pg_listening_channels())"
	partCursors    = "SELECT 'c', NULL, NULL WHERE EXISTS (SELECT FROM pg_catalog.pg_cursor() WHERE is_holdable)"
	partStatements = "SELECT 'p', NULL, NULL WHERE EXISTS (SELECT FROM pg_catalog.pg_prepared_statement() WHERE from_sql)"
	partTemporary  = "SELECT 't', NULL, NULL WHERE EXISTS (SELECT FROM pg_catalog.pg_depend WHERE refclassid OPERATOR(pg_catalog.=) 2615::pg_catalog.oid" +
		" AND refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema() AND pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.<>) 0::pg_catalog.oid)"
	// partNames finds the custom settings that functions set. Functions of other languages than SQL's own forms keep their text.
	partNames = "SELECT DISTINCT 'n', pg_catalog.lower(m[1]), NULL FROM pg_catalog.pg_proc AS f, pg_catalog.regexp_matches(f.prosrc, " +
		`E'(?:set_config\\s*\\(\\s*''|\\mset\\s+(?:session\\s+)?)([a-z_][a-z0-9_]*\\.[a-z_][a-z0-9_.]*)', 'gi') AS m` +
		" WHERE f.prolang OPERATOR(pg_catalog.<>) ALL (ARRAY[12,13]::pg_catalog.oid[])"
)

// Whether the backend's login, which has the number that it had then, may set a setting: servers before 15 let superusers alone.
const (
	loginNumber = "(SELECT usesysid FROM " + ownActivity + ")"
	mayNotSet   = "NOT pg_catalog.has_parameter_privilege(" + loginNumber + ", name, 'SET')"
	isNoSuper   = "NOT (SELECT rolsuper FROM pg_catalog.pg_roles AS r WHERE r.oid OPERATOR(pg_catalog.=) " + loginNumber + ")"
)

// partSettings asks for the settings of the session and for those names, and which of them its login may not set.
func (s *Server) partSettings(names []string) string {
	may := mayNotSet
	if majorOf(s.params) < 15 {
		may = isNoSuper
	}
	return "SELECT CASE WHEN context OPERATOR(pg_catalog.=) 'superuser' AND " + may + " THEN 'b' ELSE 's' END, name, " + valueOfName +
		" FROM (" + fmt.Sprintf(settingsOf, session.AppendLiterals(nil, names)) + ") AS t"
}

// partSequences looks for currval and lastval: by name in the functions of the database, and by their fixed numbers in what keeps no text, such
// as views and defaults.
const partSequences = "SELECT 'q', NULL, NULL WHERE EXISTS (SELECT FROM pg_catalog.pg_proc WHERE prolang OPERATOR(pg_catalog.<>) ALL (ARRAY[12,13]::pg_catalog.oid[])" +
	" AND prosrc OPERATOR(pg_catalog.~*) '(currval|lastval)')" +
	" OR EXISTS (SELECT FROM (SELECT ev_action::pg_catalog.text FROM pg_catalog.pg_rewrite WHERE ev_class OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid" +
	" UNION ALL SELECT adbin::pg_catalog.text FROM pg_catalog.pg_attrdef UNION ALL SELECT conbin::pg_catalog.text FROM pg_catalog.pg_constraint" +
	" UNION ALL SELECT polqual::pg_catalog.text FROM pg_catalog.pg_policy UNION ALL SELECT polwithcheck::pg_catalog.text FROM pg_catalog.pg_policy" +
	" UNION ALL SELECT tgqual::pg_catalog.text FROM pg_catalog.pg_trigger" +
	// of functions whose body is parsed when they are made, which servers before 14 do not have
	" UNION ALL SELECT pg_catalog.jsonb_extract_path_text(pg_catalog.to_jsonb(f), 'prosqlbody') FROM pg_catalog.pg_proc AS f" +
	" WHERE f.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND f.prolang OPERATOR(pg_catalog.=) 14::pg_catalog.oid" +
	" AND f.prosrc OPERATOR(pg_catalog.=) ''" +
	") AS t(tree) WHERE tree OPERATOR(pg_catalog.~) ':funcid (1575|2559) ')"

// withoutJIT has what follows in the transaction not be compiled, which takes seconds where the functions are many. Servers before 11 have no such setting.
const withoutJIT = "SELECT pg_catalog.set_config(name, 'off', true) FROM pg_catalog.pg_show_all_settings() AS t(name) WHERE name OPERATOR(pg_catalog.=) 'jit'"

// appendParts appends what is asked. What the functions are comes last: the settings are asked for as the session has them.
func appendParts(sql []byte, s *Server, a asked) []byte {
	first := true
	part := func(when bool, text string) {
		if !when {
			return
		}
		if !first {
			sql = append(sql, " UNION ALL "...)
		}
		sql, first = append(sql, text...), false
	}
	if a.any {
		part(true, s.partSettings(a.settings))
		if s.question.guard {
			sql = append(sql, " WHERE name OPERATOR(pg_catalog.<>) 'statement_timeout'"...)
		}
	} else if len(a.settings) > 0 {
		part(true, "SELECT 's', name, "+valueOfName+" FROM pg_catalog.unnest(ARRAY["+string(session.AppendLiterals(nil, a.settings))+"]) AS t(name)")
	}
	part(a.pins&session.AdvisoryLock != 0, partLocks)
	part(a.pins&session.Listen != 0, partChannels)
	part(a.pins&session.HeldCursor != 0, partCursors)
	part(a.pins&session.SQLPrepare != 0, partStatements)
	part(a.pins&session.TempObject != 0, partTemporary)
	functions := a.any && s.shared.namesDue()
	s.question.asked.functions, s.question.asked.defined = functions, functions && !s.shared.customs.known
	if functions {
		sql, first = append(sql, ";"+withoutJIT+";"...), true
		part(true, partNames)
		part(true, partKeepers(s.shared.Functions.CleanNames()))
		part(!s.shared.recalls, partSequences)
	}
	return sql
}
