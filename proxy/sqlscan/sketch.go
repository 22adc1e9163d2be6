package sqlscan

// Identify returns a number for a statement, whatever its literals: its Sketch, and
// its Fingerprint where that takes a lexer.
func Identify(text []byte, mode Mode) uint64 {
	if print, ok := Sketch(text); ok {
		return print
	}
	return Fingerprint(text, mode)
}

// Sketch is a cheap Fingerprint for texts without what takes a lexer to read: a
// number that is the same for texts that differ in nothing but numbers, strings,
// the lengths of lists of those, and white space between them. False: the text
// has a comment, an escape, a dollar or bytes beyond ASCII; take Fingerprint. Of
// texts that it reads, no two share their number that differ in anything but
// that, but for what chance does with 64 bits.
func Sketch(text []byte) (print uint64, ok bool) {
	var (
		hash = uint64(fnvOffset)
		last byte // that was hashed
	)
	for i := 0; i < len(text); {
		c := text[i]
		switch sketchClass[c] {
		case sketchPlain:
			hash, last = (hash^uint64(c))*fnvPrime, c
			i++
		case sketchWord:
			for i < len(text) && inWord[text[i]] {
				if text[i] >= 0x80 || text[i] == '$' {
					return 0, false
				}
				hash = (hash ^ uint64(text[i])) * fnvPrime
				i++
			}
			last = 'a'
			if i < len(text) && text[i] == '\'' { // a string with a prefix
				return 0, false
			}
		case sketchSpace:
			for i < len(text) && sketchClass[text[i]] == sketchSpace {
				i++
			}
			if last == literal && i < len(text) && (text[i] == ',' || text[i] == ')') {
				continue
			}
			hash, last = (hash^' ')*fnvPrime, ' '
		case sketchDigit:
			if i, ok = endOfNumber(text, i); !ok {
				return 0, false
			}
			if last != literal {
				hash, last = (hash^literal)*fnvPrime, literal
			}
		case sketchQuote:
			if i, ok = endOfString(text, i); !ok {
				return 0, false
			}
			if last != literal {
				hash, last = (hash^literal)*fnvPrime, literal
			}
		case sketchComma:
			i++
			if last == literal && literalFollows(text, i) {
				for i < len(text) && sketchClass[text[i]] == sketchSpace {
					i++
				}
				continue
			}
			hash, last = (hash^uint64(c))*fnvPrime, c
		case sketchDash:
			if i++; i < len(text) && text[i] == c || c == '/' && i < len(text) && text[i] == '*' {
				return 0, false
			}
			hash, last = (hash^uint64(c))*fnvPrime, c
		default:
			return 0, false
		}
	}
	return hash, true
}

// The classes of bytes for a sketch.
const (
	sketchOther byte = iota // takes a lexer
	sketchPlain
	sketchWord
	sketchSpace
	sketchDigit
	sketchQuote
	sketchComma
	sketchDash // may begin a comment
)

var sketchClass = func() (table [256]byte) {
	for c := range 0x80 {
		switch k := class[c]; {
		case k == classSpace, k == classLine:
			table[c] = sketchSpace
		case k == classWord:
			table[c] = sketchWord
		case k == classDigit:
			table[c] = sketchDigit
		case c == '\'':
			table[c] = sketchQuote
		case c == ',':
			table[c] = sketchComma
		case c == '-', c == '/':
			table[c] = sketchDash
		case c > ' ' && c != '$' && c != '\\' && c != '"' && c != 0x7f:
			table[c] = sketchPlain
		}
	}
	return table
}()

// endOfNumber is where a number ends that begins at i. False: a word runs into it.
func endOfNumber(text []byte, i int) (end int, ok bool) {
	for i < len(text) && (class[text[i]] == classDigit || text[i] == '.' || text[i]|0x20 == 'e') {
		i++
	}
	return i, i == len(text) || !inWord[text[i]]
}

// endOfString is where a string ends whose quote is at i. A doubled quote ends one and begins the next. False: it does not end, or has a
// backslash.
func endOfString(text []byte, i int) (end int, ok bool) {
	for {
		for i++; i < len(text) && text[i] != '\''; i++ {
			if text[i] == '\\' {
				return 0, false
			}
		}
		if i++; i > len(text) {
			return 0, false
		}
		if i == len(text) || text[i] != '\'' {
			return i, true
		}
	}
}

// literalFollows reports whether the next thing is a number or a string.
func literalFollows(text []byte, i int) bool {
	for i < len(text) && sketchClass[text[i]] == sketchSpace {
		i++
	}
	return i < len(text) && (sketchClass[text[i]] == sketchDigit || sketchClass[text[i]] == sketchQuote)
}
