package login

import (
	"net"
	"slices"
	"strings"
	"unicode/utf8"

	"weir/config"
	"weir/proxy/ascii"
	"weir/proxy/pgerror"
	"weir/proxy/wire"
)

// identify reads who the client says it is and where it wants to go. Names are cut as the server cuts them, before any rule or limit
// sees them: else a longer name would be another user to weir and the same one to the server.
func (a *attempt) identify(s wire.Startup) *Failure {
	user, _ := s.Param("user")
	a.user = wire.CutName(user)
	if a.user == "" {
		return a.fail(Malformed, pgerror.NoUserName, "")
	}
	a.database, _ = s.Param("database")
	if a.database == "" {
		a.database = a.user
	}
	if a.opt.NamesDatabase == nil || !a.opt.NamesDatabase(a.database) {
		a.database = wire.CutName(a.database)
	}
	if v, ok := s.Param("replication"); ok {
		on, valid := parseBool(v)
		switch {
		case v == "database":
			a.replication = LogicalReplication
		case on:
			a.replication = PhysicalReplication
		case !valid:
			return a.fail(BadSetting, pgerror.InvalidReplication(v), "")
		}
	}
	return nil
}

// settings collects what the startup packet sets: the switches in "options" first, then the parameters, as
// process_startup_options in PostgreSQL's src/backend/utils/init/postinit.c does.
func (a *attempt) settings(s wire.Startup) ([]wire.Param, *Failure) {
	options, _ := s.Param("options")
	all, err := wire.SplitOptions(options)
	if err != nil {
		return nil, a.failWith(BadSetting, err)
	}
	if a.opt.Ignored[config.OptionsParameter] && a.replication == NoReplication { // what replicates asks in options for what it needs
		all = slices.DeleteFunc(all, func(p wire.Param) bool { return !config.FollowedAlways(p.Name) })
	}
	for _, p := range s.Params {
		switch p.Name {
		case "user", "database", "options", "replication":
		default:
			all = append(all, p)
		}
	}
	for _, p := range all {
		if !settingName(p.Name) {
			return nil, a.fail(BadSetting, pgerror.UnknownSetting(p.Name), "")
		}
	}
	all = slices.DeleteFunc(lastOfEach(all), func(p wire.Param) bool { return a.opt.Ignored[ascii.ToLower(p.Name)] })
	cleanName(all)
	if a.opt.AddHost {
		all = a.addHost(all)
	}
	return all, nil
}

// cleanName makes an application_name of bytes that are no UTF-8, such as one in Latin-1, what PostgreSQL's check_application_name makes of
// it. In a startup packet the server takes it in whatever encoding; weir sets it by a statement, which would fail.
func cleanName(all []wire.Param) {
	for i, p := range all {
		if ascii.ToLower(p.Name) != "application_name" || utf8.ValidString(p.Value) {
			continue
		}
		b := []byte(p.Value)
		for j, c := range b {
			if c < ' ' || c > '~' {
				b[j] = '?'
			}
		}
		all[i].Value = string(b)
	}
}

// addHost adds the client's address to its application_name: the server has only weir's.
func (a *attempt) addHost(all []wire.Param) []wire.Param {
	host := "unix"
	if addr, ok := a.under.RemoteAddr().(*net.TCPAddr); ok {
		host = addr.String()
	}
	for i, p := range all {
		if ascii.ToLower(p.Name) == "application_name" {
			all[i].Value = p.Value + " - " + host
			return all
		}
	}
	return append(all, wire.Param{Name: "application_name", Value: "app - " + host})
}

// lastOfEach leaves of each name, however it is spelled, the last one, in its place. It compares them as guc_name_compare does.
func lastOfEach(all []wire.Param) []wire.Param {
	last := make(map[string]int, len(all))
	for i, p := range all {
		last[ascii.ToLower(p.Name)] = i
	}
	kept := all[:0]
	for i, p := range all {
		if last[ascii.ToLower(p.Name)] == i {
			kept = append(kept, p)
		}
	}
	return kept
}

// settingName reports whether a setting could be called so: identifiers joined by dots (valid_custom_variable_name in
// PostgreSQL's src/backend/utils/misc/guc.c). What passes needs no quoting anywhere.
func settingName(s string) bool {
	first := true
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '_' || c >= 0x80 || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
			first = false
		case !first && (c == '$' || '0' <= c && c <= '9'):
		case !first && c == '.':
			first = true
		default:
			return false
		}
	}
	return !first
}

// parseBool takes what PostgreSQL's parse_bool takes: yes, no, true, false, on, off, 1, 0, in any case, or so much of a word
// that it can be no other.
func parseBool(s string) (value, ok bool) {
	s = ascii.ToLower(s)
	if s == "" || s == "o" {
		return false, false
	}
	for word, v := range map[string]bool{"true": true, "yes": true, "on": true, "1": true, "false": false, "no": false, "off": false, "0": false} {
		if strings.HasPrefix(word, s) {
			return v, true
		}
	}
	return false, false
}
