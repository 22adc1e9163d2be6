package session

import (
	"strconv"

	"weir/proxy/sqlscan"
)

// These two settings decide what the session may do, and so whether the others
// can be set; setting the second one ends the first.
const (
	roleName  = "role"
	authzName = "session_authorization"
)

// AppendSwitch appends one SQL statement, without a closing NUL, that brings a
// backend from one set of settings to another; nothing if they are the same.
// It is meant for a simple Query outside a transaction block. Either all of it
// holds afterwards or, with an error, nothing. The answer is one row, to be
// swallowed: T D C Z.
//
//	SELECT pg_catalog.set_config(E'work_mem',E'1MB',false),pg_catalog.set_config(E'timezone',NULL,false) IS NULL
//
// Its values are ASCII: a server refuses a row with a character that client_encoding does not have, and a session may be in settings that it
// cannot show. So the value of a setting that is reset, or set to what is not ASCII, is not asked for.
//
// set_config is used because SET reads a list where a startup packet has one
// text (search_path a, b); with NULL it resets to the value of the backend's
// login. One difference to a fresh session remains, which PostgreSQL itself
// does not take back either: a setting of a class that is not defined (app.x)
// is the empty string after a reset, not absent.
//
// The text is ASCII in all cases and needs no setting to be read rightly:
// E'...' means the same under each standard_conforming_strings and
// backslash_quote, and in each client_encoding.
func AppendSwitch(dst []byte, from, to *Set) []byte {
	w := switchWriter{dst: dst}
	w.switches(from, to)
	return w.dst
}

// SwitchNames are the settings of the columns that the row has with which a server answers what AppendSwitch appends, in order. Some may be there
// twice: the last one counts. The column has the value if ShowsSwitched.
func SwitchNames(from, to *Set) (names []string) {
	w := switchWriter{names: &names}
	w.switches(from, to)
	return names
}

// Differs reports whether there is a setting in which two sets differ for which f is true.
func Differs(a, b *Set, f func(name string) bool) bool {
	old, new := a.Settings(), b.Settings()
	for i, j := 0, 0; i < len(old) || j < len(new); {
		switch {
		case j == len(new) || i < len(old) && old[i].Name < new[j].Name:
			if f(old[i].Name) {
				return true
			}
			i++
		case i == len(old) || new[j].Name < old[i].Name:
			if f(new[j].Name) {
				return true
			}
			j++
		default:
			if old[i].Value != new[j].Value && f(old[i].Name) {
				return true
			}
			i++
			j++
		}
	}
	return false
}

func (w *switchWriter) switches(from, to *Set) {
	if from == to {
		return
	}
	old, new := from.Settings(), to.Settings()

	// Before anything else, the session is itself again: under a role that the
	// client chose, the rest might not be allowed. For the same reason a new role
	// comes last, even if it is the old one.
	w.resetIf(old, roleName)
	w.resetIf(old, Authorization)

	for i, j := 0, 0; i < len(old) || j < len(new); {
		switch {
		case j == len(new) || i < len(old) && old[i].Name < new[j].Name:
			if !isIdentity(old[i].Name) {
				w.reset(old[i].Name)
			}
			i++
		case i == len(old) || new[j].Name < old[i].Name:
			if !isIdentity(new[j].Name) {
				w.set(new[j])
			}
			j++
		default:
			if old[i].Value != new[j].Value && !isIdentity(new[j].Name) {
				// DateStyle keeps the half that a value does not name: ISO after
				// "SQL, DMY" is "ISO, DMY", at login it is "ISO, MDY".
				if new[j].Name == "datestyle" {
					w.reset(old[i].Name)
				}
				w.set(new[j])
			}
			i++
			j++
		}
	}

	// PostgreSQL checks the session_authorization of a startup packet and then overwrites it with the user who has logged in: it fails
	// where it may not be set, and has no effect where it may.
	w.setIf(new, authzName)
	w.resetIf(new, authzName)
	w.setIf(new, Authorization)
	w.setIf(new, roleName)
}

func isIdentity(name string) bool {
	return name == roleName || name == authzName || name == Authorization
}

// Authorization stands in a Set for the session_authorization that a client's SET has made, unlike that of a startup packet, which is tried
// and has no effect. No setting of PostgreSQL's has such a name.
const Authorization = "session authorization"

// switchWriter appends calls of set_config to one SELECT.
type switchWriter struct {
	dst     []byte
	started bool
	names   *[]string // what is called for; nil: it is not wanted
}

