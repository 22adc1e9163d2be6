package config

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// WriteTOML writes what holds as a file that Parse reads, secrets masked. A value that is not the default has a
// comment with the default. Databases and users show what they say themselves; the rest is in the sections above.
func (c *Config) WriteTOML(w io.Writer) error {
	b := bufio.NewWriter(w) // keeps the first error for Flush
	standard := Default()
	for i, sec := range sections {
		if sec.named() {
			continue
		}
		if i > 0 {
			fmt.Fprintln(b)
		}
		fmt.Fprintf(b, "[%s]\n", sec.name)
		for _, s := range ofSection(sec.name) {
			line := s.name + " = " + show(s.field(c))
			if p, ok := s.field(c).(*Secret); ok && p.IsSet() {
				line = s.name + " = " + quote(strings.Repeat("*", tokenMin)) // as long as Parse wants it
			}
			if d := show(s.field(standard)); d != show(s.field(c)) {
				line += "  # default: " + d
			}
			fmt.Fprintln(b, line)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Databases)) {
		d := c.Databases[name]
		fmt.Fprintf(b, "\n[databases.%s]\n", quoteKey(name))
		writeOwn(b, "databases", c, func(s *setting) any { return s.inDatabase(&d) })
		for _, table := range tablesOf() {
			writeTable(b, name, table, c, &d)
		}
		d.Settings.write(b, "databases", name)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Users)) {
		u := c.Users[name]
		fmt.Fprintf(b, "\n[users.%s]\n", quoteKey(name))
		writeOwn(b, "users", c, func(s *setting) any { return s.inUser(&u) })
		u.Settings.write(b, "users", name)
	}
	return b.Flush()
}

// writeTable writes the section below a database's, if there is one.
func writeTable(b io.Writer, database, table string, c *Config, d *Database) {
	headed := false
	for _, s := range ofSection(table) {
		at := s.table(d)
		if !isOverridden(at) {
			continue
		}
		if !headed {
			fmt.Fprintf(b, "\n[databases.%s.%s]\n", quoteKey(database), table)
			headed = true
		}
		fmt.Fprintf(b, "%s = %s  # [%s]: %s\n", s.name, show(at), s.section, show(s.field(c)))
	}
}

// writeOwn writes what a database or a user says for itself.
func writeOwn(b io.Writer, section string, c *Config, place func(*setting) any) {
	for _, s := range ofSection(section) {
		at := place(s)
		switch p := at.(type) {
		case fromFile, fromEnv: // what they named is in password
		case *string:
			if *p != "" {
				fmt.Fprintf(b, "%s = %s\n", s.name, show(p))
			}
		case *Secret:
			if p.IsSet() {
				fmt.Fprintf(b, "%s = %s\n", s.name, show(p))
			}
		case *int:
			fmt.Fprintf(b, "%s = %s\n", s.name, show(p))
		default:
			if isOverridden(at) {
				fmt.Fprintf(b, "%s = %s  # [%s]: %s\n", s.name, show(at), s.section, show(s.field(c)))
			}
		}
	}
}
