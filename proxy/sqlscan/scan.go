package sqlscan

import "bytes"

// Scan reads a whole text, without the NUL that ends it on the wire. It does not
// keep text, does not allocate, and takes time linear in its length. A NUL
// inside counts as an operator.
func Scan(text []byte, mode Mode) Effects {
	s := Scanner{mode: mode}
	s.Feed(text)
	s.finish()
	return s.effects
}

// Scanner reads a text that arrives in pieces, cut anywhere. Its zero value is
// ready for a text in the default Mode; it is a plain value of about 80 bytes
// and may be copied. It keeps no piece. Not for concurrent use.
type Scanner struct {
	effects Effects
	nesting uint32 // open block comments
	depth   uint32 // open brackets inside a call of set_config, its own included

	mode    Mode
	char    characters // where in a character the next byte stands
	lex     lexState
	step    step
	prev    prev
	call    callState
	updates bool  // the statement has the word update
	creates bool  // the statement has the word create, or into that names a new table
	temp    bool  // the statement has something temporary
	arg     uint8 // commas seen in that call at its own depth, at most argMax
	third   thirdArg

	matched uint8 // bytes of the closing dollar quote's tag that have been seen
	n       uint8 // bytes of held
	held    [wordBytesMax]byte
}

// NewScanner returns a Scanner for a text that the server reads in this Mode.
func NewScanner(mode Mode) Scanner { return Scanner{mode: mode} }

// lexState is where in the lexical structure the next byte stands.
type lexState uint8

const (
	inText          lexState = iota // between tokens
	inWordRest                      // inside a word whose beginning is held
	inString                        // '...' without escapes
	inEscape                        // E'...'
	inBackslash                     // after a backslash in E'...'
	inEscapeEnd                     // after a quote in E'...': its end, or half of a doubled one
	inName                          // "...", its content held
	inUnicode                       // after the & of U&
	inDash                          // after one -
	inSlash                         // after one /
	inLine                          // -- comment
	inBlock                         // /* comment
	inBlockStar                     // after a * in it
	inBlockSlash                    // after a / in it
	inNumber                        // after the digits that begin a number
	inPoint                         // after digits and a point
	inFraction                      // after digits, a point and digits
	inExponent                      // after a number and an e, which may begin a word
	inExponentPlus                  // after a number, e and +
	inExponentMinus                 // after a number, e and -
	inExponentRest                  // in an exponent's digits
	inParameter                     // in the digits of $1
	inDollar                        // after a $ that may begin a dollar quote
	inTagRest                       // inside a dollar quote's opening tag, held
	inDollarBody                    // $tag$..., the tag held
	inDollarEnd                     // after a $ in it, comparing with the tag
	inDoubt                         // final: Opaque, nothing more is read
)

// Feed reads the next piece of the text.
func (s *Scanner) Feed(p []byte) {
	if s.mode > BackslashStrings {
		s.feedEncoded(p)
	} else {
		s.feed(p)
	}
}

// feed reads text in which each byte below 0x80 is a character.
func (s *Scanner) feed(p []byte) {
	for i := 0; i < len(p); {
		switch s.lex {
		case inText:
			i = s.text(p, i)
		case inWordRest:
			i = s.wordRest(p, i)
		case inName:
			i = s.nameRest(p, i)
		case inString, inLine, inDollarBody:
			i = s.skip(p, i)
		case inDoubt:
			return
		default:
			i = s.one(p, i)
		}
	}
}

// Effects are those of the text if it ended here. An open quote or comment makes
// it Opaque. Feeding may go on afterwards.
func (s *Scanner) Effects() Effects {
	ended := *s
	ended.finish()
	return ended.effects
}

// text reads tokens from p[i:] until the piece ends or a token begins that has
// a state of its own, and returns where it stopped.
func (s *Scanner) text(p []byte, i int) int {
	for i < len(p) {
		c := p[i]
		switch class[c] {
		case classSpace:
			i++
		case classLine:
			s.line()
			i++
		case classWord:
			if i = s.takeWord(p, i); s.lex != inText {
				return i
			}
		case classDigit:
			for i < len(p) && class[p[i]] == classDigit {
				i++
			}
			s.token('0')
			if i == len(p) || p[i] == '.' || p[i]|0x20 == 'e' {
				s.lex = inNumber
				return i
			}
		case classQuote:
			s.quote()
			return i + 1
		case classIdent:
			if i = s.takeName(p, i); s.lex != inText {
				return i
			}
		case classDash:
			s.lex = inDash
			return i + 1
		case classSlash:
			s.lex = inSlash
			return i + 1
		case classDollar:
			s.lex = inDollar
			return i + 1
		default:
			if c == ';' || s.watchful() {
				s.token(c)
			} else {
				s.prev = prevAny
			}
			i++
		}
	}
	return i
}

// takeWord takes the word at i, with the quote or the & behind it that makes it
// the prefix of a string or name. What has not come whole is held.
func (s *Scanner) takeWord(p []byte, i int) int {
	end := i + 1
	for end < len(p) && inWord[p[end]] {
		end++
	}
	if end == len(p) {
		s.n = 0
		s.hold(p[i:])
		s.lex = inWordRest
		return end
	}
	if s.wordEnds(p[i:end], p[end]) {
		end++
	}
	return end
}

