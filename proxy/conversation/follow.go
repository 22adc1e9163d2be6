package conversation

import (
	"slices"

	"weir/proxy/ascii"
	"weir/proxy/session"
	"weir/proxy/sqlscan"
)

// followable are the effects of a text whose settings can be followed by reading it: all that it does to the session is to set and reset
// settings, and to begin and end transactions.
const followable = sqlscan.Set | sqlscan.SetLocal | sqlscan.SetTransaction | sqlscan.Reset | sqlscan.TransactionBlock | sqlscan.Listen |
	sqlscan.Unlisten | sqlscan.Notify | benign | legible

// settingUses reads the SETs and RESETs of a text, one for each of its commands with the tag SET or RESET, in order, and tells whether they can
// all be followed. It returns nil where they cannot be read.
func settingUses(text []byte, e sqlscan.Effects, mode sqlscan.Mode) (uses []use, followed bool) {
	if e&(sqlscan.Set|sqlscan.Reset|sqlscan.SetLocal) == 0 {
		return nil, false
	}
	followed = e&^followable == 0
	read := sqlscan.Settings(text, mode, func(u sqlscan.SettingUse) bool {
		switch u.Kind {
		case sqlscan.SetValue, sqlscan.SetDefault:
			if u.NotLiteral && !u.Local || !ascii.Only(u.Value) {
				followed = false // a value is carried in the database's encoding, and read in the client's
			}
			if n := len(uses); n > 0 && uses[n-1].From == u.From && uses[n-1].Kind == sqlscan.SetValue {
				uses[n-1].more = append(uses[n-1].more, u) // SET SESSION CHARACTERISTICS
				return true
			}
			uses = append(uses, use{SettingUse: u})
		case sqlscan.ResetAll, sqlscan.SetForTransaction:
			uses = append(uses, use{SettingUse: u})
		case sqlscan.DiscardAll:
			return false
		default: // transactions are followed by their tags
		}
		return true
	})
	if !read {
		return nil, false
	}
	return uses, followed
}

// assigned are the settings that are given values which are to be asked for; nil: any.
func assigned(uses []use) (names []string) {
	for _, u := range uses {
		for _, one := range u.sets() {
			switch one.Kind {
			case sqlscan.SetForTransaction:
			case sqlscan.SetValue, sqlscan.SetDefault:
				if one.Name == authorization {
					return nil
				}
				names = append(names, one.Name)
			default:
				return nil
			}
		}
	}
	return names
}

// follow is what a transaction has set that is to follow the client once it is over.
type follow struct {
	done      []sqlscan.SettingUse // what lasts
	pending   []sqlscan.SettingUse // what lasts if its transaction is committed
	savepoint bool                 // the transaction has savepoints: a ROLLBACK may be one to them
	failed    bool                 // an error came since the last ReadyForQuery
	unsure    bool                 // nobody can tell what lasts
	named     []string             // the custom settings among all that it has set
}

// usesMax bounds what is kept of one transaction. A client that sets more keeps its backend.
const usesMax = 256

// set takes note of a SET or RESET that has succeeded.
func (f *follow) set(u sqlscan.SettingUse) {
	if custom(u.Name) && !u.Local && len(f.named) < usesMax {
		f.named = append(f.named, u.Name)
	}
	switch {
	case u.Local || u.Kind == sqlscan.SetForTransaction:
	case len(f.done)+len(f.pending) >= usesMax:
		f.unsure = true
	default:
		f.pending = append(f.pending, u)
	}
}

// command takes note of another command that has succeeded.
func (f *follow) command(tag []byte) {
	if len(f.pending) == 0 && len(tag) > 0 && tag[0] != 'S' {
		return
	}
	switch string(tag) {
	case "SAVEPOINT":
		f.savepoint = true
	case "COMMIT", "PREPARE TRANSACTION":
		f.done = append(f.done, f.pending...)
		f.pending, f.savepoint = f.pending[:0], false
	case "ROLLBACK":
		f.unsure = f.unsure || f.savepoint && len(f.pending) > 0
		f.pending = f.pending[:0]
	}
}

// any reports whether there is anything to take note of.
func (f *follow) any() bool {
	return len(f.done)+len(f.pending) > 0 || f.savepoint || f.failed || f.unsure
}

