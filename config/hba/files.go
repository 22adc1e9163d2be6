// Package hba reads the files pg_hba.conf and pg_ident.conf in PostgreSQL's format and decides by them: which rule holds for a
// connection, and which names of the operating system or of certificates may come in as which user.
//
// What is read is a value that never changes, so that a reload replaces it whole. The package is pure: files come through an
// interface, connections as a Request. It is stricter than PostgreSQL where that takes in silence what cannot have been meant,
// and refuses what weir cannot decide (+group, host names) instead of never matching it; rule.go says what. It imports nothing
// of weir's.
package hba

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// Files is where files come from.
type Files interface {
	// ReadFile returns a file's text. It bounds its length.
	ReadFile(name string) ([]byte, error)
	// ReadDir returns the names of the files in a folder, without the folder's.
	ReadDir(name string) ([]string, error)
}

// Problem is one thing that is wrong, and where.
type Problem struct {
	Where string // file:line:column, counted from 1, columns in characters; "" where the first file cannot be read
	Text  string
}

const (
	// depthMax bounds how deep files name files: CONF_FILE_MAX_DEPTH in PostgreSQL's src/include/utils/conffiles.h.
	depthMax = 10
	// bytesMax bounds all files that one names, together: a file that is named in a hundred rules is read a hundred times.
	bytesMax = 4 << 20
	// problemsMax bounds what one file, most likely the wrong one, makes an operator read.
	problemsMax = 50
)

// scanner reads a file and those that it names, and gathers what is wrong with them.
type scanner struct {
	files    Files
	left     int // of bytesMax
	problems []Problem
}

func newScanner(files Files) *scanner { return &scanner{files: files, left: bytesMax} }

func (s *scanner) problem(at place, format string, args ...any) {
	s.problemAt(at.String(), format, args...)
}

func (s *scanner) problemAt(where, format string, args ...any) {
	switch {
	case len(s.problems) < problemsMax:
		s.problems = append(s.problems, Problem{where, fmt.Sprintf(format, args...)})
	case len(s.problems) == problemsMax:
		s.problems = append(s.problems, Problem{where, "and more; is it the right file?"})
	}
}

// read returns a file's text. named is where the file was named; "" is that nothing of ours did, and a problem then stands
// nowhere.
func (s *scanner) read(name, named string) (string, bool) {
	text, err := s.files.ReadFile(name)
	if err == nil && len(text) > s.left {
		err = fmt.Errorf("all files together have more than %d bytes", bytesMax)
	}
	if err != nil {
		s.unreadable(name, named, err)
		return "", false
	}
	s.left -= len(text)
	return strings.TrimPrefix(string(text), "\ufeff"), true
}

func (s *scanner) unreadable(name, named string, err error) {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err // which repeats the name otherwise
	}
	s.problemAt(named, "cannot read %s: %v", name, err)
}

// beside resolves a name as PostgreSQL does: relative ones begin at the folder of the file that has them.
func beside(file, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(file), name)
}

// lines calls each for every line of a file that has words, and for those of the files that it includes. named is where it
// was named, "" for the configuration.
func (s *scanner) lines(name, named string, depth int, each func(line)) {
	text, ok := s.read(name, named)
	if !ok {
		return
	}
	for l := range logicalLines(name, text) {
		words := s.split(l, depth)
		if len(words) == 0 || s.include(words, depth, each) {
			continue
		}
		each(words)
	}
}

// include carries out include, include_if_exists and include_dir, which PostgreSQL has from version 16.
func (s *scanner) include(words line, depth int, each func(line)) bool {
	first := words[0][0]
	if !first.is("include") && !first.is("include_if_exists") && !first.is("include_dir") {
		return false
	}
	if len(words) != 2 || len(words[0]) != 1 || len(words[1]) != 1 {
		s.problem(words.at(), "want %s and one name", first.text)
		return true
	}
	name, at := beside(first.at.file, words[1][0].text), words[1][0].at
	if depth >= depthMax {
		s.problem(at, "%s: files are included more than %d deep", name, depthMax)
		return true
	}
	switch first.text {
	case "include":
		s.lines(name, at.String(), depth+1, each)
	case "include_if_exists":
		if _, err := s.files.ReadFile(name); !errors.Is(err, fs.ErrNotExist) {
			s.lines(name, at.String(), depth+1, each)
		}
	case "include_dir":
		entries, err := s.files.ReadDir(name)
		if err != nil {
			s.unreadable(name, at.String(), err)
			return true
		}
		for _, entry := range configFiles(entries) {
			s.lines(filepath.Join(name, entry), at.String(), depth+1, each)
		}
	}
	return true
}

// configFiles are those of a folder that PostgreSQL includes, in its order.
func configFiles(entries []string) []string {
	found := slices.DeleteFunc(slices.Clone(entries), func(name string) bool {
		return strings.HasPrefix(name, ".") || !strings.HasSuffix(name, ".conf")
	})
	slices.Sort(found)
	return found
}

// names are the words of a file of names: @file. PostgreSQL takes all of its words, whatever line they are on.
func (s *scanner) names(t token, depth int) field {
	name := beside(t.at.file, t.text[1:])
	// What it stands for when nothing is found, so that the line keeps its fields: a name that no database and no user has.
	nothing := field{{text: "", quoted: true, at: t.at}}
	if depth >= depthMax {
		s.problem(t.at, "%s: files are included more than %d deep", name, depthMax)
		return nothing
	}
	text, ok := s.read(name, t.at.String())
	if !ok {
		return nothing
	}
	var found field
	for l := range logicalLines(name, text) {
		for _, f := range s.split(l, depth+1) {
			found = append(found, f...)
		}
	}
	if len(found) == 0 {
		return nothing
	}
	return found
}
