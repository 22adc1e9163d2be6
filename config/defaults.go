package config

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// SessionDefaults are settings of PostgreSQL that the backends of a pool begin with, by their names in lower case. weir gives them at its
// login, so that a RESET goes back to them.
type SessionDefaults map[string]string

// settingsTable is the name of the section below a database's or a user's that holds them.
const settingsTable = "settings"

// defaultsBytesMax leaves room in a startup packet, which may have 10,000 bytes (MAX_STARTUP_PACKET_LENGTH in PostgreSQL's
// src/include/libpq/pqcomm.h), for the names of user and database.
const defaultsBytesMax = 8 << 10

// sessionDefaults reads the section below that of path, if there is one, and takes it out of its table.
func (p *parser) sessionDefaults(path []string, entry map[string]any) SessionDefaults {
	v, ok := entry[settingsTable]
	if !ok {
		return nil
	}
	delete(entry, settingsTable)
	path = append(path[:2:2], settingsTable)
	table, ok := v.(map[string]any)
	if !ok {
		p.problem(path, "settings is a section: want [%s.%s.settings]", path[0], quoteKey(path[1]))
		return nil
	}
	found := SessionDefaults{}
	length := 0
	for _, name := range p.inOrder(path, table) {
		at := append(path[:2:2], settingsTable, name)
		key := strings.ToLower(name)
		if _, twice := found[key]; twice {
			p.problem(at, "%s is given twice", key)
			continue
		}
		if _, nested := table[name].(map[string]any); nested {
			p.problem(at, "a setting with a class is written in quotes: want \"%s.NAME\"", name)
			continue
		}
		if err := checkSettingName(key); err != nil {
			p.problem(at, "%s %v", name, err)
			continue
		}
		value, err := settingValue(table[name])
		if err != nil {
			p.report(p.layout.value(at), "%s %v", name, err)
			continue
		}
		found[key] = value
		length += len(key) + len(value) + 2
	}
	if length > defaultsBytesMax {
		p.problem(path, "settings are longer than %d bytes together", defaultsBytesMax)
	}
	return found
}

// checkSettingName refuses what is no setting, or cannot be one of a login.
func checkSettingName(name string) error {
	switch name {
	case "user", "database", "replication", "options":
		return fmt.Errorf("is no setting of PostgreSQL's, but a parameter of a login")
	case "session_authorization", "is_superuser", "role":
		return fmt.Errorf("cannot be set here: who the session is follows from the user")
	case "transaction_isolation", "transaction_read_only", "transaction_deferrable":
		return fmt.Errorf("ends with a transaction: want default_%s", name)
	case "seed":
		return fmt.Errorf("cannot be set at a login")
	}
	for i, part := range strings.Split(name, ".") {
		if i > 1 || part == "" || strings.HasPrefix(part, "_pq_") || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789_$") != "" ||
			part[0] >= '0' && part[0] <= '9' || part[0] == '$' {
			return fmt.Errorf("is no name of a setting")
		}
	}
	if len(name) > 127 {
		return fmt.Errorf("is too long for the name of a setting")
	}
	return nil
}

// settingValue takes what TOML has for numbers and switches, too.
func settingValue(v any) (string, error) {
	switch t := v.(type) {
	case string:
		if strings.ContainsRune(t, 0) {
			return "", fmt.Errorf("must not contain a NUL character")
		}
		return t, nil
	case int64:
		return strconv.FormatInt(t, 10), nil
	case float64:
		return strconv.FormatFloat(t, 'g', -1, 64), nil
	case bool:
		if t {
			return "on", nil
		}
		return "off", nil
	}
	return "", wrongType("text, a number, or true or false", v)
}

// under returns the settings of a pool: those of its user, and those of its database that the user does not have.
func (d SessionDefaults) under(user SessionDefaults) SessionDefaults {
	switch {
	case len(user) == 0:
		return d
	case len(d) == 0:
		return user
	}
	all := maps.Clone(d)
	maps.Copy(all, user)
	return all
}

// Names are the settings in alphabetical order.
func (d SessionDefaults) Names() []string { return slices.Sorted(maps.Keys(d)) }

// write writes the section below that of a database or a user.
func (d SessionDefaults) write(b io.Writer, of, name string) {
	if len(d) == 0 {
		return
	}
	fmt.Fprintf(b, "\n[%s.%s.%s]\n", of, quoteKey(name), settingsTable)
	for _, s := range d.Names() {
		fmt.Fprintf(b, "%s = %s\n", quoteKey(s), quote(d[s]))
	}
}

// checkFunctions refuses what cannot be the name of a function.
func checkFunctions(c *Config, report func([]string, string, ...any)) {
	for setting, names := range map[string][]string{"opaque_functions": c.Session.OpaqueFunctions, "clean_functions": c.Session.CleanFunctions} {
		for i, name := range names {
			at := elementPath([]string{"session", setting}, i)
			switch {
			case name == "" || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") || strings.Contains(name, ".."):
				report(at, "%s: %q is no name of a function", setting, name)
			case strings.ContainsAny(name, "()\"' \t\n;,"):
				report(at, "%s: want the name of a function alone, such as \"app.f\" (got %q)", setting, name)
			case len(name) > nameMax:
				report(at, "%s: a name is longer than %d bytes", setting, nameMax)
			case setting == "clean_functions" && slices.Contains(c.Session.OpaqueFunctions, name):
				report(at, "%q is in opaque_functions, too", name)
			}
		}
	}
}