// takeName takes the quoted name that begins at i. What has not come whole is
// held.
func (s *Scanner) takeName(p []byte, i int) int {
	n := bytes.IndexByte(p[i+1:], '"')
	if n < 0 {
		s.n = 0
		s.hold(p[i+1:])
		s.lex = inName
		return len(p)
	}
	s.name(p[i+1 : i+1+n])
	return i + n + 2
}

// hold keeps what fits of a word, name or tag.
func (s *Scanner) hold(p []byte) { s.n += uint8(copy(s.held[s.n:], p)) }

// wordRest goes on with a word that the last piece cut.
func (s *Scanner) wordRest(p []byte, i int) int {
	end := i
	for end < len(p) && inWord[p[end]] {
		end++
	}
	s.hold(p[i:end])
	if end == len(p) {
		return end
	}
	s.lex = inText
	if s.wordEnds(s.held[:s.n], p[end]) {
		return end + 1
	}
	return end
}

// wordEnds takes a whole word and the byte after it, which makes some words of
// one letter the prefix of a string or name. It tells whether it has used that
// byte.
func (s *Scanner) wordEnds(w []byte, next byte) (used bool) {
	if len(w) == 1 {
		switch {
		case next == '\'':
			switch w[0] | 0x20 {
			case 'e':
				s.stringBegins(inEscape, prevEscape)
				return true
			case 'b', 'x':
				s.stringBegins(inString, prevBits)
				return true
			}
		case next == '&' && w[0]|0x20 == 'u':
			s.lex = inUnicode
			return true
		}
	}
	s.word(w)
	return false
}

// nameRest goes on with a quoted name that the last piece cut.
func (s *Scanner) nameRest(p []byte, i int) int {
	end := bytes.IndexByte(p[i:], '"')
	if end < 0 {
		s.hold(p[i:])
		return len(p)
	}
	s.hold(p[i : i+end])
	s.lex = inText
	s.name(s.held[:s.n])
	return i + end + 1
}

// skip passes over what has no meaning up to the byte that may end it.
func (s *Scanner) skip(p []byte, i int) int {
	rest := p[i:]
	var end int
	switch s.lex {
	case inString:
		// A doubled quote ends one string and begins the next: the same.
		if end = bytes.IndexByte(rest, '\''); end >= 0 {
			s.lex = inText
		}
	case inLine:
		if end = lineEnd(rest); end >= 0 {
			s.lex = inText
			s.line()
		}
	default:
		if end = bytes.IndexByte(rest, '$'); end >= 0 {
			s.lex, s.matched = inDollarEnd, 0
		}
	}
	if end < 0 {
		return len(p)
	}
	return i + end + 1
}

// lineEnd finds the first line feed or carriage return.
func lineEnd(p []byte) int {
	for i, c := range p {
		if c == '\n' || c == '\r' {
			return i
		}
	}
	return -1
}

// one reads the byte p[i] in the states that look at single bytes. It returns i
// if the byte is the beginning of something else.
func (s *Scanner) one(p []byte, i int) int {
	c := p[i]
	switch s.lex {
	case inEscape:
		return s.escape(p, i)
	case inBackslash:
		s.lex = inEscape
	case inEscapeEnd:
		if c != '\'' {
			s.lex = inText
			return i
		}
		s.lex = inEscape
	case inUnicode:
		return s.unicode(c, i)
	case inDash:
		if c != '-' {
			return s.operator('-', i)
		}
		s.lex = inLine
	case inSlash:
		if c != '*' {
			return s.operator('/', i)
		}
		s.lex, s.nesting = inBlock, 1
		if s.prev >= prevEscape {
			s.prev = prevAny // a string does not go on after a block comment
		}
	case inBlock, inBlockStar, inBlockSlash:
		s.block(c)
	case inNumber, inPoint, inFraction, inExponent, inExponentPlus, inExponentMinus, inExponentRest, inParameter:
		return s.number(c, i)
	case inDollar, inTagRest:
		return s.tag(c, i)
	case inDollarEnd:
		s.dollarEnd(c)
	default: // runs of these are taken whole, not byte by byte
	}
	return i + 1
}

// operator makes a token of a byte that did not begin a comment.
func (s *Scanner) operator(c byte, i int) int {
	s.lex = inText
	s.token(c)
	return i
}

// block reads a byte of a block comment, which nests.
func (s *Scanner) block(c byte) {
	last := s.lex
	s.lex = inBlock
	switch {
	case last == inBlockStar && c == '/':
		if s.nesting--; s.nesting == 0 {
			s.lex = inText
		}
	case last == inBlockSlash && c == '*':
		s.nesting++ // and this * does not count towards an end
	case c == '*':
		s.lex = inBlockStar
	case c == '/':
		s.lex = inBlockSlash
	}
}

// doubt gives the text up.
func (s *Scanner) doubt() {
	s.effects |= Opaque
	s.lex = inDoubt
}

// finish settles what was waiting for more.
func (s *Scanner) finish() {
	if s.char != between {
		s.effects |= Opaque
	}
	switch s.lex {
	case inText, inLine, inEscapeEnd, inDoubt,
		inNumber, inPoint, inFraction, inExponent, inExponentPlus, inExponentMinus, inExponentRest, inParameter:
	case inWordRest:
		s.word(s.held[:s.n])
	case inDash, inSlash, inUnicode, inDollar:
		s.token('-')
	case inTagRest:
		s.token('$')
		s.word(s.held[:s.n])
	default:
		s.effects |= Opaque
	}
	s.statementEnds()
}
