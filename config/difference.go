package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Change is a difference between two configurations, in the words of the file.
type Change struct {
	Where   string // what is different: a section, or one with a setting: [pool] pool_size
	What    string // added, removed, or what it was and is now; secrets are not shown
	Restart bool   // a running weir goes on as it began
}

func (c Change) String() string {
	text := c.Where + ": " + c.What
	if c.Restart {
		text += " (" + needsRestart + ")"
	}
	return text
}

const needsRestart = "needs a restart"

// Keeping returns a copy of c in which all that needs a restart is as in running.
func (c *Config) Keeping(running *Config) *Config {
	kept := *c
	for i := range settings {
		if s := &settings[i]; s.restart {
			reflect.ValueOf(s.field(&kept)).Elem().Set(reflect.ValueOf(s.field(running)).Elem())
		}
	}
	return &kept
}

// Changes are what differs in c from old, in the order of the file.
func (c *Config) Changes(old *Config) []Change {
	d := &difference{old: old, now: c}
	for _, sec := range sections {
		switch sec.name {
		case "databases":
			d.databases()
		case "users":
			d.users()
		case "peers":
			named(d, "peers", old.Peers, c.Peers, func(where, _ string, old, now Peer) {
				for _, s := range ofSection("peers") {
					d.setting(where, s, s.peer(&old), s.peer(&now))
				}
			})
		default:
			for _, s := range ofSection(sec.name) {
				d.setting("["+sec.name+"]", s, s.field(old), s.field(c))
			}
		}
		switch {
		case sec.name == "auth":
			d.authFiles()
		case sec.name == "http" && old.HTTP.Token.Reveal() == c.HTTP.Token.Reveal() && old.HTTPToken.Reveal() != c.HTTPToken.Reveal():
			d.add("[http] token_file", "what it says has changed")
		}
	}
	return d.changes
}

// difference gathers the changes between two configurations.
type difference struct {
	old, now *Config
	changes  []Change
}

func (d *difference) add(where, format string, args ...any) {
	d.changes = append(d.changes, Change{Where: where, What: fmt.Sprintf(format, args...)})
}

// setting compares the two places of a row.
func (d *difference) setting(where string, s *setting, old, now any) {
	if same(old, now) {
		return
	}
	what := said(old) + " -> " + said(now)
	if _, secret := old.(*Secret); secret {
		what = "changed"
	}
	d.changes = append(d.changes, Change{where + " " + s.name, what, s.restart})
}

// same reports whether two places hold the same value. Values are simple, or pointers to such.
func same(old, now any) bool {
	switch p := old.(type) {
	case fromFile, fromEnv: // what they named is in password
		return true
	case hostsOf, portsOf:
		return show(old) == show(now)
	case *Secret:
		return p.Reveal() == now.(*Secret).Reveal()
	}
	return reflect.DeepEqual(old, now)
}

// said is a value as it is written in the file, or that there is none.
func said(place any) string {
	if v := reflect.Indirect(reflect.ValueOf(place)); v.Kind() == reflect.Pointer && v.IsNil() {
		return "unset"
	}
	return show(place)
}

// named compares two maps of sections with names of the operator's choice.
func named[T any](d *difference, section string, old, now map[string]T, both func(where, name string, old, now T)) {
	names := maps.Clone(old)
	if names == nil {
		names = map[string]T{}
	}
	maps.Copy(names, now)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		where := "[" + section + "." + quoteKey(name) + "]"
		was, before := old[name]
		is, after := now[name]
		switch {
		case !before:
			d.add(where, "added")
		case !after:
			d.add(where, "removed")
		default:
			both(where, name, was, is)
		}
	}
}

func (d *difference) databases() {
	named(d, "databases", d.old.Databases, d.now.Databases, func(where, name string, old, now Database) {
		for _, s := range ofSection("databases") {
			d.setting(where, s, s.inDatabase(&old), s.inDatabase(&now))
		}
		for _, table := range tablesOf() {
			for _, s := range ofSection(table) {
				d.setting("[databases."+quoteKey(name)+"."+table+"]", s, s.table(&old), s.table(&now))
			}
		}
		d.sessionDefaults("[databases."+quoteKey(name)+"."+settingsTable+"]", old.Settings, now.Settings)
	})
}

func (d *difference) users() {
	named(d, "users", d.old.Users, d.now.Users, func(where, name string, old, now User) {
		for _, s := range ofSection("users") {
			d.setting(where, s, s.inUser(&old), s.inUser(&now))
		}
		d.sessionDefaults("[users."+quoteKey(name)+"."+settingsTable+"]", old.Settings, now.Settings)
	})
}

// sessionDefaults compares what backends begin with.
func (d *difference) sessionDefaults(where string, old, now SessionDefaults) {
	all := old.under(now)
	for _, name := range all.Names() {
		was, before := old[name]
		is, after := now[name]
		if was == is && before == after {
			continue
		}
		d.add(where+" "+quoteKey(name), "%s -> %s", quoteIf(was, before), quoteIf(is, after))
	}
}

func quoteIf(value string, given bool) string {
	if !given {
		return "unset"
	}
	return quote(value)
}

// authFiles compares what the files of [auth] have in them, which may be different under the same name.
func (d *difference) authFiles() {
	var users [3]int // added, removed, changed
	for name, is := range d.now.Accounts {
		switch was, before := d.old.Accounts[name]; {
		case !before:
			users[0]++
		case was.Reveal() != is.Reveal():
			users[2]++
		}
	}
	for name := range d.old.Accounts {
		if _, after := d.now.Accounts[name]; !after {
			users[1]++
		}
	}
	var counts []string
	for i, word := range []string{"added", "removed", "changed"} {
		if users[i] > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", users[i], word))
		}
	}
	if len(counts) > 0 {
		d.add("[auth] auth_file", "users: %s", strings.Join(counts, ", "))
	}
	for _, f := range []struct {
		name     string
		old, now any
	}{
		{"hba_file", d.old.HBA, d.now.HBA},
		{"ident_file", d.old.Ident, d.now.Ident},
		{"salt_file", d.old.SaltSecret.Reveal(), d.now.SaltSecret.Reveal()},
	} {
		if !reflect.DeepEqual(f.old, f.now) {
			d.add("[auth] "+f.name, "what it says has changed")
		}
	}
}