// ready takes note of a ReadyForQuery. Outside of a block it returns what lasts, and whether that is sure; if not, what custom settings were set.
func (f *follow) ready(idle bool) (lasting []sqlscan.SettingUse, sure bool, named []string) {
	failed := f.failed
	f.failed = false
	if !idle {
		return nil, true, nil
	}
	if !failed { // else the error has undone what its implicit transaction had set
		f.done = append(f.done, f.pending...)
	} else if f.savepoint && len(f.pending) > 0 {
		f.unsure = true
	}
	lasting, sure, named = f.done, !f.unsure, f.named
	f.done, f.pending, f.named, f.savepoint, f.unsure = f.done[:0], f.pending[:0], f.named[:0], false, false
	return lasting, sure, named
}

// settle has the client's settings follow what a transaction has set. named are the custom ones.
func (s *Server) settle(lasting []sqlscan.SettingUse, sure bool, named []string) {
	c := s.client
	if s.ignored() {
		lasting = s.reportedOnly(lasting)
	}
	if len(lasting) == 0 && sure {
		return
	}
	beyond := func(u sqlscan.SettingUse) bool { return s.mayBeBeyond(u.Name) }
	asks := s.question.kept || s.doubtful()&(session.SettingChanged|session.Opaque) != 0 || slices.ContainsFunc(lasting, beyond)
	if c == nil || !sure || asks || !s.adopt(c, lasting) {
		s.question.name(named)
		s.question.blind = s.question.blind || slices.ContainsFunc(lasting, func(u sqlscan.SettingUse) bool { return s.unshown(u.Name) })
		s.doubtSettings(nil)
	}
}

// adopt gives the client and the backend the settings with what was set. The two differ in what a RESET leaves: the backend has that of its
// own login then, and Fate has it brought to that of the client's. False: they cannot be carried.
func (s *Server) adopt(c *Client, lasting []sqlscan.SettingUse) bool {
	wanted, err := s.shared.Settings.Intern(s.after(c.Set, c.Login, lasting))
	if err != nil {
		return false
	}
	applied, err := s.shared.Settings.Intern(s.after(s.set, nil, lasting))
	if err != nil {
		s.shared.Settings.Release(wanted)
		return false
	}
	s.apply(applied)
	s.shared.Settings.Release(applied)
	s.shared.Settings.Release(c.Set)
	c.Set = wanted
	return true
}

// after is what becomes of settings by what was set, in a session that was logged in with login.
func (s *Server) after(set, login *session.Set, uses []sqlscan.SettingUse) []session.Setting {
	settings := append([]session.Setting(nil), set.Settings()...)
	for _, u := range uses {
		if u.Name == authorization {
			u.Name = session.Authorization
		}
		switch u.Kind {
		case sqlscan.ResetAll:
			settings = resetAll(settings, login)
		case sqlscan.SetDefault:
			settings = without(settings, u.Name)
			if value, ok := login.Value(u.Name); ok {
				settings = append(settings, session.Setting{Name: u.Name, Value: value})
			}
		default:
			settings = append(without(settings, u.Name), session.Setting{Name: u.Name, Value: s.reportedOr(u.Name, u.Value)})
		}
		if u.Name == session.Authorization {
			settings = without(settings, "role") // which it ends
			if value, ok := login.Value("role"); ok && u.Kind == sqlscan.SetDefault {
				settings = append(settings, session.Setting{Name: "role", Value: value})
			}
		}
	}
	return settings
}

// resetAll is what RESET ALL leaves: it does not change who the session is (GUC_NO_RESET_ALL in guc_tables.c).
func resetAll(settings []session.Setting, login *session.Set) []session.Setting {
	var kept []session.Setting
	for _, name := range []string{session.Authorization, "role"} {
		if value, has := valueOf(settings, name); has {
			kept = append(kept, session.Setting{Name: name, Value: value})
		}
	}
	return append(without(append([]session.Setting(nil), login.Settings()...), "role"), kept...)
}

// reportedOr is a setting's value in the server's own words, where it reports the setting: a value may name a part only (DateStyle).
func (s *Server) reportedOr(name, value string) string {
	for _, p := range s.params {
		if session.SameName(p.Name, name) {
			return p.Value
		}
	}
	return value
}

func valueOf(settings []session.Setting, name string) (string, bool) {
	for _, o := range settings {
		if session.SameName(o.Name, name) {
			return o.Value, true
		}
	}
	return "", false
}

func without(settings []session.Setting, name string) []session.Setting {
	kept := settings[:0]
	for _, o := range settings {
		if !session.SameName(o.Name, name) {
			kept = append(kept, o)
		}
	}
	return kept
}
