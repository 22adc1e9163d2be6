package sqlscan

// tag reads after a $: the tag of a dollar quote, a parameter, or neither.
func (s *Scanner) tag(c byte, i int) int {
	switch {
	case s.lex == inDollar && c == '$':
		s.n = 0
		s.lex = inDollarBody
	case s.lex == inDollar && class[c] == classDigit:
		s.token('$')
		s.lex = inParameter
	case c >= 0x80:
		// The server compares tags in its own encoding, in which two characters
		// of the client's may be one.
		s.doubt()
	case s.lex == inDollar && class[c] == classWord:
		s.n = 0
		s.hold([]byte{c})
		s.lex = inTagRest
	case s.lex == inDollar: // nothing that PostgreSQL knows
		return s.operator('$', i)
	case c == '$':
		s.lex = inDollarBody
	case !inTag(c):
		// No dollar quote: the $ stands for itself and the rest is a word.
		s.lex = inText
		s.token('$')
		if s.wordEnds(s.held[:s.n], c) {
			return i + 1
		}
		return i
	case s.n == wordBytesMax:
		s.doubt() // the tag cannot be kept, so its end cannot be found
	default:
		s.hold([]byte{c})
	}
	if s.lex == inDollarBody {
		s.token('\'')
	}
	return i + 1
}

// dollarEnd compares what follows a $ in a dollar quote with its tag.
func (s *Scanner) dollarEnd(c byte) {
	switch {
	case s.matched == s.n && c == '$':
		s.lex = inText
	case s.matched < s.n && c == s.held[s.matched]:
		s.matched++
	case c == '$':
		s.matched = 0 // the end of a wrong tag may begin the right one
	default:
		s.lex = inDollarBody
	}
}
