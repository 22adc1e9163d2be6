package ascii

import "testing"

func TestOnlyLettersOfASCIIAreFolded(t *testing.T) {
	for s, want := range map[string]string{
		"":                   "",
		"work_mem":           "work_mem",
		"TimeZone":           "timezone",
		"@AZ[`az{":           "@az[`az{",
		"\u212aelvin \u0130": "\u212aelvin \u0130",
		"\xc0\xff":           "\xc0\xff",
	} {
		if got := ToLower(s); got != want {
			t.Errorf("%q becomes %q, want %q", s, got, want)
		}
		if got := string(AppendLower([]byte("X"), s)); got != "X"+want {
			t.Errorf("%q is appended as %q, want %q", s, got, "X"+want)
		}
	}
}

func TestOnly(t *testing.T) {
	for s, want := range map[string]bool{"": true, "a\x00\x7f": true, "\x80": false, "aä": false} {
		if Only(s) != want || Only([]byte(s)) != want {
			t.Errorf("%q: not %t", s, want)
		}
	}
}
