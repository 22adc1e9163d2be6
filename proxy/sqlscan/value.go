package sqlscan

import "strconv"

// value reads one value of SET: a string, a word, or a number with its sign.
func (p *parser) value(u *SettingUse) bool {
	switch p.tok.kind {
	case tokenString:
		value, ok := p.stringValue(p.tok)
		u.Value = value
		u.NotLiteral = u.NotLiteral || !ok
	case tokenBits:
		u.Value, u.NotLiteral = "", true // U&'...'; bits are not grammatical here
	case tokenWord, tokenName:
		if p.tok.to-p.tok.from == len(`""`) && p.tok.kind == tokenName || p.is("default") {
			return false
		}
		value, certain := p.identifier(p.tok)
		u.Value = value
		// Since PostgreSQL 19 NULL makes a list empty; before, it is not grammatical.
		u.NotLiteral = u.NotLiteral || !certain || p.is("null")
	default:
		return p.numberValue(u)
	}
	p.advance()
	return true
}

// numberValue reads a number. PostgreSQL writes an integer anew, and all else as
// it was, with its sign before it.
func (p *parser) numberValue(u *SettingUse) bool {
	minus := p.isByte('-')
	if minus || p.isByte('+') {
		p.advance()
	}
	if p.tok.kind != tokenNumber || p.then.kind == tokenWord {
		return false // a word after it may be its rest: 1_000 and 0x1f, since PostgreSQL 16
	}
	u.Value = string(p.text[p.tok.from:p.tok.to])
	if n, err := strconv.ParseInt(u.Value, 10, 32); err == nil {
		if minus {
			n = -n
		}
		u.Value = strconv.FormatInt(n, 10)
	} else if minus {
		u.Value = "-" + u.Value
	}
	p.advance()
	return true
}

// stringValue returns what a string stands for. It returns false if that depends
// on the database's encoding.
func (p *parser) stringValue(t token) (value string, ok bool) {
	if p.safe[t.from] == '$' {
		tag := t.from + 1
		for p.safe[tag] != '$' {
			tag++
		}
		n := tag + 1 - t.from
		return string(p.text[t.from+n : t.to-n]), true
	}
	out := make([]byte, 0, t.to-t.from)
	i := t.from
	for i < t.to {
		for p.safe[i] != '\'' { // E in front, or what is between two parts
			if i = p.gap(i); i == t.to {
				return string(out), true
			}
		}
		i++
		if out, i, ok = p.appendPart(out, i, t); !ok {
			return "", false
		}
	}
	return string(out), true
}

// gap passes over a prefix, a comment or white space within a string token.
func (p *parser) gap(i int) int {
	if class[p.safe[i]] == classDash {
		return lineCommentEnds(p.safe, i)
	}
	return i + 1
}

// appendPart appends the content of one of a string's parts and returns where it
// ends.
func (p *parser) appendPart(out []byte, i int, t token) ([]byte, int, bool) {
	for {
		switch c := p.safe[i]; {
		case c == '\'':
			if i+1 == t.to || p.safe[i+1] != '\'' {
				return out, i + 1, true
			}
			out = append(out, '\'')
			i += 2
		case c == '\\' && t.escapes:
			value, n := escape(p.safe[i+1 : t.to])
			if n == 0 {
				return out, i, false
			}
			if value == escapedItself {
				value = p.text[i+1]
			}
			out = append(out, value)
			i += 1 + n
		default:
			out = append(out, p.text[i])
			i++
		}
	}
}

// escapedItself stands for the byte after the backslash.
const escapedItself = 0xff

// escape reads after a backslash and returns the byte that is meant and how
// many bytes say so; none if that is not ASCII (src/backend/parser/scan.l).
func escape(p []byte) (value byte, n int) {
	digits := func(from, most, base int) (byte, int) {
		to := from
		for to < len(p) && to-from < most {
			if _, err := strconv.ParseUint(string(p[to]), base, 8); err != nil {
				break
			}
			to++
		}
		v, _ := strconv.ParseUint(string(p[from:to]), base, 16)
		if v == 0 || v > 0x7f {
			return 0, 0
		}
		return byte(v), to
	}
	switch c := p[0]; c {
	case 'b':
		return '\b', 1
	case 'f':
		return '\f', 1
	case 'n':
		return '\n', 1
	case 'r':
		return '\r', 1
	case 't':
		return '\t', 1
	case 'u', 'U', 'v': // \v is new in PostgreSQL 16
		return 0, 0
	case 'x':
		if _, err := strconv.ParseUint(string(p[1]), 16, 8); err == nil {
			return digits(1, 2, 16)
		}
	default:
		if '0' <= c && c <= '7' {
			return digits(0, 3, 8)
		}
	}
	return escapedItself, 1
}
