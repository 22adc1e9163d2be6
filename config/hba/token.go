package hba

import (
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"
)

// token is a word of a line.
type token struct {
	text   string
	quoted bool // it began with a quote: never a keyword
	at     place
}

// is tells whether a token is a keyword. Quoted ones are names.
func (t token) is(keyword string) bool { return !t.quoted && t.text == keyword }

// field is one or more tokens, joined by commas.
type field []token

// line is the fields of a line, never none.
type line []field

func (l line) at() place { return l[0][0].at }

// place is where something stands.
type place struct {
	file         string
	line, column int
}

func (p place) String() string { return fmt.Sprintf("%s:%d:%d", p.file, p.line, p.column) }

// logicalLine is a line with those that continue it, and where the pieces stand.
type logicalLine struct {
	file   string
	text   string
	pieces []piece
}

type piece struct{ offset, line int }

// logicalLines splits a text. A backslash before the end of a line joins the next to it, also in comments, as in PostgreSQL.
func logicalLines(file, text string) iter.Seq[logicalLine] {
	return func(yield func(logicalLine) bool) {
		number := 0
		for text != "" {
			var b strings.Builder
			l := logicalLine{file: file}
			for {
				number++
				physical, rest, _ := strings.Cut(text, "\n")
				text = rest
				physical = strings.TrimRight(physical, "\r")
				l.pieces = append(l.pieces, piece{b.Len(), number})
				joined := strings.HasSuffix(physical, `\`)
				b.WriteString(strings.TrimSuffix(physical, `\`))
				if !joined || text == "" {
					break
				}
			}
			l.text = b.String()
			if !yield(l) {
				return
			}
		}
	}
}

// place is where an offset of the line stands.
func (l logicalLine) place(offset int) place {
	p := l.pieces[0]
	for _, next := range l.pieces[1:] {
		if next.offset > offset {
			break
		}
		p = next
	}
	return place{l.file, p.line, utf8.RuneCountInString(l.text[p.offset:offset]) + 1}
}

// split takes a line apart.
func (s *scanner) split(l logicalLine, depth int) line {
	if i := strings.IndexByte(l.text, 0); i >= 0 {
		s.problem(l.place(i), "a NUL character: this is no such file")
		return nil
	}
	var words line
	w := wordScanner{text: l.text}
	joins := false // a comma has been, so the next token belongs to the field before
	for {
		t, comma, ok := w.next()
		if !ok {
			break
		}
		t.at = l.place(t.at.column)
		if w.open {
			s.problem(t.at, "a quoted name does not end on its line")
			return nil
		}
		tokens := field{t}
		if !t.quoted && len(t.text) > 1 && t.text[0] == '@' {
			tokens = s.names(t, depth)
		}
		if joins && len(words) > 0 {
			words[len(words)-1] = append(words[len(words)-1], tokens...)
		} else {
			words = append(words, tokens)
		}
		joins = comma
	}
	return words
}

// wordScanner takes a line apart: next_token of PostgreSQL's src/backend/libpq/hba.c, save that a comma may stand
// after blanks, as PgBouncer's users write it.
type wordScanner struct {
	text string
	i    int
	open bool // the line has ended within quotes
}

// next returns a word, its column the offset in the line, and whether a comma follows.
func (w *wordScanner) next() (t token, comma, ok bool) {
	for w.i < len(w.text) && (isBlank(w.text[w.i]) || w.text[w.i] == ',') {
		w.i++
	}
	if w.i >= len(w.text) || w.text[w.i] == '#' {
		w.i = len(w.text)
		return token{}, false, false
	}
	t.at.column = w.i
	t.quoted = w.text[w.i] == '"'
	var b strings.Builder
	quoted, closed := false, false // within quotes; the last byte has closed some
	for ; w.i < len(w.text); w.i++ {
		c := w.text[w.i]
		if !quoted && (isBlank(c) || c == ',' || c == '#') {
			break
		}
		if c != '"' {
			b.WriteByte(c)
			closed = false
			continue
		}
		if closed { // two quotes are one that is meant
			b.WriteByte('"')
		}
		closed = quoted
		quoted = !quoted
	}
	w.open = quoted
	t.text = b.String()
	return t, w.commaFollows(), true
}

// commaFollows looks beyond blanks.
func (w *wordScanner) commaFollows() bool {
	rest := strings.TrimLeft(w.text[w.i:], " \t\r")
	return strings.HasPrefix(rest, ",")
}

// isBlank is pg_isblank.
func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }
