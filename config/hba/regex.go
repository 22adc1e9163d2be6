package hba

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// compile reads a regular expression. PostgreSQL's are "advanced" ones (manual, "POSIX Regular Expressions"), Go's are RE2's;
// what both have means the same in both for the question whether a name matches, and what would mean something else is
// refused here rather than taken for what it is not.
func compile(text string) (*regexp.Regexp, error) {
	if err := common(text); err != nil {
		return nil, err
	}
	// A dot takes a line end, too, and of several ways to match the longest counts.
	re, err := regexp.Compile("(?s)" + text)
	if err != nil {
		why, ok := err.(*syntax.Error) //nolint:errorlint // Compile returns it bare
		if !ok {
			return nil, err
		}
		return nil, fmt.Errorf("%s: %q", why.Code, why.Expr)
	}
	re.Longest()
	return re, nil
}

// sameEscapes are the letters and digits that mean the same after a backslash.
const sameEscapes = "dDsSwWafnrtvA"

// common refuses what only one of the two dialects has, or what they disagree on.
func common(text string) error {
	if strings.HasPrefix(text, "***") {
		return fmt.Errorf("*** at its beginning is not supported")
	}
	for at := 0; at < len(text); {
		rest, n := text[at:], 1
		var err error
		switch {
		case rest[0] == '\\':
			n, err = escape(rest)
		case rest[0] == '[':
			n, err = bracket(rest)
		case strings.HasPrefix(rest, "(?") && !strings.HasPrefix(rest, "(?:") && (at > 0 || !strings.HasPrefix(rest, "(?i)")):
			err = fmt.Errorf("%q is not supported", rest[:min(3, len(rest))])
		}
		if err != nil {
			return err
		}
		at += n
	}
	return nil
}

// escape returns the length of the escape that text begins with, if it is a common one.
func escape(text string) (n int, err error) {
	if len(text) == 1 {
		return 0, fmt.Errorf("it ends with a backslash")
	}
	if c := text[1]; isAlphanumeric(c) && strings.IndexByte(sameEscapes, c) < 0 {
		return 0, fmt.Errorf(`\%c is not supported`, c)
	}
	return 2, nil
}

// bracket returns the length of the bracket expression that text begins with, if it is a common one.
func bracket(text string) (n int, err error) {
	for n = 1; n < len(text); {
		rest, step := text[n:], 1
		switch class := strings.Index(rest, ":]"); {
		case rest[0] == '\\':
			if step, err = escape(rest); err != nil {
				return 0, err
			}
		case strings.HasPrefix(rest, "[.") || strings.HasPrefix(rest, "[="):
			return 0, fmt.Errorf("%q is not supported", rest[:2])
		case strings.HasPrefix(rest, "[:") && class > 0:
			step = class + len(":]")
		case rest[0] == ']' && strings.Trim(text[1:n], "^") != "": // as the first, it is one of the characters
			return n + 1, nil
		}
		n += step
	}
	return n, nil
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
