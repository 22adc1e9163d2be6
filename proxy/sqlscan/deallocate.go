package sqlscan

import (
	"bytes"
	"strings"
)

// Deallocated is for callers that do not use StatementNames yet, which sees more. It returns the name of the prepared statement that a text deallocates, if that is all it does. A text with comments in
// it, and DEALLOCATE ALL, give none.
func Deallocated(text []byte) (name string, ok bool) {
	const keyword = "deallocate"
	text = bytes.TrimSpace(text)
	if len(text) <= len(keyword) || !strings.EqualFold(string(text[:len(keyword)]), keyword) {
		return "", false
	}
	text = bytes.TrimSpace(bytes.TrimSuffix(text[len(keyword):], []byte(";")))
	name, rest, quoted := identifier(text)
	if name == "prepare" && !quoted && len(rest) > 0 {
		name, rest, quoted = identifier(rest)
	}
	if name == "" || len(rest) > 0 || name == "all" && !quoted {
		return "", false
	}
	return name, true
}

// identifier reads a name, folded to lower case unless it is quoted, and what follows it and the space behind.
func identifier(p []byte) (name string, rest []byte, quoted bool) {
	if len(p) > 0 && p[0] == '"' {
		var b strings.Builder
		for i := 1; i < len(p); i++ {
			switch {
			case p[i] != '"':
				b.WriteByte(p[i])
			case i+1 < len(p) && p[i+1] == '"':
				b.WriteByte('"')
				i++
			default:
				return b.String(), bytes.TrimSpace(p[i+1:]), true
			}
		}
		return "", p, true
	}
	n := 0
	for n < len(p) && inWord[p[n]] {
		n++
	}
	if n == 0 || p[0] >= '0' && p[0] <= '9' || p[0] == '$' {
		return "", p, false
	}
	rest = bytes.TrimSpace(p[n:])
	if n < len(p) && len(rest) == len(p)-n && p[n] != ';' && p[n] != '"' {
		return "", p, false // the name goes on in a way that this does not read
	}
	return strings.ToLower(string(p[:n])), rest, false
}
