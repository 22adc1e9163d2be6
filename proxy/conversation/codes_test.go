package conversation

import (
	"fmt"
	"testing"
)

func TestCodesAreBounded(t *testing.T) {
	var c Codes
	c.Count("57014")
	for i := range 1000 {
		c.Count(fmt.Sprintf("Z%04d", i))
	}
	c.Count("57014")
	for _, nonsense := range []string{"", "5701", "570144", "5701\xff", "a\n\"b "} {
		c.Count(nonsense)
	}
	if len(c) > codesMax+1 {
		t.Errorf("%d codes", len(c))
	}
	if n := c[[5]byte([]byte("57014"))]; n != 2 {
		t.Errorf("57014 counted %d times, want twice", n)
	}
	var sum uint64
	for _, n := range c {
		sum += n
	}
	if sum != 1007 {
		t.Errorf("counted %d errors of 1007", sum)
	}
}
