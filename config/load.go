package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// fileMax bounds a configuration file, in bytes: enough for some ten thousand databases.
const fileMax = 1 << 20

// Load reads a file. Names in it are taken from the file's folder, variables from the process's environment. The
// error is Problems if the file was read and is wrong.
func Load(path string) (*Config, error) {
	text, err := readBounded(path, fileMax)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if len(bytes.TrimSpace(text)) == 0 { // about to be written, or after the disk was full; the defaults alone serve nobody
		return nil, fmt.Errorf("read the configuration: %s is empty", path)
	}
	c, err := Parse(path, text, os.LookupEnv)
	if err == nil {
		c.Files = append(c.Files, path)
	}
	return c, err
}

func readLimited(r io.Reader, name string, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s is longer than %d bytes", name, limit)
	}
	return text, err
}

// Parse reads the text of a file. The name serves for messages and as the start of relative file names; env looks
// up a variable of the environment. The error is Problems: all of the file's, not only the first, unless it is no
// TOML at all.
func Parse(file string, text []byte, env func(string) (string, bool)) (*Config, error) {
	if at, found := nestedTooDeep(string(text)); found {
		l := &layout{file: file, text: string(text)}
		return nil, Problems{{Where: l.at(at), Text: fmt.Sprintf("nested more than %d deep", nestingMax)}}
	}
	var tree map[string]any
	if _, err := toml.Decode(string(text), &tree); err != nil {
		return nil, syntaxProblem(file, string(text), err)
	}
	p := &parser{
		config: Default(),
		layout: scanLayout(file, string(text)),
		reader: reader{folder: filepath.Dir(file), env: env},
	}
	doubts := variablesIn("", tree) // before the sections take apart what they read
	for name, v := range tree {
		p.section(name, v)
	}
	p.loadAuth()
	p.loadHTTP()
	p.config.doubts = append(p.reader.exposed(file), doubts...)
	p.config.Files = p.reader.files
	validate(p.config, p.problem)
	if err := p.problems.err(); err != nil {
		return nil, err
	}
	return p.config, nil
}

// pgbouncerHead is the head of the section that each file of PgBouncer's has, and none of weir's.
var pgbouncerHead = regexp.MustCompile(`(?m)^[ \t]*\[pgbouncer\]`)

const ofPgBouncer = `this is a file of PgBouncer's: "weir FILE" serves it as it is, "weir import-pgbouncer FILE" makes a weir.toml of it`

// everyDatabase is a section for PgBouncer's "*" whose name lacks its quotes.
var everyDatabase = regexp.MustCompile(`^\[databases\.\*\]`)

// syntaxProblem gives a parser's error our form. The parser quotes what it did not understand, which may be a
// password that was written without quotes.
func syntaxProblem(file, text string, err error) error {
	if at := pgbouncerHead.FindStringIndex(text); at != nil {
		return Problems{{Where: (&layout{file: file, text: text}).at(at[0]), Text: ofPgBouncer}}
	}
	var syntax toml.ParseError
	if !errors.As(err, &syntax) {
		return Problems{{Where: file, Text: err.Error()}}
	}
	l := &layout{file: file, text: text}
	start := syntax.Position.Start
	if strings.HasPrefix(text, "\ufeff") {
		start += len("\ufeff") // the parser counts from after it
	}
	offset := min(max(start, 0), len(text))
	offset += len(text[offset:]) - len(strings.TrimLeft(text[offset:], " \t")) // it often points before the blanks
	line, _, _ := strings.Cut(text[strings.LastIndexByte(text[:offset], '\n')+1:], "\n")
	message := strings.TrimSuffix(syntax.Message, ".")
	if message != "" {
		message = strings.ToLower(message[:1]) + message[1:]
	}
	if everyDatabase.MatchString(line) {
		message = `want [databases."*"]`
	}
	if message == "" || strings.Contains(strings.ToLower(line+syntax.LastKey), "passw") {
		message = "this is not TOML; is the text in quotes?"
	}
	return Problems{{Where: l.at(offset), Text: message}}
}

// parser fills a Config from the parsed tree. It goes on after a problem; order does not matter, since problems are
// sorted at the end.
type parser struct {
	config   *Config
	layout   *layout
	reader   reader
	where    func(path []string) string // gives places in place of the layout; nil: the layout does
	problems Problems
}

// problem reports one at a key, or at its nearest table if the key is not in the file.
func (p *parser) problem(path []string, format string, args ...any) {
	if p.where != nil {
		p.problems.add(p.where(path), 0, format, args...)
		return
	}
	p.report(p.layout.key(path), format, args...)
}

func (p *parser) report(offset int, format string, args ...any) {
	p.problems.add(p.layout.at(offset), offset, format, args...)
}

// section reads what stands at the top of the file.
func (p *parser) section(name string, v any) {
	path := []string{name}
	i := indexOfSection(name)
	if i < 0 {
		p.unknownSection(name, v)
		return
	}
	table, ok := v.(map[string]any)
	switch {
	case !ok:
		p.problem(path, "%s is a section: want %s", name, header(sections[i]))
	case name == "databases":
		p.databases(table)
	case name == "users":
		p.users(table)
	case name == "peers":
		p.peers(table)
	default:
		p.settings(path, name, table, func(s *setting) any { return s.field(p.config) })
	}
}

func indexOfSection(name string) int {
	for i, s := range sections {
		if s.name == name {
			return i
		}
	}
	return -1
}

