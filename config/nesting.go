package config

// nestingMax bounds how deep keys and values may be nested. A file of weir's has a few levels; the parser is recursive, and takes time and
// memory that grow with the square of the depth of a key: a line of 40 kB could end a weir that reloads it.
const nestingMax = 32

// nestedTooDeep finds the first place where that is exceeded, as an offset.
func nestedTooDeep(text string) (offset int, found bool) {
	brackets, dots := 0, 0
	for i := 0; i < len(text); {
		switch c := text[i]; c {
		case '"', '\'':
			i += stringLen(text[i:])
			continue
		case '#':
			for i < len(text) && text[i] != '\n' {
				i++
			}
			continue
		case '[', '{':
			brackets++
		case ']', '}':
			brackets = max(brackets-1, 0)
		case '.':
			dots++ // of one key, or of a number
		case '=', ',', '\n':
			dots = 0
		}
		if brackets+dots > nestingMax {
			return i, true
		}
		i++
	}
	return 0, false
}

// stringLen is the length of the string that text begins with, as far as it goes: TOML's, in one or in three quotes of either kind.
func stringLen(text string) int {
	quote, long := text[0], len(text) > 2 && text[1] == text[0] && text[2] == text[0]
	i := 1
	if long {
		i = 3
	}
	for ; i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote == '"':
			i++
		case text[i] == '\n' && !long:
			return i
		case text[i] == quote && !long:
			return i + 1
		case text[i] == quote && len(text) > i+2 && text[i+1] == quote && text[i+2] == quote:
			return i + 3
		}
	}
	return len(text)
}
