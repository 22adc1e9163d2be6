package console

import (
	"strconv"
	"strings"
	"time"
)

// What drivers and tools say to any server before their user says anything. It is taken or answered as far as that can be done
// without a server, so that they connect.

// driverSettings are settings that drivers read and set, with what SHOW says. SET of one has no effect.
var driverSettings = map[string]string{
	"client_encoding": "UTF-8", "default_transaction_isolation": "read committed", "standard_conforming_strings": "on", "datestyle": "ISO",
	"timezone": "GMT", "extra_float_digits": "1",
	"application_name": "", "bytea_output": "hex", "client_min_messages": "notice", "default_transaction_read_only": "off", "escape_string_warning": "on",
	"idle_in_transaction_session_timeout": "0", "intervalstyle": "postgres", "lock_timeout": "0", "max_identifier_length": "63",
	"search_path": "pg_catalog", "server_encoding": "UTF8", "server_version": serverVersion, "server_version_num": "12601",
	"statement_timeout": "0", "transaction_isolation": "read committed", "transaction_read_only": "off",
	"transaction isolation level": "read committed", "time zone": "GMT", "is_superuser": "on", "jit": "off", "row_security": "on",
	"lc_collate": "C", "lc_ctype": "C", "lc_messages": "C", "lc_monetary": "C", "lc_numeric": "C", "lc_time": "C",
}

func driverSetting(name string) bool {
	_, ok := driverSettings[strings.ToLower(name)]
	return ok
}

// item is a column of a SELECT that can be answered.
type item struct {
	name  string
	kind  Kind
	value any
}

// asker is who asks.
type asker struct {
	database, user, version string
	pid                     uint32
	now                     time.Time
}

// sources are what a SELECT that can be answered may be FROM: tools look for their own database and user.
var sources = []string{"", "pg_database", "pg_roles", "pg_user", "pg_show_all_settings", "pg_settings", "dual"}

// selected answers a SELECT of things that every server has. False: this one cannot be answered.
func (a asker) selected(text string) (items []item, ok bool) {
	tokens, err := scan(text)
	if err != nil || len(tokens) < 2 {
		return nil, false
	}
	list, from := parts(tokens[1:])
	known := false
	for _, s := range sources {
		known = known || s == from
	}
	for _, part := range list {
		i, ok := a.item(part, from != "")
		if !ok || !known {
			return nil, false
		}
		items = append(items, i)
	}
	return items, len(items) > 0
}

// parts cuts what comes after SELECT into the list's items, and finds the name after FROM.
func parts(tokens []token) (list [][]token, from string) {
	depth, begin := 0, 0
	for i, t := range tokens {
		switch {
		case t.kind == tokenSign && t.text == "(":
			depth++
		case t.kind == tokenSign && t.text == ")":
			depth--
		case t.kind == tokenSign && t.text == "," && depth == 0:
			list, begin = append(list, tokens[begin:i]), i+1
		case t.kind == tokenWord && depth == 0 && strings.EqualFold(t.text, "FROM"):
			rest := tokens[i+1:]
			if len(rest) > 2 && rest[1].text == "." {
				rest = rest[2:]
			}
			if len(rest) > 0 {
				from = strings.ToLower(rest[0].text)
			}
			return append(list, tokens[begin:i]), from
		case t.kind == tokenWord && depth == 0 && isOneOf(t.text, "WHERE", "LIMIT", "ORDER"):
			return append(list, tokens[begin:i]), from
		}
	}
	return append(list, tokens[begin:]), from
}

// item answers one expression.
func (a asker) item(tokens []token, fromTable bool) (i item, ok bool) {
	name := ""
	switch n := len(tokens); {
	case n > 2 && strings.EqualFold(tokens[n-2].text, "AS"):
		name, tokens = tokens[n-1].text, tokens[:n-2]
	case n > 2 && tokens[n-1].kind != tokenSign && tokens[n-2].text == ")":
		name, tokens = tokens[n-1].text, tokens[:n-1]
	}
	i, ok = a.expression(tokens, fromTable)
	if name != "" {
		i.name = name
	}
	return i, ok
}

func (a asker) expression(tokens []token, fromTable bool) (item, bool) {
	for len(tokens) > 2 && tokens[1].text == "." { // a schema, or a table's other name
		tokens = tokens[2:]
	}
	if len(tokens) == 0 {
		return item{}, false
	}
	first := tokens[0]
	function := strings.ToLower(first.text)
	if len(tokens) == 1 && first.kind == tokenText {
		return item{"?column?", Text, first.text}, true
	}
	if n, err := strconv.Atoi(first.text); err == nil && len(tokens) == 1 {
		return item{"?column?", Int, clamp(int64(n))}, true
	}
	call := len(tokens) > 2 && tokens[1].text == "(" && tokens[len(tokens)-1].text == ")"
	if len(tokens) > 1 && !call && !(fromTable && function == "case") {
		return item{}, false
	}
	var args []token
	if call {
		args = tokens[2 : len(tokens)-1]
	}
	return a.named(function, args, fromTable)
}

func (a asker) named(name string, args []token, fromTable bool) (item, bool) {
	text := func(s string) (item, bool) { return item{name, Text, s}, true }
	truth := func(b bool) (item, bool) { return item{name, Bool, b}, true }
	switch name {
	case "version":
		return text(a.version)
	case "current_database", "current_catalog", "datname":
		return text(a.database)
	case "current_user", "session_user", "user", "current_role", "rolname", "usename", "getpgusername":
		return text(a.user)
	case "current_schema":
		return text("pg_catalog")
	case "current_timestamp", "now":
		return text(a.now.UTC().Format("2006-01-02 15:04:05.000000+00"))
	case "pg_backend_pid":
		return item{name, Int, clamp(int64(a.pid))}, true
	case "pg_advisory_unlock_all": // of a driver's pool, when a connection comes back to it
		return text("")
	case "pg_is_in_recovery", "pg_is_wal_replay_paused":
		return truth(false)
	case "set_config":
		if len(args) > 2 && args[2].kind == tokenText {
			return text(args[2].text)
		}
	case "current_setting":
		if len(args) > 0 && driverSetting(args[0].text) {
			return text(driverSettings[strings.ToLower(args[0].text)])
		}
	}
	if !fromTable {
		return item{}, false
	}
	switch name {
	case "oid", "datlastsysoid", "usesysid":
		return item{name, Big, 0}, true
	case "datallowconn", "rolsuper", "usesuper", "has_database_privilege", "has_schema_privilege":
		return truth(true)
	case "datistemplate", "rolcreatedb", "rolcreaterole", "case":
		return truth(false)
	case "pg_encoding_to_char":
		return text("UTF8")
	}
	return item{}, false
}
