package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong, and where.
type Problem struct {
	Where string // file:line:column, the name of a flag, or the name of an environment variable
	Text  string

	offset int // bytes into the file, for sorting
}

func (p Problem) String() string { return p.Where + ": " + p.Text }

// Problems is the error of Load, Parse, FromEnvironment and With: all that is wrong, in the order of the file.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func (ps *Problems) add(where string, offset int, format string, args ...any) {
	*ps = append(*ps, Problem{Where: where, Text: fmt.Sprintf(format, args...), offset: offset})
}

// err returns the problems as an error, nil if there are none.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	slices.SortStableFunc(ps, func(a, b Problem) int { return a.offset - b.offset })
	return ps
}
