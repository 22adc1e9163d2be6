package scram

import (
	"sort"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
)

// saslprep brings a password into the form that SCRAM hashes, as pg_saslprep in PostgreSQL's src/common/saslprep.c and with
// it libpq do: SASLprep where it applies, otherwise the bytes as they are. It is not PRECIS (RFC 8265), which succeeds
// SASLprep on paper and keeps apart what libpq takes as the same.
func saslprep(password string) string {
	if isASCII(password) || !utf8.ValidString(password) {
		return password
	}
	mapped := strings.Map(func(r rune) rune {
		switch {
		case within(nonASCIISpace, r):
			return ' '
		case within(mappedToNothing, r):
			return -1
		}
		return r
	}, password)
	if mapped == "" || !saslprepTakes(mapped) {
		return password
	}
	return norm.NFKC.String(mapped)
}

// saslprepTakes reports whether SASLprep has a result for what its mapping left. PostgreSQL looks at the characters before
// their normalisation, and so must we.
func saslprepTakes(s string) bool {
	rightToLeft, leftToRight := false, false
	for _, r := range s {
		if within(prohibited, r) || within(unassigned, r) {
			return false
		}
		rightToLeft = rightToLeft || isRightToLeft(r)
		leftToRight = leftToRight || bidiClass(r) == bidi.L
	}
	if !rightToLeft {
		return true
	}
	first, _ := utf8.DecodeRuneInString(s)
	last, _ := utf8.DecodeLastRuneInString(s)
	return !leftToRight && isRightToLeft(first) && isRightToLeft(last)
}

func isRightToLeft(r rune) bool {
	c := bidiClass(r)
	return c == bidi.R || c == bidi.AL
}

func bidiClass(r rune) bidi.Class {
	p, _ := bidi.LookupRune(r)
	return p.Class()
}

func within(table [][2]rune, r rune) bool {
	i := sort.Search(len(table), func(i int) bool { return table[i][1] >= r })
	return i < len(table) && table[i][0] <= r
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
