package relay

import (
	"math/rand/v2"
	"testing"
)

// TestSlotsAgainstAMap: a number is one thing's, is not reused soon, and the table does not grow without need.
func TestSlotsAgainstAMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var s slots[int]
	live := map[uint32]*int{}
	freed := map[uint32]int{} // when, in numbers given back
	gone, most := 0, 0
	for range 20_000 {
		if len(live) == 0 || r.IntN(100) < 50 && len(live) < 100 {
			x := new(int)
			i := s.add(x)
			if live[i] != nil {
				t.Fatalf("%d is given twice", i)
			}
			if at, ok := freed[i]; ok && gone-at < slotsRested {
				t.Fatalf("%d is reused behind %d others", i, gone-at)
			}
			live[i] = x
			most = max(most, len(live))
		} else {
			for i := range live {
				s.remove(i)
				delete(live, i)
				gone++
				freed[i] = gone
				break
			}
		}
		if s.empty() != (len(live) == 0) {
			t.Fatalf("empty is %t with %d things", s.empty(), len(live))
		}
		for i, x := range live {
			if s.at(i) != x {
				t.Fatalf("%d is somebody else's", i)
			}
		}
	}
	if len(s.items) > most+slotsRested+1 || len(s.free) > 3*len(s.items) {
		t.Errorf("%d numbers for %d things at once, %d in the queue", len(s.items), most, len(s.free))
	}
	if s.at(1<<20) != nil {
		t.Error("a number beyond the table is somebody's")
	}
}
