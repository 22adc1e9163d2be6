package config

import (
	"slices"
	"strings"
)

// setting is a row of the table: all that weir knows about one setting. Everything that reads, checks, prints or
// documents settings goes through these rows.
type setting struct {
	section string // where it stands; for what only a database, a user or a peer has: "databases", "users", "peers"
	name    string
	alias   string // another spelling that is accepted: PgBouncer's
	unit    string // what a bare number counts

	// Where the value is: a pointer to it. Exactly one of the four is set.
	field    func(*Config) any
	database func(*Database) any
	user     func(*User) any
	peer     func(*Peer) any

	// A setting that a database or a user may have for itself has a pointer in Override, too.
	override func(*Override) any
	in       scope

	// A setting that a database may have in a section below its own, which has this one's name, has its place there.
	table func(*Database) any

	min, max int64 // of a whole number; of a duration, max in seconds where the kernel counts these, or 0
	millis   bool  // of a duration: SHOW CONFIG and SET count it in milliseconds, as PgBouncer does
	restart  bool  // a reload cannot change it
	meaning  string
	why      string // why the default is not PgBouncer's; or what differs from it otherwise
	example  string // a TOML value, for a setting without a default
}

// scope is a set of places where a setting may be overridden.
type scope uint8

const (
	inDatabases scope = 1 << iota
	inUsers
)

// section is a table of the file.
type section struct {
	name  string
	intro string
}

// named tells whether the section holds tables with names of the operator's choice.
func (s section) named() bool { return s.name == "databases" || s.name == "users" || s.name == "peers" }

func sectionNames() []string {
	names := make([]string, len(sections))
	for i, s := range sections {
		names[i] = s.name
	}
	return names
}

// ofSection returns the settings that may stand in a section, in the order of the table: its own, then what a
// database or a user may override.
func ofSection(name string) []*setting {
	var own, overrides []*setting
	for i := range settings {
		s := &settings[i]
		switch {
		case s.section == name:
			own = append(own, s)
		case name == "databases" && s.in&inDatabases != 0, name == "users" && s.in&inUsers != 0:
			overrides = append(overrides, s)
		}
	}
	return append(own, overrides...)
}

// lookup finds a setting of a section by its name or other spelling.
func lookup(section, name string) *setting {
	for _, s := range ofSection(section) {
		if s.name == name || s.alias != "" && s.alias == name {
			return s
		}
	}
	return nil
}

func settingNames(section string) []string {
	var names []string
	for _, s := range ofSection(section) {
		names = append(names, s.name)
	}
	return names
}

// elsewhere names the sections that have a setting, for a message to an operator who wrote it into the wrong one.
func elsewhere(name string) string {
	var found []string
	for _, sec := range sections {
		if lookup(sec.name, name) != nil {
			found = append(found, header(sec))
		}
	}
	return strings.Join(found, ", ")
}

// tablesOf are the sections that a database may have below its own.
func tablesOf() []string {
	var names []string
	for _, sec := range sections {
		if i := slices.IndexFunc(settings, func(s setting) bool { return s.section == sec.name && s.table != nil }); i >= 0 {
			names = append(names, sec.name)
		}
	}
	return names
}

// tablesWith are those of them that have a setting.
func tablesWith(name string) []string {
	return slices.DeleteFunc(tablesOf(), func(table string) bool { return lookup(table, name) == nil })
}

// header is how a section's table begins.
func header(s section) string {
	if s.named() {
		return "[" + s.name + ".NAME]"
	}
	return "[" + s.name + "]"
}

// inDatabase returns a pointer to a setting's place in a database, nil if it has none.
func (s *setting) inDatabase(d *Database) any {
	switch {
	case s.database != nil:
		return s.database(d)
	case s.in&inDatabases != 0:
		return s.override(&d.Override)
	}
	return nil
}

// inUser returns a pointer to a setting's place in a user, nil if it has none.
func (s *setting) inUser(u *User) any {
	switch {
	case s.user != nil:
		return s.user(u)
	case s.in&inUsers != 0:
		return s.override(&u.Override)
	}
	return nil
}

// defaultText is the default as it is written in the file; "" for what has none.
func (s *setting) defaultText() string {
	if s.peer != nil {
		if s.example != "" {
			return ""
		}
		p := defaultPeer
		return show(s.peer(&p))
	}
	if s.field == nil {
		switch s.name {
		case "port":
			return show(&defaultPort)
		case "target_session_attrs", "load_balance_hosts":
			return show(s.database(&Database{}))
		}
		return ""
	}
	return show(s.field(Default()))
}

// SetIn names the place that decides a setting of a pool, for texts like "pool_size (20, set in [databases.shop])".
// The arguments after the name are as in PoolSettings. An unknown setting is a bug of the caller's.
func (c *Config) SetIn(name, database, user string) string {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.name == name && s.override != nil })
	if i < 0 {
		panic("config: no such setting of a pool: " + name)
	}
	s := &settings[i]
	if u, ok := c.Users[user]; ok && s.in&inUsers != 0 && isOverridden(s.override(&u.Override)) {
		return "[users." + quoteKey(user) + "]"
	}
	if _, own := c.Databases[database]; !own {
		database = AnyDatabase
	}
	if d, ok := c.Databases[database]; ok && s.in&inDatabases != 0 && isOverridden(s.override(&d.Override)) {
		return "[databases." + quoteKey(database) + "]"
	}
	return "[" + s.section + "]"
}
