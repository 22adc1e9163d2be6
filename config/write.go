package config

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// WriteTOML writes what holds as a file that Parse reads, secrets masked. A value that is not the default has a
// comment with the default. Databases and users show what they say themselves; the rest is in the sections above.
func (c *Config) WriteTOML(w io.Writer) error {
	b := &tomlWriter{Writer: bufio.NewWriter(w), config: c, standard: Default()}
	b.all()
	return b.Flush()
}

// WriteFile writes a file to go on with: only what is not the default, and passwords in clear text.
// Names and passwords that are not UTF-8 are an error: TOML cannot hold them.
func (c *Config) WriteFile(w io.Writer) error {
	var text bytes.Buffer
	b := &tomlWriter{Writer: bufio.NewWriter(&text), config: c, standard: Default(), brief: true}
	b.all()
	_ = b.Flush() // to a buffer
	if bytes.ContainsRune(text.Bytes(), utf8.RuneError) {
		return errors.New("a name or a password is not UTF-8, and a TOML file cannot hold it")
	}
	_, err := w.Write(text.Bytes())
	return err
}

// tomlWriter writes a Config. The writer keeps the first error for Flush.
type tomlWriter struct {
	*bufio.Writer
	config, standard *Config
	brief            bool // leaves defaults out, and shows passwords
}

func (w *tomlWriter) all() {
	first := true
	for _, sec := range sections {
		if !sec.named() {
			first = w.section(sec.name, first)
		}
	}
	c := w.config
	for _, name := range slices.Sorted(maps.Keys(c.Databases)) {
		d := c.Databases[name]
		fmt.Fprintf(w, "\n[databases.%s]\n", quoteKey(name))
		w.own("databases", func(s *setting) any { return s.inDatabase(&d) })
		for _, table := range tablesOf() {
			w.table(name, table, &d)
		}
		d.Settings.write(w, "databases", name)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Peers)) {
		w.peer(name, c.Peers[name])
	}
	for _, name := range slices.Sorted(maps.Keys(c.Users)) {
		u := c.Users[name]
		fmt.Fprintf(w, "\n[users.%s]\n", quoteKey(name))
		w.own("users", func(s *setting) any { return s.inUser(&u) })
		u.Settings.write(w, "users", name)
	}
}

// peer writes a peer's section; what is the default is left out.
func (w *tomlWriter) peer(name string, p Peer) {
	fmt.Fprintf(w, "\n[peers.%s]\n", quoteKey(name))
	for _, s := range ofSection("peers") {
		if value := show(s.peer(&p)); value != s.defaultText() {
			fmt.Fprintf(w, "%s = %s\n", s.name, value)
		}
	}
}

// section writes the settings that hold for all. first is whether it is the file's first, or would be.
func (w *tomlWriter) section(name string, first bool) bool {
	headed := false
	for _, s := range ofSection(name) {
		value, standard := show(s.field(w.config)), show(s.field(w.standard))
		if w.brief && value == standard {
			continue
		}
		if !headed && !first {
			fmt.Fprintln(w)
		}
		if !headed {
			fmt.Fprintf(w, "[%s]\n", name)
			headed = true
		}
		if p, ok := s.field(w.config).(*Secret); ok && p.IsSet() {
			value = quote(strings.Repeat("*", tokenMin)) // as long as Parse wants it
			if w.brief {
				value = w.secret(p)
			}
		}
		line := s.name + " = " + value
		if value != standard {
			line += "  # default: " + standard
		}
		fmt.Fprintln(w, line)
	}
	return first && !headed
}

// table writes the section below a database's, if there is one.
func (w *tomlWriter) table(database, table string, d *Database) {
	headed := false
	for _, s := range ofSection(table) {
		at := s.table(d)
		if !isOverridden(at) {
			continue
		}
		if !headed {
			fmt.Fprintf(w, "\n[databases.%s.%s]\n", quoteKey(database), table)
			headed = true
		}
		fmt.Fprintf(w, "%s = %s  # [%s]: %s\n", s.name, show(at), s.section, show(s.field(w.config)))
	}
}

// own writes what a database or a user says for itself.
func (w *tomlWriter) own(section string, place func(*setting) any) {
	for _, s := range ofSection(section) {
		at := place(s)
		switch p := at.(type) {
		case fromFile, fromEnv: // what they named is in password
		case hostsOf:
			fmt.Fprintf(w, "%s = %s\n", s.name, show(p))
		case portsOf:
			if !w.brief || show(p) != s.defaultText() {
				fmt.Fprintf(w, "%s = %s\n", s.name, show(p))
			}
		case *TargetSession, *LoadBalance:
			if show(p) != s.defaultText() {
				fmt.Fprintf(w, "%s = %s\n", s.name, show(p))
			}
		case *string:
			if *p != "" {
				fmt.Fprintf(w, "%s = %s\n", s.name, show(p))
			}
		case *Secret:
			if p.IsSet() {
				fmt.Fprintf(w, "%s = %s\n", s.name, w.secret(p))
			}
		default:
			if isOverridden(at) {
				fmt.Fprintf(w, "%s = %s  # [%s]: %s\n", s.name, show(at), s.section, show(s.field(w.config)))
			}
		}
	}
}

func (w *tomlWriter) secret(p *Secret) string {
	if w.brief {
		return quote(p.Reveal())
	}
	return show(p)
}
