package sqlscan

import (
	"unicode/utf8"

	"weir/proxy/ascii"
)

// parser reads the few statements of which more than the first words matter.
// Of a statement that PostgreSQL would refuse it may read anything: no part of
// a text runs in which one statement is not grammatical.
type parser struct {
	lexer
	tok   token // the present one
	then  token // the one after it
	began int   // where the present statement begins
	ended int   // where the token before the present one ends
	named token // the name of the savepoint that transaction has read
}

func newParser(text []byte, mode Mode) parser {
	p := parser{lexer: newLexer(text, mode)}
	p.tok = p.next()
	p.then = p.next()
	return p
}

func (p *parser) advance() {
	p.ended = p.tok.to
	p.tok, p.then = p.then, p.next()
}

// isWord tells whether a token is this word, which is given in lower case.
func (p *parser) isWord(t token, word string) bool {
	if t.kind != tokenWord || t.to-t.from != len(word) {
		return false
	}
	for i := range len(word) {
		if ascii.Lower(p.text[t.from+i]) != word[i] {
			return false
		}
	}
	return true
}

// is tells whether the present token is this word.
func (p *parser) is(word string) bool { return p.isWord(p.tok, word) }

// accept passes over this word if it is the present token.
func (p *parser) accept(word string) bool {
	if !p.is(word) {
		return false
	}
	p.advance()
	return true
}

// acceptAll passes over these words, and stops at the first that is missing.
func (p *parser) acceptAll(words ...string) bool {
	for _, word := range words {
		if !p.accept(word) {
			return false
		}
	}
	return true
}

// acceptAny passes over one of these words.
func (p *parser) acceptAny(words ...string) bool {
	for _, word := range words {
		if p.accept(word) {
			return true
		}
	}
	return false
}

func (p *parser) acceptByte(c byte) bool {
	if !p.isByte(c) {
		return false
	}
	p.advance()
	return true
}

func (p *parser) isByte(c byte) bool { return p.tok.kind == tokenByte && p.tok.c == c }

// ends tells whether a token ends a statement.
func ends(t token) bool { return t.kind == tokenEnd || t.kind == tokenByte && t.c == ';' }

// begin passes over semicolons and tells whether a statement begins.
func (p *parser) begin() bool {
	for p.acceptByte(';') {
	}
	p.began = p.tok.from
	return p.tok.kind != tokenEnd && p.tok.kind != tokenUnread
}

// skipTo goes on to the statement's end, or to this word outside of brackets. A
// semicolon within brackets (in CREATE RULE) ends no statement. It returns false
// if it cannot tell where the statement ends.
func (p *parser) skipTo(word string) bool {
	depth := 0
	for ; ; p.advance() {
		switch {
		case p.tok.kind == tokenUnread:
			return false
		case p.tok.kind == tokenEnd, depth == 0 && (ends(p.tok) || word != "" && p.is(word)):
			return true
		case p.isByte('('):
			depth++
		case p.isByte(')'):
			depth = max(depth-1, 0)
		case p.is("begin") && p.isWord(p.then, "atomic"):
			return false // a function's body, with semicolons
		}
	}
}

// brackets passes over a pair of round brackets and what is in it.
func (p *parser) brackets() bool {
	depth := 0
	for ; ; p.advance() {
		switch {
		case p.tok.kind == tokenEnd, p.tok.kind == tokenUnread:
			return false
		case p.isByte('('):
			depth++
		case p.isByte(')'):
			if depth--; depth == 0 {
				p.advance()
				return true
			}
		}
	}
}

// isIdentifier tells whether the present token may name a thing (ColId in
// src/backend/parser/gram.y).
func (p *parser) isIdentifier() bool {
	switch p.tok.kind {
	case tokenName:
		return p.tok.to-p.tok.from > len(`""`)
	case tokenWord:
		return !p.isReserved(p.tok)
	default:
	}
	return false
}

// isReserved tells whether a word cannot be a name.
func (p *parser) isReserved(t token) bool {
	var space [keywordBytesMax]byte
	if t.to-t.from > len(space) {
		return false
	}
	mayName, isKeyword := keywords[string(ascii.AppendLower(space[:0], p.text[t.from:t.to]))]
	return isKeyword && !mayName
}

// identifier returns what a word or a quoted name stands for: folded, without
// quotes, cut. It returns certain false if the database may fold or cut it in
// another way.
func (p *parser) identifier(t token) (name string, certain bool) {
	raw := p.text[t.from:t.to]
	if t.kind == tokenName {
		name = p.unquote(t)
		certain = len(name) <= identifierBytesMax || highByte(raw) == len(raw)
	} else {
		name = string(ascii.AppendLower(nil, raw))
		certain = highByte(raw) == len(raw)
	}
	return cutIdentifier(name), certain
}

// unquote returns the content of a quoted name.
func (p *parser) unquote(t token) string {
	out := make([]byte, 0, t.to-t.from)
	for i := t.from + 1; i < t.to-1; i++ {
		out = append(out, p.text[i])
		if p.safe[i] == '"' {
			i++
		}
	}
	return string(out)
}

// identifierBytesMax is NAMEDATALEN - 1 (src/include/pg_config_manual.h).
const identifierBytesMax = 63

// cutIdentifier cuts a name as truncate_identifier does (src/backend/parser/scansup.c):
// not within a character.
func cutIdentifier(name string) string {
	if len(name) <= identifierBytesMax {
		return name
	}
	n := identifierBytesMax
	if utf8.ValidString(name) {
		for !utf8.RuneStart(name[n]) {
			n--
		}
	}
	return name[:n]
}