func (w *switchWriter) call(name string) {
	if name == Authorization {
		name = authzName
	}
	if w.names != nil {
		*w.names = append(*w.names, name)
	}
	if w.started {
		w.dst = append(w.dst, ',')
	} else {
		w.dst = append(w.dst, "SELECT "...)
		w.started = true
	}
	w.dst = append(w.dst, "pg_catalog.set_config("...)
	w.dst = appendLiteral(w.dst, name)
	w.dst = append(w.dst, ',')
}

func (w *switchWriter) set(s Setting) {
	w.call(s.Name)
	w.dst = appendLiteral(w.dst, s.Value)
	w.dst = append(w.dst, ",false)"...)
	if !ShowsSwitched(s) {
		w.dst = append(w.dst, " IS NULL"...)
	}
}

func (w *switchWriter) reset(name string) {
	w.call(name)
	w.dst = append(w.dst, "NULL,false) IS NULL"...)
}

// ShowsSwitched reports whether the answer to what AppendSwitch appends shows what a server makes of a setting.
func ShowsSwitched(s Setting) bool {
	if s.Name == "application_name" {
		return true // the server makes it ASCII (check_application_name in src/backend/commands/variable.c)
	}
	for i := range len(s.Value) {
		if s.Value[i] > '~' {
			return false
		}
	}
	return true
}

func (w *switchWriter) resetIf(settings []Setting, name string) {
	for _, s := range settings {
		if s.Name == name {
			w.reset(name)
		}
	}
}

func (w *switchWriter) setIf(settings []Setting, name string) {
	for _, s := range settings {
		if s.Name == name {
			w.set(s)
		}
	}
}

// SetForm is how a command gives a setting its value.
type SetForm uint8

// The forms.
const (
	AsSet   SetForm = iota // SET: one message, CommandComplete. It needs no snapshot, so the modes of its transaction can be set after it
	AsQuery                // a SELECT of no columns and no rows: RowDescription, in a Query, and CommandComplete
)

// identifierMax is how many bytes an identifier has at most (NAMEDATALEN in src/include/pg_config_manual.h).
const identifierMax = 63

// FormOf is the form in which a setting can be given the value that a startup packet gave: SET makes one name of the text of a list.
func FormOf(s Setting) SetForm {
	part := 0
	for i := range len(s.Name) {
		if part++; s.Name[i] == '.' {
			part = 0
		}
		if s.Name[i] > '~' || part > identifierMax {
			return AsQuery // a name cannot be written without regard to the encoding, or as an identifier, of which the server takes so much
		}
	}
	if sqlscan.QuotesList(s.Name) {
		return AsQuery
	}
	return AsSet
}

// AppendSet appends the command that gives a setting its value, until the end of the transaction or for longer. It is ASCII, like what
// AppendSwitch appends.
func AppendSet(dst []byte, s Setting, local bool, form SetForm) []byte {
	if form == AsSet {
		dst = append(dst, "SET "...)
		if local {
			dst = append(dst, "LOCAL "...)
		}
		dst = append(appendSettingName(dst, s.Name), " TO "...)
		return appendLiteral(dst, s.Value)
	}
	dst = append(dst, "SELECT WHERE pg_catalog.set_config("...)
	dst = append(appendLiteral(dst, s.Name), ',')
	dst = append(appendLiteral(dst, s.Value), ',')
	return append(strconv.AppendBool(dst, local), ") IS NULL"...)
}

// appendSettingName quotes each part of a name.
func appendSettingName(dst []byte, name string) []byte {
	dst = append(dst, '"')
	for i := range len(name) {
		switch c := name[i]; c {
		case '"':
			dst = append(dst, `""`...)
		case '.':
			dst = append(dst, `"."`...)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// AppendLiterals appends texts as a list of literals.
func AppendLiterals(dst []byte, texts []string) []byte {
	for i, text := range texts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendLiteral(dst, text)
	}
	return dst
}

// appendLiteral quotes text as E'...' in printable ASCII. A quote is doubled
// rather than escaped: backslash_quote may forbid \'.
func appendLiteral(dst []byte, text string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, "E'"...)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\'':
			dst = append(dst, "''"...)
		case c == '\\':
			dst = append(dst, `\\`...)
		case c < ' ' || c > '~':
			dst = append(dst, '\\', 'x', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '\'')
}
