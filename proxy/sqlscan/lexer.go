package sqlscan

import "bytes"

// tokenKind is what a token is to those who read a text token by token.
type tokenKind uint8

const (
	tokenEnd       tokenKind = iota // of the text
	tokenWord                       // a word without quotes
	tokenName                       // "..."
	tokenString                     // '...', E'...' and $$...$$, with all that continues it
	tokenBits                       // B'...', X'...' and U&'...'
	tokenNumber                     // an integer or a decimal, without a sign
	tokenParameter                  // $1
	tokenByte                       // one byte of an operator or of punctuation
	tokenUnread                     // from here on the text cannot be read with certainty
)

// token is a part of a text. Comments and white space are none.
type token struct {
	kind     tokenKind
	escapes  bool // of a string: it knows backslash escapes
	c        byte // of a tokenByte
	from, to int  // its place in the text
}

// lexer reads a whole text token by token. It reads as Scanner does, which is
// faster and takes pieces.
type lexer struct {
	text []byte // as the client sent it
	safe []byte // the same length: no byte below 0x80 is half a character
	mode Mode
	at   int // after the last token
}

// newLexer allocates only in the modes in which characters must be told apart,
// for a text with a byte above 0x7f.
func newLexer(text []byte, mode Mode) lexer {
	l := lexer{text: text, safe: text, mode: mode}
	if mode > BackslashStrings && highByte(text) < len(text) && !l.makeSafe() {
		l.text, l.safe = nil, nil
		l.at = -1
	}
	return l
}

// makeSafe sets the high bit of each byte that is half a character. It returns
// false if characters of this encoding, or these, cannot be told.
func (l *lexer) makeSafe() bool {
	if l.mode&UnsafeEncoding != 0 {
		return false
	}
	l.safe = bytes.Clone(l.text)
	var char characters
	for i, c := range l.safe {
		ascii, becomesASCII := char.next(l.mode, c)
		if becomesASCII {
			return false
		}
		if !ascii {
			l.safe[i] |= 0x80
		}
	}
	return char == between
}

// next reads a token. After tokenEnd and tokenUnread it returns the same again.
func (l *lexer) next() token {
	if l.at < 0 {
		return token{kind: tokenUnread}
	}
	i, ok := l.space(l.at)
	if !ok {
		return l.unread()
	}
	l.at = i
	if i == len(l.safe) {
		return token{kind: tokenEnd, from: i, to: i}
	}
	c := l.safe[i]
	switch class[c] {
	case classWord:
		return l.word(i)
	case classDigit:
		return l.take(tokenNumber, i, l.numberEnds(i))
	case classQuote:
		return l.string(tokenString, i, i, l.mode&BackslashStrings != 0)
	case classIdent:
		return l.take(tokenName, i, quotedEnds(l.safe, i+1, '"'))
	case classDollar:
		return l.dollar(i)
	}
	if c == '.' && l.digit(i+1) {
		return l.take(tokenNumber, i, l.numberEnds(i))
	}
	t := l.take(tokenByte, i, i+1)
	t.c = c
	return t
}

// take makes a token; an end below 0 says that there is none.
func (l *lexer) take(kind tokenKind, from, to int) token {
	if to < 0 {
		return l.unread()
	}
	l.at = to
	return token{kind: kind, from: from, to: to}
}

func (l *lexer) unread() token {
	l.at = -1
	return token{kind: tokenUnread}
}

// space passes over white space and comments from i. It returns false if a
// comment does not end.
func (l *lexer) space(i int) (end int, ok bool) {
	p := l.safe
	for i < len(p) {
		switch k := class[p[i]]; {
		case k == classSpace, k == classLine:
			i++
		case k == classDash && i+1 < len(p) && p[i+1] == '-':
			i = lineCommentEnds(p, i)
		case k == classSlash && i+1 < len(p) && p[i+1] == '*':
			if i = blockEnds(p, i); i < 0 {
				return i, false
			}
		default:
			return i, true
		}
	}
	return i, true
}

// lineCommentEnds returns where the line break is.
func lineCommentEnds(p []byte, i int) int {
	if n := lineEnd(p[i:]); n >= 0 {
		return i + n
	}
	return len(p)
}

// blockEnds returns the index after a block comment that begins at i, or -1.
func blockEnds(p []byte, i int) int {
	nesting := 0
	for i+1 < len(p) {
		switch {
		case p[i] == '/' && p[i+1] == '*':
			nesting++
			i += 2
		case p[i] == '*' && p[i+1] == '/':
			i += 2
			if nesting--; nesting == 0 {
				return i
			}
		default:
			i++
		}
	}
	return -1
}