func (p *parser) unknownSection(name string, v any) {
	switch v.(type) {
	case map[string]any, []map[string]any:
		if name == ConsolePgBouncer {
			p.problem([]string{name}, ofPgBouncer)
			return
		}
		near := ""
		if k := nearest(name, sectionNames()); k != "" {
			near = "; did you mean [" + k + "]?"
		}
		p.problem([]string{name}, "unknown section [%s]%s", quoteKey(name), near)
		return
	}
	where := DidYouMean(name, allNames())
	if sections := elsewhere(name); sections != "" {
		where = "; it belongs in " + sections
	}
	p.problem([]string{name}, "unknown setting %q outside of any section%s", name, where)
}

func allNames() []string {
	var names []string
	for i := range settings {
		names = append(names, settings[i].name)
	}
	return names
}

func (p *parser) databases(table map[string]any) {
	for name, v := range table {
		path := []string{"databases", name}
		entry, ok := v.(map[string]any)
		if !ok {
			p.problem(path, "a database is a section [databases.%s] with host, port, dbname and so on", quoteKey(name))
			continue
		}
		d := Database{Port: defaultPort}
		for _, table := range tablesOf() {
			p.table(path, table, entry, &d)
		}
		d.Settings = p.sessionDefaults(path, entry)
		p.settings(path, "databases", entry, func(s *setting) any { return s.inDatabase(&d) })
		p.config.Databases[name] = d
	}
}

// table reads a section below a database's, and takes it out of the database's.
func (p *parser) table(path []string, name string, entry map[string]any, d *Database) {
	v, ok := entry[name]
	if !ok {
		return
	}
	delete(entry, name)
	path = append(path[:2:2], name)
	table, ok := v.(map[string]any)
	if !ok {
		p.problem(path, "%s of a database is a section: want [databases.%s.%s]", name, quoteKey(path[1]), name)
		return
	}
	p.settings(path, name, table, func(s *setting) any { return s.table(d) })
}

func (p *parser) users(table map[string]any) {
	for name, v := range table {
		path := []string{"users", name}
		entry, ok := v.(map[string]any)
		if !ok {
			p.problem(path, "a user is a section [users.%s] with a password and so on", quoteKey(name))
			continue
		}
		var u User
		u.Settings = p.sessionDefaults(path, entry)
		p.settings(path, "users", entry, func(s *setting) any { return s.inUser(&u) })
		p.config.Users[name] = u
	}
}

func (p *parser) peers(table map[string]any) {
	for name, v := range table {
		path := []string{"peers", name}
		entry, ok := v.(map[string]any)
		if !ok {
			p.problem(path, "a peer is a section [peers.%s] with host, port and so on", quoteKey(name))
			continue
		}
		peer := defaultPeer
		p.settings(path, "peers", entry, func(s *setting) any { return s.peer(&peer) })
		p.config.Peers[name] = peer
	}
}

// settings reads a table of settings; place says where the value of a row goes.
func (p *parser) settings(path []string, section string, table map[string]any, place func(*setting) any) {
	given := map[*setting]string{} // by which spelling
	for _, name := range p.inOrder(path, table) {
		at := append(path[:len(path):len(path)], name)
		s := lookup(section, name)
		if s == nil {
			p.unknownSetting(at, section, name)
			continue
		}
		if other, twice := given[s]; twice {
			p.problem(at, "%s and %s are the same setting; want one of them", min(name, other), max(name, other))
			continue
		}
		given[s] = name
		if element, err := p.reader.read(s, place(s), table[name]); err != nil {
			if element >= 0 {
				at = elementPath(at, element)
			}
			p.report(p.layout.value(at), "%s %v", name, err)
		}
	}
	p.onePassword(path, table)
}

// inOrder returns the names of a table as they stand in the file, so that the second of two is the one to blame.
func (p *parser) inOrder(path []string, table map[string]any) []string {
	at := func(name string) int { return p.layout.key(append(path[:len(path):len(path)], name)) }
	return slices.SortedFunc(maps.Keys(table), func(a, b string) int { return at(a) - at(b) })
}

func (p *parser) unknownSetting(at []string, section, name string) {
	shown := make([]string, len(at)-1)
	for i, part := range at[:len(at)-1] {
		shown[i] = quoteKey(part)
	}
	where := DidYouMean(name, settingNames(section))
	if sections := elsewhere(name); sections != "" && where == "" {
		where = "; it belongs in " + sections
	}
	if len(at) == 3 && at[0] == "databases" {
		if tables := tablesWith(name); len(tables) > 0 {
			where = "; it belongs in [" + strings.Join(shown, ".") + "." + strings.Join(tables, "] or ["+strings.Join(shown, ".")+".") + "]"
		}
	}
	p.problem(at, "unknown setting %q in [%s]%s", name, strings.Join(shown, "."), where)
}

// onePassword complains if a secret is given in more than one way.
func (p *parser) onePassword(path []string, table map[string]any) {
	var given []string
	for _, name := range []string{"password", "password_file", "password_env"} {
		if _, ok := table[name]; ok {
			given = append(given, name)
		}
	}
	if len(given) > 1 {
		last := append(path[:len(path):len(path)], given[len(given)-1])
		p.problem(last, "%s are given; want one of them", strings.Join(given, " and "))
	}
}

// ReadFile reads a file that is no longer than a configuration may be.
func ReadFile(name string) ([]byte, error) { return readBounded(name, fileMax) }
