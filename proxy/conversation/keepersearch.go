package conversation

import (
	"strings"

	"weir/proxy/session"
)

// partKeepers finds the keepers: by what stands in the texts of functions, or, where the body was parsed when they were made, by the numbers of the
// functions that it calls. From there it goes on to what uses these: functions that call them, tables, views and domains, by the texts of functions
// and by what PostgreSQL knows of dependencies. A function that the operator has called clean is no keeper, and nothing is by its means.
func partKeepers(clean []string) string {
	return keepersBefore + string(session.AppendLiterals(nil, clean)) + keepersBehind
}

var keepersBefore, keepersBehind, _ = strings.Cut(qualified(keepersSQL), "{clean}")

// qualified has no operator be looked for by the search_path.
func qualified(sql string) string {
	operators := []string{"{harmless}", harmlessText, "{assigned}", isAssigned, "{statement}", atStatement, "{between}", betweenNames}
	for _, o := range []string{"=", "<>", "<", ">=", "~"} {
		operators = append(operators, " "+o+" ", " OPERATOR(pg_catalog."+o+") ")
	}
	sql = strings.NewReplacer(operators...).Replace(sql)
	return strings.ReplaceAll(sql, "{makes up}", string(session.AppendLiterals(nil, []string{makesUp})))
}

const (
	// atStatement is where a statement begins in a function's text.
	atStatement = `(^|;|\\m(begin|then|else|loop)\\M|--[^\\n]*\\n|\\*/)\\s*`
	// harmlessText begins a literal that is a statement which leaves nothing by its first words, unless the name of the function that it calls is
	// made up.
	harmlessText = `(format\\s*\\(\\s*)?e?[''"]\\s*\\(?\\s*(select(?![^'';]*(''\\s*\\|\\|[^'';]*\\|\\|\\s*''\\s*\\(|%[is]\\s*\\())|with|insert|update|delete|merge|values|truncate|lock|explain|copy|analyze|vacuum|refresh|reindex|cluster|comment` +
		`|alter|drop|grant|revoke|notify|set\\s+(local|constraints|transaction)|create\\M(?!\\s+(or\\s+replace\\s+)?((local|global)\\s+)?temp))\\M`
	// isAssigned is what follows a variable where it is given a value.
	isAssigned = `(\\s+(text|varchar|character\\s+varying))?\\s*(:?=|\\mdefault\\M)`
	// betweenNames are characters that no name has which needs no quotes. Of others the last part counts.
	betweenNames = `[:space:]"''(),;.:=<>+*/|!~^&%#@\\[\\]-`
)

// saidInTexts are the conditions, of a suspect, under which its text says that it leaves something of a kind.
var saidInTexts = [...]struct{ leaves, where string }{
	{leavesProcess, `source ~
	E'(setseed|dblink_(connect|connect_u|open)|pg_backup_start|pg_start_backup|pg_replication_origin_session_setup|_replication_slot|isn_weak)"?\\s*\\(|\\mset\\s+(local\\s+|session\\s+)?seed\\M|''seed''|\\mload\\s+''|[$%]_shared\\M|\\mgd\\['
	OR pg_catalog.array_to_string(proconfig, ',') ~ '(^|,)seed='`},
	{leavesBlind, `source ~ {makes up} OR source ~ E'{statement}set\\s+(session\\s+)?"?\\w+"?\\.[^=;'']*[^ -~[:space:]]'`},
	{leavesAny, `source ~
	E'\\mexecute\\M(?!\\s+(function|procedure|on)\\M|\\s*\\(?\\s*{harmless}|\\s+[a-z_]\\w*\\s*(;|\\m(into|using|loop)\\M))|(\\mspi_(exec|query|prepare)\\w*|\\mplpy\\.(execute|prepare|cursor))(?!\\s*\\(?\\s*{harmless})|\\m(query_to_xml|ts_stat|ts_rewrite|crosstab|xpath_table|dblink_exec|set_limit)\\w*\\s*\\(|{statement}(reset\\s|set\\s+(session\\s+)?(role|session|time)\\s+[^=]*;)|\\mupdate\\s+("?pg_catalog"?\\s*\\.\\s*)?"?pg_settings\\M'`},
	{leavesLock, `source ~ E'pg_(try_)?advisory_lock\\w*"?\\s*\\('`},
	{leavesListen, `source ~ E'{statement}(un)?listen\\s'`},
	{leavesTemp, `source ~ E'\\m(create|replace|into)\\s+((local|global)\\s+)?temp(orary)?\\M|\\mpg_temp'`},
	{leavesCursor, `source ~ E'\\mwith\\s+hold\\M'`},
	{leavesPrepare, `source ~ E'{statement}prepare\\s'`},
}

