package sqlscan

// Shape is a text that stands for all that differ from it in nothing but the
// digits of numbers and what stands in strings. To find that a text is of a known
// shape is several times cheaper than to read it.
type Shape struct {
	parts []shapePart
	tail  string // after the last literal
}

// shapePart is what stands between two literals, and the second of them.
type shapePart struct {
	text   string
	quoted bool // the literal is a string, else digits
}

// Limits of what has a shape.
const (
	shapeTextMax  = 1024
	shapePartsMax = 32
)

// ShapeOf returns the shape of a text. False: it is too long, or has a comment, an
// escape, a dollar or bytes beyond ASCII, so that its parts cannot be told apart
// without a lexer.
//
// Texts of a shape have the same tokens but for the values of literals, in every
// Mode. So they have the same Identify, and what does nothing by Scan does nothing
// with other literals.
func ShapeOf(text []byte) (s Shape, ok bool) {
	if len(text) > shapeTextMax {
		return Shape{}, false
	}
	owned := string(text)
	from := 0
	for i := 0; i < len(text); {
		end, ok := shapeToken(text, i)
		if !ok || len(s.parts) == shapePartsMax {
			return Shape{}, false
		}
		if class := sketchClass[text[i]]; class == sketchDigit || class == sketchQuote {
			s.parts = append(s.parts, shapePart{owned[from:i], class == sketchQuote})
			from = end
		}
		i = end
	}
	s.tail = owned[from:]
	return s, true
}

// shapeToken is where what begins at i ends: a word, a literal, a quoted name, or a byte.
func shapeToken(text []byte, i int) (end int, ok bool) {
	c := text[i]
	next := func(at int) byte {
		if at < len(text) {
			return text[at]
		}
		return 0
	}
	switch sketchClass[c] {
	case sketchWord:
		for end = i; inWord[next(end)]; end++ {
			if text[end] >= 0x80 || text[end] == '$' {
				return 0, false
			}
		}
		return end, next(end) != '\'' // which makes it a string's prefix
	case sketchDigit:
		end = endOfDigits(text, i)
		return end, !inWord[next(end)]
	case sketchQuote:
		return endOfPlain(text, i, '\'')
	case sketchDash:
		return i + 1, next(i+1) != c && next(i+1) != '*'
	case sketchPlain, sketchSpace, sketchComma:
		return i + 1, c != '&' || next(i+1) != '"' && next(i+1) != '\'' // U&"..." and U&'...' have escapes
	}
	if c == '"' {
		return endOfPlain(text, i, '"')
	}
	return 0, false
}

// Fits reports whether a text is of the shape.
func (s *Shape) Fits(text []byte) bool {
	i := 0
	for k := range s.parts {
		p := &s.parts[k]
		end := i + len(p.text)
		if end >= len(text) || string(text[i:end]) != p.text {
			return false
		}
		if i = end; p.quoted {
			var ok bool
			if i, ok = endOfPlain(text, i, '\''); !ok {
				return false
			}
		} else if i = endOfDigits(text, i); i == end {
			return false
		}
	}
	return string(text[i:]) == s.tail
}

// endOfDigits is where digits end that begin at i.
func endOfDigits(text []byte, i int) int {
	for i < len(text) && text[i]-'0' <= 9 {
		i++
	}
	return i
}

// endOfPlain is where a string or a quoted name ends that begins at i. A doubled quote ends one and begins the next. False: it does not
// begin there or does not end, or has a backslash or a byte beyond ASCII.
func endOfPlain(text []byte, i int, quote byte) (end int, ok bool) {
	if text[i] != quote {
		return 0, false
	}
	for i++; i < len(text); i++ {
		switch c := text[i]; {
		case c == quote:
			if i++; i == len(text) || text[i] != quote {
				return i, true
			}
		case c == '\\' || c >= 0x80:
			return 0, false
		}
	}
	return 0, false
}
