package pgbouncer

import "strings"

// pair is a key=value of a connection string.
type pair struct{ key, value string }

// pairs takes a connection string apart: key=value with blanks between, a value with blanks in '...' a quote in it is doubled. A value must
// not be empty. False: a syntax error, after the pairs that were understood.
func pairs(text string) (list []pair, ok bool) {
	rest := strings.TrimLeft(text, blanks)
	for rest != "" {
		var p pair
		end := strings.IndexAny(rest, "= ")
		if end <= 0 {
			return list, false
		}
		p.key, rest = rest[:end], strings.TrimLeft(rest[end:], blanks)
		if !strings.HasPrefix(rest, "=") {
			return list, false
		}
		if p.value, rest, ok = pairValue(strings.TrimLeft(rest[1:], blanks)); !ok || p.value == "" {
			return list, false
		}
		list = append(list, p)
		rest = strings.TrimLeft(rest, blanks)
	}
	return list, true
}

// pairValue takes a value off text. What stands right after a closing quote is dropped for one character, as PgBouncer does.
func pairValue(text string) (value, rest string, ok bool) {
	if strings.HasPrefix(text, "'") {
		if value, rest, ok = unquote(text); ok && rest != "" {
			rest = rest[1:]
		}
		return value, rest, ok
	}
	value, rest, _ = strings.Cut(text, " ")
	return value, rest, true
}

// unquote takes a text in '...' off the beginning of s.
func unquote(s string) (text, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != '\'':
			b.WriteByte(s[i])
		case i+1 < len(s) && s[i+1] == '\'':
			b.WriteByte('\'')
			i++
		default:
			return b.String(), s[i+1:], true
		}
	}
	return "", s, false
}

// list takes a comma list apart; blanks around names do not count, and empty ones are none.
func list(text string) []string {
	var names []string
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.Trim(name, blanks); name != "" {
			names = append(names, name)
		}
	}
	return names
}
