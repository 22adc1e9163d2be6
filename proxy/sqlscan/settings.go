package sqlscan

import (
	"slices"

	"weir/proxy/ascii"
)

// SettingKind is what a statement does with settings, or with the transaction
// that they may end with.
type SettingKind uint8

// The kinds.
const (
	SetValue           SettingKind = iota // SET in most of its forms
	SetDefault                            // SET ... TO DEFAULT, and RESET
	ResetAll                              // RESET ALL
	DiscardAll                            // DISCARD ALL
	SetForTransaction                     // SET TRANSACTION: for the present transaction alone
	Begin                                 // BEGIN, START TRANSACTION
	Commit                                // COMMIT, END
	Rollback                              // ROLLBACK, ABORT
	Savepoint                             // SAVEPOINT
	RollbackTo                            // ROLLBACK TO
	Release                               // RELEASE
	PrepareTransaction                    // PREPARE TRANSACTION
	FinishPrepared                        // COMMIT PREPARED, ROLLBACK PREPARED
)

// SettingUse is one statement, or one of the settings of SET SESSION
// CHARACTERISTICS.
type SettingUse struct {
	Kind       SettingKind
	Local      bool   // SET LOCAL
	NotLiteral bool   // the text does not say the value
	Chain      bool   // COMMIT or ROLLBACK AND CHAIN: the next transaction begins
	Name       string // the setting's in lower case, or the savepoint's
	Value      string // what set_config takes for the same effect; in the client's encoding
	From, To   int    // of SetValue, SetDefault and ResetAll: where the statement stands in the text; To is not known of SET SESSION CHARACTERISTICS
}

// Settings gives yield each statement that sets or resets settings by its
// grammar, and each that begins, ends or divides a transaction, in the order of
// the text, until yield returns false. It returns false if yield has, or if the
// text holds such a statement that it cannot read exactly, or cannot be read to
// its end. It passes over all other statements; the effects of Scan tell whether
// those can set anything (SetConfig, Do, Call, Opaque). Of a text that
// PostgreSQL refuses as not grammatical it may give anything.
func Settings(text []byte, mode Mode, yield func(u SettingUse) bool) bool {
	p := newParser(text, mode)
	for p.begin() {
		if !p.settings(yield) || !p.skipTo("") {
			return false
		}
	}
	return p.tok.kind == tokenEnd
}

// Empty reports whether a text has no statement. One that cannot be read may
// have one.
func Empty(text []byte, mode Mode) bool {
	p := newParser(text, mode)
	return !p.begin() && p.tok.kind == tokenEnd
}

// settings reads one statement.
func (p *parser) settings(yield func(u SettingUse) bool) bool {
	var u SettingUse
	switch {
	case p.accept("set"):
		return p.set(u, yield)
	case p.accept("reset"):
		return p.reset(&u) && p.gives(u, yield)
	case p.is("discard") && p.isWord(p.then, "all"):
		u.Kind = DiscardAll
		return yield(u)
	}
	known, ok := p.transaction(&u)
	return !known || ok && p.nameSavepoint(&u) && ends(p.tok) && yield(u)
}

// set reads after SET. A word that a value, or a point, follows is a setting's
// name, even if it has a meaning of its own: SET local.x = 1.
func (p *parser) set(u SettingUse, yield func(u SettingUse) bool) bool {
	if p.is("constraints") && !p.namesSetting() {
		return p.skipTo("")
	}
	if p.is("local") && !p.namesSetting() {
		u.Local = true
		p.advance()
	} else if p.is("session") && !p.namesSetting() && !p.isWord(p.then, "authorization") && !p.isWord(p.then, "characteristics") {
		p.advance()
	}
	if p.namesSetting() {
		return p.generic(&u) && p.gives(u, yield)
	}
	switch {
	case p.accept("transaction"):
		u.Kind = SetForTransaction
		return p.skipTo("") && yield(u)
	case p.is("session") && p.isWord(p.then, "characteristics"):
		return p.characteristics(u, yield)
	}
	return p.special(&u) && p.gives(u, yield)
}

// gives yields a statement that must have come to its end.
func (p *parser) gives(u SettingUse, yield func(u SettingUse) bool) bool {
	u.From, u.To = p.began, p.ended
	return ends(p.tok) && yield(u)
}

// namesSetting tells whether the present token is the name of a setting, or its
// first part.
func (p *parser) namesSetting() bool {
	if p.tok.kind != tokenWord && p.tok.kind != tokenName {
		return false
	}
	return p.then.kind == tokenByte && (p.then.c == '=' || p.then.c == '.') || p.isWord(p.then, "to") || p.isWord(p.then, "from")
}

