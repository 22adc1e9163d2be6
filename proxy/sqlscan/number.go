package sqlscan

// number reads a byte after the digits that begin a number. A PostgreSQL before
// 15 reads what follows a number without a space as a token of its own: 1into,
// 1e5into; and in 1einto the e is the word's. Later ones refuse the whole text.
func (s *Scanner) number(c byte, i int) int {
	digit := class[c] == classDigit
	switch s.lex {
	case inNumber, inPoint, inFraction:
		switch {
		case digit && s.lex == inPoint:
			s.lex = inFraction
		case digit:
		case c|0x20 == 'e':
			s.lex = inExponent
		case c == '.' && s.lex == inNumber:
			s.lex = inPoint
		case c == '.' && s.lex == inPoint: // 1..2 is a range
			s.operator('.', i)
		default:
			s.lex = inText
			return i
		}
	case inExponent:
		switch {
		case digit:
			s.lex = inExponentRest
		case c == '+':
			s.lex = inExponentPlus
		case c == '-':
			s.lex = inExponentMinus
		default:
			s.held[0], s.n = 'e', 1
			s.lex = inWordRest
			return i
		}
	case inExponentPlus, inExponentMinus:
		if !digit {
			return s.noExponent(i)
		}
		s.lex = inExponentRest
	default:
		if !digit {
			s.lex = inText
			return i
		}
	}
	return i + 1
}

// noExponent reads 1e- once more, as the number 1, the word e, and a byte that
// may begin a comment.
func (s *Scanner) noExponent(i int) int {
	minus := s.lex == inExponentMinus
	s.word([]byte{'e'})
	if minus {
		s.lex = inDash
		return i
	}
	return s.operator('+', i)
}
