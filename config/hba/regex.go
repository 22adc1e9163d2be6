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
	bracket := -1 // where one was opened, or -1
	for i := 0; i < len(text); i++ {
		rest := text[i:]
		switch {
		case rest[0] == '\\':
			if len(rest) == 1 {
				return fmt.Errorf("it ends with a backslash")
			}
			if c := rest[1]; isAlphanumeric(c) && strings.IndexByte(sameEscapes, c) < 0 {
				return fmt.Errorf(`\%c is not supported`, c)
			}
			i++
		case bracket >= 0:
			if strings.HasPrefix(rest, "[.") || strings.HasPrefix(rest, "[=") {
				return fmt.Errorf("%q is not supported", rest[:2])
			}
			if class := strings.Index(rest, ":]"); strings.HasPrefix(rest, "[:") && class > 0 {
				i += class + 1
			} else if rest[0] == ']' && strings.Trim(text[bracket+1:i], "^") != "" {
				bracket = -1
			}
		case rest[0] == '[':
			bracket = i
		case strings.HasPrefix(rest, "(?") && !strings.HasPrefix(rest, "(?:") && (i > 0 || !strings.HasPrefix(rest, "(?i)")):
			return fmt.Errorf("%q is not supported", rest[:min(3, len(rest))])
		}
	}
	return nil
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
