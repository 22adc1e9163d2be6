package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// layout knows where in a TOML text each key and value stands. The parser reports positions of syntax errors only,
// and what an operator needs most is the line of a setting that is well-formed and wrong.
type layout struct {
	file  string
	text  string
	spots map[string]spot // by pathKey
}

// depthMax is how many parts of a path are kept apart; no setting has more than four, an element of a list included.
// Without a bound a file of nothing but brackets would cost the cube of its length.
const depthMax = 8

// spot is where a key and its value begin, as byte offsets. A table's value is its header.
type spot struct{ key, value int }

// pathKey makes a map key of a path; quoting keeps a dot inside a name apart from a dot between names.
func pathKey(path []string) string {
	var b []byte
	for _, p := range path {
		b = strconv.AppendQuote(b, p)
	}
	return string(b)
}

// scanLayout walks a text that the parser has accepted. Being valid, it needs no checks here: on anything odd the
// scan goes on or ends, and positions are missing, but it never fails.
func scanLayout(file, text string) *layout {
	l := &layout{file: file, text: text, spots: map[string]spot{}}
	s := &scanner{text: text, layout: l}
	s.skip("\ufeff")
	s.document()
	return l
}

// key returns where a key stands; if it is not in the text, where the nearest table around it does.
func (l *layout) key(path []string) int {
	for n := len(path); n > 0; n-- {
		if s, ok := l.spots[pathKey(path[:n])]; ok {
			return s.key
		}
	}
	return 0
}

// value returns where a key's value stands.
func (l *layout) value(path []string) int {
	if s, ok := l.spots[pathKey(path)]; ok {
		return s.value
	}
	return l.key(path)
}

// elementPath is the path of an array's element. A key of that name cannot be mistaken for it in a section that
// weir knows, since no setting has such a name.
func elementPath(array []string, i int) []string {
	return append(array[:len(array):len(array)], "["+strconv.Itoa(i)+"]")
}

// at writes file:line:column. Both count from 1, columns in characters.
func (l *layout) at(offset int) string {
	offset = min(max(offset, 0), len(l.text))
	before := strings.TrimPrefix(l.text[:offset], "\ufeff")
	line := strings.Count(before, "\n") + 1
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Sprintf("%s:%d:%d", l.file, line, column)
}

// scanner is the walk itself. Each method moves at past what its name says.
type scanner struct {
	text   string
	at     int
	layout *layout
}

func (s *scanner) document() {
	var table []string
	for s.blank(); s.at < len(s.text); s.blank() {
		start := s.at
		if s.skip("[[") || s.skip("[") {
			table = s.path()
			s.space()
			_ = s.skip("]]") || s.skip("]")
			s.note(table, spot{key: start, value: start})
		} else {
			s.pair(table)
		}
		if s.at == start { // not TOML: get on anyhow
			s.at++
		}
	}
}

// pair is a key and its value, in a table.
func (s *scanner) pair(table []string) {
	start := s.at
	path := append(table[:len(table):len(table)], s.path()...)
	path = path[:min(len(path), depthMax+1)]
	s.space()
	s.skip("=")
	s.space()
	s.note(path, spot{key: start, value: s.at})
	s.value(path)
}

// note keeps the first place of a path and of the tables around it; further ones are elements of an array of tables
// or tables opened a second time.
func (s *scanner) note(path []string, p spot) {
	for n := 1; n <= min(len(path), depthMax); n++ {
		k := pathKey(path[:n])
		if _, ok := s.layout.spots[k]; ok {
			continue
		}
		if n < len(path) {
			s.layout.spots[k] = spot{key: p.key, value: p.key}
		} else {
			s.layout.spots[k] = p
		}
	}
}

// path is a dotted key.
func (s *scanner) path() []string {
	var path []string
	for {
		s.space()
		if name := s.name(); len(path) <= depthMax { // one more than is kept, so that note knows
			path = append(path, name)
		}
		s.space()
		if !s.skip(".") {
			return path
		}
	}
}

// name is one part of a key: bare or quoted.
func (s *scanner) name() string {
	start := s.at
	if s.at < len(s.text) && (s.text[s.at] == '"' || s.text[s.at] == '\'') {
		quote := s.text[s.at]
		s.quoted()
		text := s.text[start:s.at]
		if quote == '"' && strings.Contains(text, `\`) {
			// The parser knows the escapes.
			var none map[string]any
			if md, err := toml.Decode(text+"=0", &none); err == nil && len(md.Keys()) == 1 {
				return md.Keys()[0][0]
			}
		}
		return strings.Trim(text, string(quote))
	}
	for s.at < len(s.text) && !strings.ContainsRune(" \t\r\n.=[]{},#\"'", rune(s.text[s.at])) {
		s.at++
	}
	return s.text[start:s.at]
}

// value skips one, noting the elements of arrays and the keys of inline tables.
func (s *scanner) value(path []string) {
	if s.at >= len(s.text) {
		return
	}
	switch s.text[s.at] {
	case '"', '\'':
		s.quoted()
	case '[':
		s.array(path)
	case '{':
		s.inlineTable(path)
	default: // a number, a word or a date, which may hold a space
		for s.at < len(s.text) && !strings.ContainsRune(",]}#\n", rune(s.text[s.at])) {
			s.at++
		}
	}
}

func (s *scanner) array(path []string) {
	n := 0
	s.list("[", "]", func() {
		element := path
		if len(path) < depthMax {
			element = elementPath(path, n)
			s.note(element, spot{key: s.at, value: s.at})
		}
		s.value(element)
		n++
	})
}

func (s *scanner) inlineTable(path []string) {
	s.list("{", "}", func() { s.pair(path) })
}

// list is what stands between two brackets, with commas between its elements.
func (s *scanner) list(begin, end string, element func()) {
	s.skip(begin)
	for s.blank(); s.at < len(s.text) && !strings.HasPrefix(s.text[s.at:], end); s.blank() {
		start := s.at
		element()
		s.blank()
		if !s.skip(",") && s.at == start { // not TOML
			break
		}
	}
	s.skip(end)
}

// quoted skips a string of any of the four kinds.
func (s *scanner) quoted() {
	quote := s.text[s.at : s.at+1]
	escapes := quote == `"`
	end := quote
	if strings.HasPrefix(s.text[s.at:], strings.Repeat(quote, 3)) {
		end = strings.Repeat(quote, 3)
	}
	for s.at += len(end); s.at < len(s.text); s.at++ {
		switch {
		case escapes && s.text[s.at] == '\\':
			s.at++
		case strings.HasPrefix(s.text[s.at:], end):
			s.at += len(end)
			// Up to two more quotes may belong to the text of a multi-line string.
			for i := 0; i < 2 && len(end) == 3 && s.skip(quote); i++ {
			}
			return
		}
	}
	s.at = len(s.text)
}

// space skips blanks within a line.
func (s *scanner) space() {
	for s.skip(" ") || s.skip("\t") {
	}
}

// blank skips blanks, ends of lines and comments.
func (s *scanner) blank() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		case '#':
			if end := strings.IndexByte(s.text[s.at:], '\n'); end >= 0 {
				s.at += end
			} else {
				s.at = len(s.text)
			}
		default:
			return
		}
	}
}

func (s *scanner) skip(text string) bool {
	if strings.HasPrefix(s.text[s.at:], text) {
		s.at += len(text)
		return true
	}
	return false
}
