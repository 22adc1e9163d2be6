// Package pgbouncer reads PgBouncer's configuration file the way PgBouncer does, and makes weir's Config of it.
//
// Read takes the ini file and what it includes apart into lines; Translate gives each line its meaning and says which have none
// here. Files are read with a function that the caller gives, so all of it is a function of its input and can be fuzzed. It may
// import config and the standard library.
package pgbouncer

import (
	"fmt"
	"strings"
)

// includesMax is how deep %include may nest: MAX_INCLUDE in libusual's usual/cfparser.c.
const includesMax = 10

// linesMax bounds a file with all that it includes; ten files that include one another ten times each would have no end.
const linesMax = 200_000

// Line is an assignment of an ini file.
type Line struct {
	File    string // as it was named on the command line or by %include
	Number  int    // from 1
	Section string
	Key     string
	Value   string

	order int // among all lines, those of included files in their place
}

// Where is the line's place, as editors find it.
func (l Line) Where() string { return fmt.Sprintf("%s:%d", l.File, l.Number) }

// Document is an ini file with all that it includes.
type Document struct {
	Name  string
	Lines []Line
	Heads []Line // the sections, as Lines without a key
}

// ReadFile gives the text of a file. Its errors are shown as they are.
type ReadFile func(name string) ([]byte, error)

// Error is what keeps a file from being loaded. PgBouncer stops at the first, and says it in these words.
type Error struct {
	Where string // file:line; empty where there is none
	Text  string
}

func (e *Error) Error() string {
	if e.Where == "" {
		return e.Text
	}
	return e.Where + ": " + e.Text
}

// Read reads a file and all that it includes. The error is an *Error.
func Read(name string, read ReadFile) (*Document, error) {
	d := &Document{Name: name}
	r := reader{document: d, read: read}
	if err := r.file(name, 0); err != nil {
		return nil, err
	}
	return d, nil
}

// reader is under way through the files. The section goes on from a file into those that it includes, and back.
type reader struct {
	document *Document
	read     ReadFile
	section  string
	headed   bool
}

func (r *reader) file(name string, depth int) error {
	text, err := r.read(name)
	if err != nil {
		return &Error{Text: fmt.Sprintf("could not load file %q: %v", name, err)}
	}
	s := scan{file: name, text: string(text), line: 1}
	if at := strings.IndexByte(s.text, 0); at >= 0 { // to PgBouncer the file would end here
		s.line += strings.Count(s.text[:at], "\n")
		return s.wrong("a NUL character in configuration, stopping loading")
	}
	for {
		s.skip(blanks)
		switch {
		case s.done():
			return nil
		case s.text[s.at] == '#' || s.text[s.at] == ';':
			s.rest()
		case s.text[s.at] == '[':
			if err = r.head(&s); err != nil {
				return err
			}
		case s.atInclude():
			if err = r.include(&s, depth); err != nil {
				return err
			}
		default:
			if err = r.assignment(&s); err != nil {
				return err
			}
		}
	}
}

// head reads [section]. What follows on its line is read as if it stood on the next, as PgBouncer does.
func (r *reader) head(s *scan) error {
	end := strings.IndexAny(s.text[s.at:], "]\n")
	if end < 0 || s.text[s.at+end] != ']' {
		return s.wrong("syntax error in configuration, stopping loading")
	}
	r.section, r.headed = s.text[s.at+1:s.at+end], true
	s.at += end + 1
	return r.add(&r.document.Heads, Line{File: s.file, Number: s.line, Section: r.section})
}

func (r *reader) include(s *scan, depth int) error {
	at := s.line
	if depth >= includesMax {
		return s.wrong("include nesting level too deep, stopping loading")
	}
	s.at += len(include)
	name := strings.Trim(s.rest(), blanks)
	if err := r.file(name, depth+1); err != nil {
		return &Error{
			Where: fmt.Sprintf("%s:%d", s.file, at),
			Text:  "error processing include file in configuration, stopping loading: " + err.Error(),
		}
	}
	return nil
}

func (r *reader) assignment(s *scan) error {
	line := Line{File: s.file, Number: s.line, Section: r.section}
	var ok bool
	if line.Key, ok = s.key(); !ok {
		return s.wrong("syntax error in configuration, stopping loading")
	}
	s.skip(" \t")
	if s.done() || s.text[s.at] != '=' {
		return s.wrong("syntax error in configuration, stopping loading")
	}
	s.at++
	s.skip(" \t")
	line.Value = strings.TrimRight(s.rest(), blanks)
	if !r.headed {
		return &Error{Where: line.Where(), Text: "value without section: " + line.Key}
	}
	return r.add(&r.document.Lines, line)
}

func (r *reader) add(to *[]Line, l Line) error {
	if len(r.document.Lines)+len(r.document.Heads) >= linesMax {
		return &Error{Where: l.Where(), Text: fmt.Sprintf("the configuration has more than %d lines", linesMax)}
	}
	l.order = len(r.document.Lines) + len(r.document.Heads) + 1
	*to = append(*to, l)
	return nil
}

// blanks are isspace in the C locale.
const blanks = " \t\n\v\f\r"

const include = "%include"

// scan is a place in the text of a file.
type scan struct {
	file string
	text string
	at   int
	line int // in which at is
}

func (s *scan) done() bool { return s.at >= len(s.text) }

// skip goes on over the characters of a set.
func (s *scan) skip(set string) {
	for !s.done() && strings.IndexByte(set, s.text[s.at]) >= 0 {
		if s.text[s.at] == '\n' {
			s.line++
		}
		s.at++
	}
}

// rest takes the text up to the end of the line.
func (s *scan) rest() string {
	text, _, _ := strings.Cut(s.text[s.at:], "\n")
	s.at += len(text)
	return text
}

func (s *scan) atInclude() bool {
	after, ok := strings.CutPrefix(s.text[s.at:], include)
	return ok && after != "" && (after[0] == ' ' || after[0] == '\t')
}

// key takes the name before the =, which may be in quotes, a quote in it is doubled.
func (s *scan) key() (string, bool) {
	if s.text[s.at] != '\'' {
		from := s.at
		for !s.done() && isKeyByte(s.text[s.at]) {
			s.at++
		}
		return s.text[from:s.at], s.at > from
	}
	line, _, _ := strings.Cut(s.text[s.at:], "\n")
	name, after, ok := unquote(line)
	if !ok || name == "" {
		return "", false
	}
	s.at += len(line) - len(after)
	return name, true
}

func isKeyByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c != 0 && strings.IndexByte("_.-*", c) >= 0
}

func (s *scan) wrong(text string) error {
	return &Error{Where: fmt.Sprintf("%s:%d", s.file, s.line), Text: text}
}