// quotedEnds returns the index after the closing quote, or -1. A doubled quote
// is content.
func quotedEnds(p []byte, i int, quote byte) int {
	for {
		i = find(p, i, quote)
		if i < 0 || i == len(p) || p[i] != quote {
			return i
		}
		i++
	}
}

// find returns the index after the first of these bytes from i, or -1.
func find(p []byte, i int, c byte) int {
	n := bytes.IndexByte(p[i:], c)
	if n < 0 {
		return -1
	}
	return i + n + 1
}

// escapedEnds is quotedEnds for a string with backslash escapes.
func escapedEnds(p []byte, i int) int {
	for ; i < len(p); i++ {
		switch p[i] {
		case '\\':
			i++
		case '\'':
			if i+1 == len(p) || p[i+1] != '\'' {
				return i + 1
			}
			i++
		}
	}
	return -1
}

// word reads a word, or the string or name that its only letter is the prefix
// of.
func (l *lexer) word(i int) token {
	end := i + 1
	for end < len(l.safe) && inWord[l.safe[end]] {
		end++
	}
	if end == i+1 && end < len(l.safe) {
		switch next := l.safe[end]; l.safe[i] | 0x20 {
		case 'e':
			if next == '\'' {
				return l.string(tokenString, i, end, true)
			}
		case 'b', 'x':
			if next == '\'' {
				return l.string(tokenBits, i, end, false)
			}
		case 'u':
			if next != '&' || end+1 == len(l.safe) {
				break
			}
			switch l.safe[end+1] {
			case '\'':
				return l.string(tokenBits, i, end+1, false)
			case '"':
				return l.unread() // its escapes may spell any name
			}
		}
	}
	return l.take(tokenWord, i, end)
}

// string reads a string whose quote is at i, and all that continues it.
func (l *lexer) string(kind tokenKind, from, i int, escapes bool) token {
	for {
		switch {
		case escapes:
			i = escapedEnds(l.safe, i+1)
		case kind == tokenBits: // bits know no doubled quote; in U&'...' one begins another token
			i = find(l.safe, i+1, '\'')
		default:
			i = quotedEnds(l.safe, i+1, '\'')
		}
		if i < 0 {
			return l.unread()
		}
		next := l.continues(i)
		if next < 0 {
			t := l.take(kind, from, i)
			t.escapes = escapes
			return t
		}
		i = next
	}
}

// continues returns where the quote is that continues a string which ended
// before i, after white space with a line break, or -1.
func (l *lexer) continues(i int) int {
	line := false
	for p := l.safe; i < len(p); {
		switch k := class[p[i]]; {
		case k == classSpace:
			i++
		case k == classLine:
			line = true
			i++
		case k == classDash && i+1 < len(p) && p[i+1] == '-':
			i = lineCommentEnds(p, i)
		case k == classQuote && line:
			return i
		default:
			return -1
		}
	}
	return -1
}

// dollar reads a dollar quote, a parameter, or the byte alone.
func (l *lexer) dollar(i int) token {
	end := i + 1
	if l.digit(end) {
		for l.digit(end) {
			end++
		}
		return l.take(tokenParameter, i, end)
	}
	for end < len(l.safe) && inTag(l.safe[end]) {
		if l.safe[end] >= 0x80 {
			return l.unread()
		}
		end++
	}
	if end == len(l.safe) || l.safe[end] != '$' {
		t := l.take(tokenByte, i, i+1)
		t.c = '$'
		return t
	}
	end++
	n := bytes.Index(l.safe[end:], l.safe[i:end])
	if n < 0 {
		return l.unread()
	}
	return l.take(tokenString, i, end+n+end-i)
}

func (l *lexer) digit(i int) bool { return i < len(l.safe) && class[l.safe[i]] == classDigit }

// numberEnds returns the index after a number that begins at i.
func (l *lexer) numberEnds(i int) int {
	digits := func() {
		for l.digit(i) {
			i++
		}
	}
	digits()
	p := l.safe
	if i < len(p) && p[i] == '.' && (i+1 == len(p) || p[i+1] != '.') {
		i++
		digits()
	}
	if i < len(p) && p[i]|0x20 == 'e' {
		sign := 0
		if i+1 < len(p) && (p[i+1] == '+' || p[i+1] == '-') {
			sign = 1
		}
		if l.digit(i + 1 + sign) {
			i += 1 + sign
			digits()
		}
	}
	return i
}
