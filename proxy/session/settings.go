// Package session holds what belongs to a client's session and must follow it
// from backend to backend, as values: its settings (Set, interned in a Table),
// the statement that brings a backend from one set to another (AppendSwitch),
// and the reasons why a backend must stay with its client (Pins).
//
// The package is pure: no sockets, no clock, no goroutines. A Table may be used
// from any goroutine (logins intern, loops release); a Set is immutable; the
// rest are functions. It imports sqlscan.
package session

import (
	"fmt"
	"slices"
	"strings"

	"weir/proxy/ascii"
)

// Setting is a PostgreSQL setting (GUC) with the text of its value.
//
// The bytes of a value are those of a startup packet, which PostgreSQL takes as
// they are: in the encoding of the database, not in client_encoding.
type Setting struct{ Name, Value string }

// The limits of one client's settings. An ordinary client has two to six of
// them in a hundred bytes; PostgreSQL itself bounds those of a startup packet
// to 10,000 bytes (MAX_STARTUP_PACKET_LENGTH, src/include/libpq/pqcomm.h).
const (
	settingsMax      = 64
	settingsBytesMax = 8 << 10 // names and values together
)

// SettingError says why a setting cannot be carried. It is for the client.
type SettingError struct {
	Name    string // as the client wrote it
	Code    string // SQLSTATE
	Problem string
}

// Error names the setting and the problem.
func (e *SettingError) Error() string { return fmt.Sprintf("setting %q %s", e.Name, e.Problem) }

// canonical folds a name as PostgreSQL compares names of settings: by ASCII
// rules alone (guc_name_compare in src/backend/utils/misc/guc.c). Unicode rules
// would make one of two names that PostgreSQL tells apart. Two names of old are
// still taken for their successors there (map_old_guc_names).
func canonical(name string) string {
	name = ascii.ToLower(name)
	switch name {
	case "sort_mem":
		return "work_mem"
	case "vacuum_mem":
		return "maintenance_work_mem"
	}
	return name
}

// check refuses what cannot be carried from backend to backend. Names and values
// that PostgreSQL does not know are not this package's business: the server
// refuses them when they are first applied.
func check(s Setting) *SettingError {
	refuse := func(code, problem string) *SettingError { return &SettingError{s.Name, code, problem} }
	switch {
	case s.Name == "":
		return refuse("42704", "has no name")
	case strings.IndexByte(s.Name, 0) >= 0 || strings.IndexByte(s.Value, 0) >= 0:
		return refuse("22021", "holds a zero byte")
	}
	switch canonical(s.Name) {
	case "transaction_isolation", "transaction_read_only", "transaction_deferrable":
		return refuse("55P02", "ends with the transaction that sets it")
	case "seed":
		return refuse("55P02", "cannot be taken back") // GUC_NO_RESET since PostgreSQL 16
	}
	return nil
}

// CheckLogin refuses settings of a startup packet that count when the server's process begins, and that SET takes without effect: a client that
// asks for them would do without unawares. The error is a *SettingError.
func CheckLogin(settings []Setting) error {
	for _, s := range settings {
		switch canonical(s.Name) {
		case "session_preload_libraries", "local_preload_libraries":
			return &SettingError{s.Name, "55P02", "counts only at the beginning of a connection to the server"}
		}
	}
	return nil
}

// normalize returns the settings checked, with canonical names, sorted by name,
// each once; of several values the last counts, as at PostgreSQL's startup.
func normalize(settings []Setting) ([]Setting, error) {
	out := make([]Setting, 0, len(settings))
	bytes := 0
	for _, s := range settings {
		if err := check(s); err != nil {
			return nil, err
		}
		c := Setting{canonical(s.Name), s.Value}
		if i := slices.IndexFunc(out, func(o Setting) bool { return o.Name == c.Name }); i >= 0 {
			bytes += len(c.Value) - len(out[i].Value)
			out[i] = c
		} else {
			bytes += len(c.Name) + len(c.Value)
			out = append(out, c)
		}
		switch {
		case len(out) > settingsMax:
			return nil, &SettingError{s.Name, "54000", fmt.Sprintf("is one too many: a session may carry %d", settingsMax)}
		case bytes > settingsBytesMax:
			return nil, &SettingError{s.Name, "54000", fmt.Sprintf("makes the session's settings longer than %d bytes", settingsBytesMax)}
		}
	}
	slices.SortFunc(out, byName)
	return out, nil
}

func byName(a, b Setting) int { return strings.Compare(a.Name, b.Name) }
