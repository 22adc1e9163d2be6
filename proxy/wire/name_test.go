package wire

import (
	"strings"
	"testing"
)

func TestNamesAreCutAsTheServerCutsThem(t *testing.T) {
	x := strings.Repeat("x", NameMax)
	for _, c := range []struct{ name, want string }{
		{"", ""},
		{"shop", "shop"},
		{x, x},
		{x + "y", x},
		{x + "é", x},
		{x[1:] + "é", x[1:]},          // its first byte would be the 63rd
		{x[1:] + "éz", x[1:]},         //
		{x[3:] + "€z", x[3:] + "€"},   // which ends with the 63rd
		{x[2:] + "€", x[2:]},          // it would end with the 64th
		{x[1:] + "\U0001F600", x[1:]}, // one byte of four would fit
		{strings.Repeat("\x80", 99), strings.Repeat("\x80", NameMax)}, // no UTF-8
		{x + "\xff\xff", x},
	} {
		if got := CutName(c.name); got != c.want {
			t.Errorf("%q (%d bytes) becomes %q (%d bytes), want %q", c.name, len(c.name), got, len(got), c.want)
		}
	}
}
