package sqlscan

// characters walks text that arrives in pieces, in an encoding in which a byte
// of ASCII may be half a character. The server converts a text to its own
// encoding before it reads a token, and refuses one that is not valid in
// client_encoding. So only the lengths of characters matter, and those of valid
// ones alone (pg_encoding_mblen in src/common/wchar.c).
type characters uint8

const (
	between  characters = iota // the next byte begins a character
	oneLeft                    // one byte of a character is still to come
	twoLeft                    // two
	gbSecond                   // the second byte of GB18030, which says if it has two or four
	jisRow81                   // the second byte after 0x81 in SHIFT_JIS_2004
)

// next takes a byte. It reports whether the byte is a character of ASCII, and
// whether the character is one that the server converts to ASCII.
func (w *characters) next(mode Mode, c byte) (ascii, becomesASCII bool) {
	switch *w {
	case between:
		if c < 0x80 {
			return true, false
		}
		switch {
		case mode&GB18030Encoding != 0:
			*w = gbSecond
		case mode&(SJISEncoding|SJIS2004Encoding) != 0 && 0xa1 <= c && c <= 0xdf: // half-width katakana
		case mode&SJIS2004Encoding != 0 && c == 0x81:
			*w = jisRow81
		default:
			*w = oneLeft
		}
	case gbSecond:
		*w = between
		if '0' <= c && c <= '9' {
			*w = twoLeft
		}
	case twoLeft:
		*w = oneLeft
	case jisRow81:
		*w = between
		return false, c == 0x5f || c == 0xb0 // to \ and ~
	default:
		*w = between
	}
	return false, false
}

// feedEncoded reads text in which a byte below 0x80 may be half a character. To
// the scanner it shows such a byte with its high bit set, as in the encodings
// that are safe.
func (s *Scanner) feedEncoded(p []byte) {
	for len(p) > 0 && s.lex != inDoubt {
		if s.char == between {
			n := highByte(p)
			s.feed(p[:n])
			if p = p[n:]; len(p) == 0 {
				return
			}
			if s.mode&UnsafeEncoding != 0 {
				s.doubt()
				return
			}
		}
		var safe [128]byte
		n, doubt := 0, false
		for n < min(len(safe), len(p)) && !doubt {
			safe[n] = p[n]
			var ascii bool
			if ascii, doubt = s.char.next(s.mode, p[n]); !ascii {
				safe[n] |= 0x80
			}
			n++
		}
		s.feed(safe[:n])
		if p = p[n:]; doubt {
			s.doubt()
		}
	}
}

// highByte finds the first byte above 0x7f; without one it returns len(p).
func highByte(p []byte) int {
	for i, c := range p {
		if c >= 0x80 {
			return i
		}
	}
	return len(p)
}