// saidInPlaces are queries for what a text says in more than one place: the statement that EXECUTE runs stands in a variable, which is given its value
// elsewhere; and the names of settings.
var saidInPlaces = [...]string{
	`SELECT 1255::pg_catalog.oid, oid, 'any' FROM suspect, pg_catalog.regexp_matches(source, E'\\mexecute\\s+([a-z_]\\w*)\\s*(;|\\m(into|using|loop)\\M)', 'g') AS m
	WHERE NOT source ~ pg_catalog.concat(E'\\m', m[1], E'{assigned}\\s*{harmless}') OR source ~ pg_catalog.concat(E'\\m', m[1], E'{assigned}(?!\\s*({harmless}|', m[1], E'\\s*\\|\\|))')
	OR source ~ pg_catalog.concat(E'\\m(into|for|foreach)\\s+(strict\\s+)?([a-z0-9_., ]*,\\s*)?', m[1], E'\\M') OR m[1] = ANY (proargnames::pg_catalog.text[])`,
	`SELECT 1255::pg_catalog.oid, oid, pg_catalog.concat('set ', m[1]) FROM suspect, pg_catalog.regexp_matches(source, E'set_config"?\\s*\\(\\s*''([a-z_][a-z0-9_.$]*)''\\s*,', 'g') AS m
	WHERE source ~ E'set_config"?\\s*\\([^;]*,(?!\\s*true\\s*\\))\\s*[^,;()]*\\s*\\)'`,
	`SELECT 1255::pg_catalog.oid, oid, pg_catalog.concat('set ', pg_catalog.replace(m[4], '"', '')) FROM suspect,
	pg_catalog.regexp_matches(source, E'{statement}set\\s+(session\\s+)?("?[a-z_]["a-z0-9_.$]*)\\s*(=|to\\s)', 'g') AS m`,
}

// saidElsewhere are queries for what no text of a function says: what parsed trees call, and the functions of extensions, which are written in C.
var saidElsewhere = [...]string{
	`SELECT class, id, CASE WHEN leaves <> 'set' THEN leaves WHEN argument IS NULL THEN 'blind' ELSE pg_catalog.concat('set ', pg_catalog.lower((
		SELECT pg_catalog.string_agg(pg_catalog.chr(c.code::pg_catalog.int4), '' ORDER BY c.at) FROM pg_catalog.regexp_split_to_table(pg_catalog.btrim(argument), ' ') WITH ORDINALITY AS c(code, at)))) END FROM calling`,
	`SELECT 1255::pg_catalog.oid, oid, CASE WHEN proname::pg_catalog.text ~ '^(dblink|isn)' THEN 'process' ELSE 'any' END FROM pg_catalog.pg_proc
	WHERE prolang = 13::pg_catalog.oid AND oid >= 16384::pg_catalog.oid AND proname::pg_catalog.text ~ E'^(dblink_(connect|connect_u|open)|isn_weak|set_limit|crosstab\\d?|connectby|xpath_table)$'`,
}

// withSaid has what leaves something by what it says itself.
func withSaid() string {
	var all []string
	for _, said := range saidInTexts {
		all = append(all, "SELECT 1255::pg_catalog.oid, oid, '"+said.leaves+"' FROM suspect WHERE "+said.where)
	}
	all = append(append(all, saidInPlaces[:]...), saidElsewhere[:]...)
	return "said(class, oid, leaves) AS (" + strings.Join(all, "\n\tUNION ALL ") + ")"
}

