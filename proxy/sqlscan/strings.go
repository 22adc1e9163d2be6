package sqlscan

// quote takes a quote that has no prefix. A string goes on after white space
// with a line break, and stays of its kind: E'a' <newline> 'b\” is one string,
// and B'1' <newline> '\' another, whatever standard_conforming_strings is.
func (s *Scanner) quote() {
	switch s.prev {
	case prevEscapeLine:
		s.stringBegins(inEscape, prevEscape)
	case prevBitsLine:
		s.stringBegins(inString, prevBits)
	default: // a new string, or a plain one that goes on
		if s.mode&BackslashStrings != 0 {
			s.stringBegins(inEscape, prevAny)
		} else {
			s.stringBegins(inString, prevAny)
		}
	}
}

// stringBegins enters a string, as the token that it is.
func (s *Scanner) stringBegins(lex lexState, kind prev) {
	s.token('\'')
	s.lex, s.prev = lex, kind
}

// line takes the end of a line between tokens.
func (s *Scanner) line() {
	switch s.prev {
	case prevEscape:
		s.prev = prevEscapeLine
	case prevBits:
		s.prev = prevBitsLine
	default: // a line break means nothing to the next token
	}
}

// escape passes over the content of E'...'.
func (s *Scanner) escape(p []byte, i int) int {
	for ; i < len(p); i++ {
		switch p[i] {
		case '\'':
			s.lex = inEscapeEnd
			return i + 1
		case '\\':
			s.lex = inBackslash
			return i + 1
		}
	}
	return i
}

// unicode decides what U& was. In a name written so, escapes can spell
// set_config in ways that only a parser sees.
func (s *Scanner) unicode(c byte, i int) int {
	s.lex = inText
	switch c {
	case '"':
		s.doubt()
		return i + 1
	case '\'':
		s.stringBegins(inString, prevBits) // its backslashes spell characters, never a quote
		return i + 1
	}
	s.token('u')
	s.token('&')
	return i
}
