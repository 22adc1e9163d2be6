package replication

import (
	"strconv"
	"testing"

	"weir/proxy/generation"
	"weir/proxy/status"
)

// What clients have replicated whose names metrics show together stays counted when the names are forgotten.
func TestTotalsOfOtherReplicationsNeverFall(t *testing.T) {
	s := New(Parts{})
	for i := range status.PoolsApart + 2 {
		s.total(generation.PoolKey{Database: "shop", User: strconv.Itoa(i)}).Served++
	}
	others := func() (served uint64) {
		for _, r := range s.Snapshot() {
			if r.Others {
				served += r.Served
			}
		}
		return served
	}
	for _, entry := range s.totals {
		entry.open = 1
	}
	if n := others(); n != 2 {
		t.Fatalf("the others were served %d times, want 2", n)
	}
	for _, entry := range s.totals {
		entry.open = 0 // and left long ago
	}
	if n := others(); n != 2 || len(s.totals) != 0 {
		t.Errorf("the others were served %d times, want 2; %d names are known", n, len(s.totals))
	}
}