// The other parts of the question, in order.
const (
	// withClean has the functions that the operator has called clean.
	withClean = `clean AS (SELECT p.oid FROM pg_catalog.pg_proc AS p, pg_catalog.pg_namespace AS n, (SELECT ARRAY[{clean}]::pg_catalog.text[]) AS c(names)
	WHERE n.oid = pronamespace AND (pg_catalog.lower(proname::pg_catalog.text) = ANY (names) OR pg_catalog.lower(pg_catalog.concat(nspname, '.', proname)) = ANY (names)))`

	// withWritten has the functions that are written in SQL or a language with a text, in lower case.
	withWritten = `written AS (SELECT oid, pg_catalog.lower(prosrc) AS source, proconfig, proargnames
	FROM pg_catalog.pg_proc AS f WHERE prolang <> ALL (ARRAY[12,13]::pg_catalog.oid[]) AND oid >= 16384::pg_catalog.oid)`

	// withSuspects is a first look that leaves out most functions, so that the others may be looked at closely.
	withSuspects = `suspect AS (SELECT * FROM written AS w WHERE NOT EXISTS (SELECT FROM clean AS c WHERE c.oid = w.oid) AND (proconfig IS NOT NULL OR source ~
	E'execute|set_config|pg_settings|set_limit|seed|load|dblink|backup|origin|_slot|isn_weak|_shared|gd\\[|spi_|plpy|query_to_xml|ts_|crosstab|xpath_table|advisory|listen|temp|hold|prepare|reset|{statement}set\\s'))`

	// withTold has PostgreSQL's own functions that leave something. Parsed trees name them by their numbers, and no dependency tells of them.
	withTold = `told AS (SELECT oid, leaves FROM (VALUES ('set', ARRAY['set_config']), ('lock', ARRAY['pg_advisory_lock','pg_advisory_lock_shared','pg_try_advisory_lock','pg_try_advisory_lock_shared']),
	('any', ARRAY['query_to_xml','query_to_xmlschema','query_to_xml_and_xmlschema','ts_stat','ts_rewrite']),
	('process', ARRAY['setseed','pg_backup_start','pg_start_backup','pg_replication_origin_session_setup','pg_create_physical_replication_slot','pg_create_logical_replication_slot',
		'pg_copy_physical_replication_slot','pg_copy_logical_replication_slot'])) AS v(leaves, names), pg_catalog.pg_proc WHERE oid < 16384::pg_catalog.oid AND proname = ANY (names::pg_catalog.name[]))`

	// withTrees has what was parsed when it was made: rules and views, defaults, checks, policies, conditions of triggers, and bodies of functions.
	withTrees = `trees(class, id, tree) AS (SELECT CASE WHEN ev_type = '1'::pg_catalog."char" THEN 1259::pg_catalog.oid ELSE 1::pg_catalog.oid END, ev_class, pg_catalog.concat(ev_qual, ev_action) FROM pg_catalog.pg_rewrite WHERE ev_class >= 16384::pg_catalog.oid
	UNION ALL SELECT 1::pg_catalog.oid, adrelid, adbin::pg_catalog.text FROM pg_catalog.pg_attrdef
	UNION ALL SELECT CASE WHEN conrelid = 0::pg_catalog.oid THEN 1247::pg_catalog.oid ELSE 1::pg_catalog.oid END, CASE WHEN conrelid = 0::pg_catalog.oid THEN contypid ELSE conrelid END, conbin::pg_catalog.text
		FROM pg_catalog.pg_constraint WHERE conbin IS NOT NULL
	UNION ALL SELECT 1259::pg_catalog.oid, polrelid, pg_catalog.concat(polqual, polwithcheck) FROM pg_catalog.pg_policy
	UNION ALL SELECT 1::pg_catalog.oid, tgrelid, tgqual::pg_catalog.text FROM pg_catalog.pg_trigger WHERE tgqual IS NOT NULL
	UNION ALL SELECT 1255::pg_catalog.oid, f.oid, pg_catalog.jsonb_extract_path_text(pg_catalog.to_jsonb(f), 'prosqlbody') FROM pg_catalog.pg_proc AS f
		WHERE prolang = 14::pg_catalog.oid AND prosrc = '' AND f.oid >= 16384::pg_catalog.oid AND NOT EXISTS (SELECT FROM clean AS c WHERE c.oid = f.oid))`

	// withCalling has the trees that call one of these, and the name where that is a literal: bytes behind a header of four.
	withCalling = `telling AS (SELECT class, id, tree FROM trees WHERE tree ~ (SELECT pg_catalog.concat(':funcid (', pg_catalog.string_agg(oid::pg_catalog.text, '|'), ') ') FROM told)),
calling AS (SELECT class, id, leaves, m[3] AS argument FROM telling, pg_catalog.regexp_matches(tree, E':funcid (\\d+) ([^{]*\\{CONST [^{}]*:constvalue \\d+ \\[ (?:-?\\d+ ){4}([0-9 ]+)\\])?', 'g') AS f(m), told
	WHERE m[1] = told.oid::pg_catalog.text)`

	// withCalls has what functions call by their texts.
	withCalls = `calls AS (SELECT DISTINCT oid AS caller, pg_catalog.rtrim(m[1], E'( "\t\r\n') AS name
	FROM written, pg_catalog.regexp_matches(source, E'[^{between}]+"?\\s*\\(', 'g') AS m WHERE EXISTS (SELECT FROM said))`

	// withMentions has what functions read and write by their texts.
	withMentions = `mentions AS (SELECT DISTINCT oid AS caller, pg_catalog.regexp_replace(m[1], E'.*[{between}]', '') AS name, m[1] ~ '^[^fj]' AS writes
	FROM written, pg_catalog.regexp_matches(source, E'\\m(?:into|update|delete\\s+from|truncate(?:\\s+table)?|from|join)\\s+(?:only\\s+)?(?:"?[^{between}]+"?\\.)?"?[^{between}]+', 'g') AS m
	WHERE EXISTS (SELECT FROM said))`

	// withDepends has what PostgreSQL knows of who depends on whom. A trigger, rule, default and the like stand for what they belong to.
	withDepends = `depends AS (SELECT refclassid, refobjid,
	CASE WHEN classid = 3256::pg_catalog.oid OR r.ev_type = '1'::pg_catalog."char" THEN 1259::pg_catalog.oid
	WHEN classid = 2606::pg_catalog.oid AND conrelid = 0::pg_catalog.oid THEN 1247::pg_catalog.oid
	WHEN classid = ANY (ARRAY[1255,1247,2617]::pg_catalog.oid[]) THEN classid ELSE 1::pg_catalog.oid END AS class,
	CASE WHEN conrelid = 0::pg_catalog.oid THEN contypid ELSE COALESCE(tgrelid, ev_class, adrelid, conrelid, polrelid, indrelid, objid) END AS id
	FROM pg_catalog.pg_depend
	LEFT JOIN pg_catalog.pg_trigger AS t ON classid = 2620::pg_catalog.oid AND t.oid = objid
	LEFT JOIN pg_catalog.pg_rewrite AS r ON classid = 2618::pg_catalog.oid AND r.oid = objid
	LEFT JOIN pg_catalog.pg_attrdef AS a ON classid = 2604::pg_catalog.oid AND a.oid = objid
	LEFT JOIN pg_catalog.pg_constraint AS c ON classid = 2606::pg_catalog.oid AND c.oid = objid
	LEFT JOIN pg_catalog.pg_policy AS p ON classid = 3256::pg_catalog.oid AND p.oid = objid
	LEFT JOIN pg_catalog.pg_index AS i ON classid = 1259::pg_catalog.oid AND indexrelid = objid
	WHERE refobjid >= 16384::pg_catalog.oid AND EXISTS (SELECT FROM said) AND (
	classid = ANY (ARRAY[2620,2618,2604,2606,3256,1259,1255,1247,2617]::pg_catalog.oid[]) AND refclassid = ANY (ARRAY[1255,1247,2617]::pg_catalog.oid[])
	OR classid = ANY (ARRAY[2618,3256,1255]::pg_catalog.oid[]) AND refclassid = 1259::pg_catalog.oid))`

	// withLeads has all steps from one object to another that uses it.
	withLeads = `leads(refclass, refid, class, id) AS (SELECT * FROM depends
	UNION ALL SELECT 1::pg_catalog.oid, refobjid, CASE WHEN class = 1259::pg_catalog.oid THEN 1::pg_catalog.oid ELSE class END, id FROM depends WHERE refclassid = 1259::pg_catalog.oid
	UNION ALL SELECT of, inhrelid, of, inhparent FROM pg_catalog.pg_inherits, pg_catalog.unnest(ARRAY[1,1259]::pg_catalog.oid[]) AS of
	UNION ALL SELECT 1::pg_catalog.oid, conrelid, 1::pg_catalog.oid, confrelid FROM pg_catalog.pg_constraint
	WHERE contype = 'f'::pg_catalog."char" AND pg_catalog.concat(confdeltype, confupdtype) ~ '[cnd]'
	UNION ALL SELECT 1255::pg_catalog.oid, p.oid, 1255::pg_catalog.oid, caller FROM calls AS c, pg_catalog.pg_proc AS p
	WHERE p.oid >= 16384::pg_catalog.oid AND c.name = pg_catalog.regexp_replace(pg_catalog.lower(proname::pg_catalog.text), E'.*[{between}]', '')
	UNION ALL SELECT 1255::pg_catalog.oid, evtfoid, 3466::pg_catalog.oid, oid FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D'::pg_catalog."char" AND evtevent <> 'login'::pg_catalog.name
	UNION ALL SELECT 3466::pg_catalog.oid, e.oid, 1255::pg_catalog.oid, w.oid FROM pg_catalog.pg_event_trigger AS e, written AS w WHERE w.source ~ E'\\m(create|alter|drop|grant|revoke|comment|refresh)\\M'
	UNION ALL SELECT of, r.oid, 1255::pg_catalog.oid, caller FROM mentions AS m, pg_catalog.pg_class AS r, pg_catalog.unnest(ARRAY[1,1259]::pg_catalog.oid[]) AS of
	WHERE r.oid >= 16384::pg_catalog.oid AND m.name = pg_catalog.lower(relname::pg_catalog.text) AND (m.writes OR of = 1259::pg_catalog.oid)
	AND (relhastriggers OR relhassubclass OR EXISTS (SELECT FROM depends AS d WHERE d.id = r.oid)))`

	// withKeepers goes from what says it step by step to what uses that.
	withKeepers = `keeper(class, id, leaves) AS (SELECT class, oid, leaves FROM said
	UNION SELECT l.class, l.id, k.leaves FROM keeper AS k, leads AS l WHERE l.refclass = k.class AND l.refid = k.id
	AND NOT EXISTS (SELECT FROM clean AS c WHERE l.class = 1255::pg_catalog.oid AND c.oid = l.id))`

	// namesOfKeepers tells them by their names. leads is named once more, because PostgreSQL would find out all of it for each step otherwise.
	namesOfKeepers = `SELECT pg_catalog.concat(pg_catalog.lower(proname::pg_catalog.text), '('), leaves FROM keeper, pg_catalog.pg_proc AS p WHERE class = 1255::pg_catalog.oid AND p.oid = id
UNION SELECT pg_catalog.lower(relname::pg_catalog.text), leaves FROM keeper, pg_catalog.pg_class AS r WHERE class = 1259::pg_catalog.oid AND r.oid = id
UNION SELECT pg_catalog.concat(pg_catalog.lower(relname::pg_catalog.text), '='), leaves FROM keeper, pg_catalog.pg_class AS r WHERE class = 1::pg_catalog.oid AND r.oid = id
UNION SELECT '*', leaves FROM keeper WHERE class = 3466::pg_catalog.oid
UNION SELECT NULL, NULL FROM leads WHERE class IS NULL
UNION SELECT pg_catalog.lower(typname::pg_catalog.text), leaves FROM keeper, pg_catalog.pg_type AS t WHERE class = 1247::pg_catalog.oid AND t.oid = id`
)

// keepersSQL goes from object to object, each with its catalog: 1255 is a function, 1247 a domain, 2617 an operator, 3466 an event trigger, 1259 a table or
// view that leaves something when it is read or written, and 1 one that does when it is written.
var keepersSQL = "SELECT 'k', name, leaves FROM (WITH RECURSIVE\n" +
	strings.Join([]string{withClean, withWritten, withSuspects, withTold, withTrees, withCalling, withSaid(), withCalls, withMentions, withDepends, withLeads, withKeepers}, ",\n") +
	"\n" + namesOfKeepers + ") AS found(name, leaves)"
