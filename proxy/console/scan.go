package console

import (
	"errors"
	"strings"
)

// tokenKind says what a token is.
type tokenKind uint8

const (
	tokenWord   tokenKind = iota // letters, digits and _: what PgBouncer takes without quotes
	tokenQuoted                  // in double quotes
	tokenText                    // in single quotes
	tokenSign                    // anything else, one character
)

type token struct {
	kind tokenKind
	text string
}

var errUnended = errors.New("a quote is not ended")

// scan cuts a command into tokens. Comments count as blanks.
func scan(text string) (all []token, err error) {
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c <= ' ':
			i++
		case strings.HasPrefix(text[i:], "--"), strings.HasPrefix(text[i:], "/*"):
			i = afterComment(text, i)
		case c == '"' || c == '\'':
			value, end, ok := quoted(text, i)
			if !ok {
				return nil, errUnended
			}
			kind := tokenText
			if c == '"' {
				kind = tokenQuoted
			}
			all, i = append(all, token{kind, value}), end
		case wordByte(c):
			end := i + 1
			for end < len(text) && wordByte(text[end]) {
				end++
			}
			all, i = append(all, token{tokenWord, text[i:end]}), end
		default:
			all, i = append(all, token{tokenSign, text[i : i+1]}), i+1
		}
	}
	return all, nil
}

func wordByte(c byte) bool {
	return c == '_' || c >= 0x80 || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// quoted reads from a quote to its end; two quotes are one in it.
func quoted(text string, at int) (value string, end int, ok bool) {
	q := text[at]
	var b strings.Builder
	for i := at + 1; i < len(text); i++ {
		if text[i] != q {
			b.WriteByte(text[i])
			continue
		}
		if i+1 >= len(text) || text[i+1] != q {
			return b.String(), i + 1, true
		}
		b.WriteByte(q)
		i++
	}
	return "", 0, false
}

// afterComment is where a comment that begins at at is over. A block that is not ended goes to the end of the text.
func afterComment(text string, at int) int {
	end, n := "\n", 1
	if text[at] == '/' {
		end, n = "*/", 2
	}
	if i := strings.Index(text[at:], end); i >= 0 {
		return at + i + n
	}
	return len(text)
}

// commandsMax bounds the commands of one query.
const commandsMax = 32

// split cuts a query at its semicolons. Empty parts are left out.
func split(text string) (all []string) {
	begin := 0
	add := func(end int) {
		if part := strings.TrimSpace(text[begin:end]); !blank(part) {
			all = append(all, part)
		}
		begin = end + 1
	}
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == ';':
			add(i)
			i++
		case c == '"' || c == '\'':
			if _, end, ok := quoted(text, i); ok {
				i = end
			} else {
				i = len(text)
			}
		case strings.HasPrefix(text[i:], "--"), strings.HasPrefix(text[i:], "/*"):
			i = afterComment(text, i)
		default:
			i++
		}
	}
	if begin < len(text) {
		add(len(text))
	}
	return all
}

// blank reports whether there is nothing but blanks and comments.
func blank(part string) bool {
	tokens, err := scan(part)
	return err == nil && len(tokens) == 0
}