// generic reads name = value, name TO value, and name FROM CURRENT.
func (p *parser) generic(u *SettingUse) bool {
	if !p.settingName(u) {
		return false
	}
	if p.acceptAll("from", "current") {
		u.NotLiteral = true
		return true
	}
	if !p.accept("to") && !p.acceptByte('=') {
		return false
	}
	if p.accept("default") {
		u.Kind = SetDefault
		return true
	}
	return p.values(u)
}

// settingName reads a name with all of its parts.
func (p *parser) settingName(u *SettingUse) bool {
	var name []byte
	for {
		if !p.isIdentifier() {
			return false
		}
		part, certain := p.identifier(p.tok)
		if !certain {
			return false
		}
		name = ascii.AppendLower(name, []byte(part))
		p.advance()
		if !p.acceptByte('.') {
			break
		}
		name = append(name, '.')
	}
	switch u.Name = string(name); u.Name { // map_old_guc_names in src/backend/utils/misc/guc.c
	case "sort_mem":
		u.Name = "work_mem"
	case "vacuum_mem":
		u.Name = "maintenance_work_mem"
	}
	return true
}

// special reads the forms of SET that have a grammar of their own.
func (p *parser) special(u *SettingUse) bool {
	switch {
	case p.acceptAll("time", "zone"):
		return p.timeZone(u)
	case p.accept("names"):
		u.Name = "client_encoding"
		if ends(p.tok) || p.accept("default") {
			u.Kind = SetDefault
			return true
		}
		return p.tok.kind != tokenWord && p.value(u)
	case p.accept("schema"):
		u.Name = "search_path"
		return p.tok.kind != tokenWord && p.values(u)
	case p.accept("role"):
		u.Name = "role"
		return p.value(u)
	case p.acceptAll("session", "authorization"):
		u.Name = "session_authorization"
		if p.accept("default") {
			u.Kind = SetDefault
			return true
		}
		return p.value(u)
	case p.acceptAll("xml", "option"):
		u.Name = "xmloption"
		return p.value(u)
	}
	return false
}

// timeZone reads after SET TIME ZONE.
func (p *parser) timeZone(u *SettingUse) bool {
	u.Name = "timezone"
	switch {
	case p.accept("default"), p.accept("local"):
		u.Kind = SetDefault
		return true
	case p.is("interval"):
		u.NotLiteral = true
		return p.skipTo("")
	}
	return p.value(u)
}

// characteristics reads SET SESSION CHARACTERISTICS AS TRANSACTION, which sets
// the defaults of transactions.
func (p *parser) characteristics(u SettingUse, yield func(u SettingUse) bool) bool {
	if !p.acceptAll("session", "characteristics", "as", "transaction") {
		return false
	}
	goesOn, some := true, false
	u.From = p.began
	read := p.transactionModes(func(name, value string) {
		u.Name, u.Value, some = "default_transaction_"+name, value, true
		goesOn = goesOn && yield(u)
	})
	return read && goesOn && some
}

// reset reads after RESET.
func (p *parser) reset(u *SettingUse) bool {
	u.Kind = SetDefault
	switch {
	case p.accept("all"):
		u.Kind = ResetAll
	case p.acceptAll("time", "zone"):
		u.Name = "timezone"
	case p.isWord(p.then, "isolation") && p.acceptAll("transaction", "isolation", "level"):
		u.Name = "transaction_isolation"
	case p.isWord(p.then, "authorization") && p.acceptAll("session", "authorization"):
		u.Name = "session_authorization"
	default:
		return p.settingName(u)
	}
	return true
}

// quotedLists are the settings of which each value is written as a name
// (GUC_LIST_QUOTE in src/backend/utils/misc/guc_tables.c; no extension may make
// one).
var quotedLists = []string{
	"local_preload_libraries", "search_path", "session_preload_libraries", "shared_preload_libraries", "temp_tablespaces",
	"unix_socket_directories",
}

// QuotesList reports whether a setting, given by its name in lower case, is one of these.
func QuotesList(name string) bool { return slices.Contains(quotedLists, name) }

// values reads a list of values into one text, as flatten_set_variable_args does
// (src/backend/utils/misc/guc_funcs.c).
func (p *parser) values(u *SettingUse) bool {
	list := slices.Contains(quotedLists, u.Name)
	var out []byte
	for {
		kind := p.tok.kind
		if !p.value(u) {
			return false
		}
		if list && kind != tokenNumber && kind != tokenByte {
			out = appendQuoted(out, u.Value)
		} else {
			out = append(out, u.Value...)
		}
		if !p.acceptByte(',') {
			break
		}
		out = append(out, ", "...)
	}
	if u.Value = string(out); u.NotLiteral {
		u.Value = ""
	}
	return true
}
