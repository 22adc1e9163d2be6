package hba

import (
	"regexp"
	"strings"
)

// Maps are what pg_ident.conf has: which names of the operating system or of certificates may come in as which user. nil has
// none.
type Maps struct {
	lines map[string][]mapping // by the map's name, in the order of the file
}

// mapping is a line.
type mapping struct {
	system     string         // a name, where re is nil
	re         *regexp.Regexp // or what it must match
	user       pattern
	backrefers bool // user.name holds \1, which stands for what re's first group matched
}

func (m *Maps) has(name string) bool { return m != nil && len(m.lines[name]) > 0 }

// ParseMaps reads a file of maps. With problems there are none.
func ParseMaps(name string, files Files) (*Maps, []Problem) {
	s := newScanner(files)
	m := &Maps{lines: map[string][]mapping{}}
	s.lines(name, "", 0, func(l line) {
		p := lineParser{scanner: s, line: l}
		if name, entry, ok := p.mapping(); ok {
			m.lines[name] = append(m.lines[name], entry)
		}
	})
	if len(s.problems) > 0 {
		return nil, s.problems
	}
	return m, nil
}

// mapping reads a line: MAP SYSTEM-USERNAME DATABASE-USERNAME.
func (p *lineParser) mapping() (name string, m mapping, ok bool) {
	first, ok := p.one("map's name")
	if !ok {
		return "", m, false
	}
	system, ok := p.one("name outside of the database")
	if !ok {
		return "", m, false
	}
	user, ok := p.one("database user")
	if !ok {
		return "", m, false
	}
	if p.next < len(p.line) {
		p.problem(p.line[p.next][0].at, "the line has more than a map's name, a name outside of the database and a database user")
		return "", m, false
	}
	m.system = system.text
	if expression, is := strings.CutPrefix(system.text, "/"); is {
		re, err := compile(expression)
		if err != nil {
			p.problem(system.at, "regular expression %q: %v", expression, err)
			return "", m, false
		}
		m.re = re
	}
	patterns, ok := p.patterns(field{user}, "user", userKeywords)
	if !ok {
		return "", m, false
	}
	m.user = patterns[0]
	if m.re != nil && strings.Contains(m.user.name, `\1`) {
		m.backrefers = true
		if m.re.NumSubexp() == 0 {
			p.problem(user.at, `\1 stands for what the expression's first group matches, and %q has none`, system.text)
			return "", m, false
		}
	}
	return first.text, m, true
}

// Allows reports whether a client that the system or a certificate calls system may log in as user. Without a map's name the two must be
// the same.
func (m *Maps) Allows(name, system, user string) bool {
	if name == "" {
		return system == user
	}
	if m == nil {
		return false
	}
	for _, entry := range m.lines[name] {
		if entry.allows(system, user) {
			return true
		}
	}
	return false
}

// allows is check_ident_usermap of PostgreSQL's hba.c.
func (e *mapping) allows(system, user string) bool {
	if e.re == nil {
		return e.system == system && e.user.matches(user)
	}
	groups := e.re.FindStringSubmatchIndex(system)
	switch {
	case groups == nil:
		return false
	case !e.backrefers:
		return e.user.matches(user)
	case groups[2] < 0: // the group took no part
		return false
	}
	return strings.Replace(e.user.name, `\1`, system[groups[2]:groups[3]], 1) == user
}
