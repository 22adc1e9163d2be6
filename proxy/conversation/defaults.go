package conversation

import (
	"weir/proxy/wire"
)

// Defaults stand for what the server would give a login now: two logins with the same Defaults begin alike. They can be compared.
type Defaults struct {
	Known    bool
	Altered  string // what ALTER ROLE and ALTER DATABASE have set for the pool's user and database, and that user's name. Sessions that are there keep what was before
	Defined  string // how often the database's functions, triggers, rules and policies have been changed; empty if the server does not say
	Reported string // the defaults of the settings that servers report, which a reload changes in all sessions
}

// AskDefaults asks for the Defaults. The backend has no client, though one may wait for it.
var AskDefaults = &Errand{Name: "ask defaults", text: appendAsk, onRow: defaultsTold, onEnd: defaultsAsked}

// defaultsQuestion names everything in full: the session may have any search_path. It answers with hashes, so that the answer is short,
// and to any role: pg_db_role_setting and pg_settings can be read by all. Settings from files that act at a login only, such as
// log_connections, do not show in a session that is there. The role is the one that logged in, even if it has been renamed or dropped since: another
// may have its name now.
const defaultsQuestion = "SELECT (SELECT pg_catalog.hashtext(pg_catalog.concat_ws(';', pg_catalog.pg_get_userbyid(l.usesysid), " +
	"(SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', s.setdatabase, s.setrole, s.setconfig), ';' ORDER BY s.setdatabase, s.setrole) " +
	"FROM pg_catalog.pg_db_role_setting s " +
	"WHERE s.setdatabase OPERATOR(pg_catalog.=) ANY (ARRAY['0'::pg_catalog.oid, (SELECT d.oid FROM pg_catalog.pg_database d " +
	"WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())]) " +
	"AND s.setrole OPERATOR(pg_catalog.=) ANY (ARRAY['0'::pg_catalog.oid, l.usesysid])))) " +
	"FROM " + ownActivity + " l), " +
	"(SELECT pg_catalog.hashtext(pg_catalog.string_agg(pg_catalog.concat_ws(' ', p.name, p.reset_val), ';' ORDER BY p.name)) " +
	"FROM pg_catalog.pg_settings p WHERE p.name OPERATOR(pg_catalog.=) ANY (ARRAY['application_name', 'client_encoding', 'DateStyle', " +
	"'default_transaction_read_only', 'IntervalStyle', 'TimeZone', 'standard_conforming_strings', 'scram_iterations', 'search_path'" +
	"]::pg_catalog.text[])), " + defined

// defined adds up what was written to pg_proc, pg_operator, pg_rewrite, pg_trigger, pg_policy and pg_event_trigger. Servers before 15 keep such
// counts in a file, which costs too much to read.
const defined = "CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 150000 THEN " +
	"(SELECT pg_catalog.sum(pg_catalog.pg_stat_get_tuples_inserted(c) OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_tuples_updated(c) " +
	"OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_tuples_deleted(c)) " +
	"FROM pg_catalog.unnest(ARRAY[1255, 2617, 2618, 2620, 3256, 3466]::pg_catalog.oid[]) AS t(c)) END"

// ownActivity is the row of the session itself. Its usesysid is the role that logged in, whatever has become of its name, or of SESSION_USER.
const ownActivity = "pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())"

// appendAsk appends the question. Settings that could make it wait or fail are put aside by a transaction.
func appendAsk(s *Server, dst []byte) []byte {
	s.defaults = Defaults{}
	if !s.guarded() {
		return wire.AppendQuery(dst, defaultsQuestion)
	}
	return wire.AppendQueryBytes(dst, append(append(s.appendGuard(nil), defaultsQuestion...), ";COMMIT"...))
}

func defaultsTold(s *Server, row []byte) {
	if values, err := wire.PeekRow(row); err == nil && len(values) == 3 {
		s.defaults = Defaults{Known: true, Altered: string(values[0]), Reported: string(values[1]), Defined: string(values[2])}
	}
}

func defaultsAsked(s *Server, status wire.TxStatus, refused bool) Outcome {
	if status != wire.TxIdle {
		return OutcomeBroken
	}
	if refused {
		s.defaults = Defaults{}
	}
	return OutcomeTold
}

// Defaults are what the last AskDefaults has found; not Known if the server has not said.
func (s *Server) Defaults() Defaults { return s.defaults }
