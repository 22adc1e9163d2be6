package dial

import (
	"slices"
	"strings"

	"weir/proxy/session"
	"weir/proxy/sqlscan"
)

// splitMax bounds what of a connect_query goes into a startup packet, which servers take up to 10,000 bytes of.
const splitMax = 4 << 10

// splitConnectQuery parts a connect_query into the settings that it makes at its beginning, with SET, and what is left to be run. A backend that asks for
// these at its login has them as its defaults, and so has each client and each RESET. Made by SET they would be the session's: of the first client of whom
// weir asks the backend for its state, and of no other.
func splitConnectQuery(query string) (settings []session.Setting, rest string) {
	if len(query) > splitMax || strings.Contains(query, `\`) { // what that means is the server's to say
		return nil, query
	}
	text, read := []byte(query), 0
	sqlscan.Settings(text, 0, func(u sqlscan.SettingUse) bool {
		if u.Kind != sqlscan.SetValue || u.Local || u.NotLiteral || u.To <= read || !mayBeDefault(u.Name) || !sqlscan.Empty(text[read:u.From], 0) {
			return false
		}
		settings = under(settings, session.Setting{Name: u.Name, Value: u.Value})
		read = u.To
		return true
	})
	if sqlscan.Empty(text[read:], 0) {
		return settings, ""
	}
	return settings, strings.TrimLeft(query[read:], "; \t\r\n")
}

// mayBeDefault reports whether a login may ask for a setting. It may for a role: to be the login's user is more than the operator wanted.
func mayBeDefault(name string) bool {
	switch name {
	case "session_authorization", "seed", "transaction_isolation", "transaction_read_only", "transaction_deferrable":
		return false
	}
	return true
}

// under returns settings with others over them, which win.
func under(settings []session.Setting, others ...session.Setting) []session.Setting {
	settings = slices.DeleteFunc(slices.Clone(settings), func(s session.Setting) bool {
		return slices.ContainsFunc(others, func(o session.Setting) bool { return strings.EqualFold(s.Name, o.Name) })
	})
	return append(settings, others...)
}
