// Package ascii folds letters as PostgreSQL does it in keywords and in names that have no quotes: by ASCII's rules alone. Unicode's would take some
// names for the same that PostgreSQL tells apart (a Kelvin sign is no k).
//
// It is pure, and imports nothing.
package ascii

// Lower is c in lower case, if it is a letter of ASCII.
func Lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

// AppendLower appends s in lower case to dst.
func AppendLower[T string | []byte](dst []byte, s T) []byte {
	for i := range len(s) {
		dst = append(dst, Lower(s[i]))
	}
	return dst
}

// ToLower is s in lower case. It allocates only if that is something else.
func ToLower(s string) string {
	for i := range len(s) {
		if Lower(s[i]) != s[i] {
			return string(AppendLower(make([]byte, 0, len(s)), s))
		}
	}
	return s
}

// Only reports whether s has nothing but characters of ASCII.
func Only[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] > 0x7f {
			return false
		}
	}
	return true
}
