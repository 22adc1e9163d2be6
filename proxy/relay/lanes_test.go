package relay

import "testing"

// TestALaneIsNotKnownBeforeItIsWhole: a lane has its number while it is being made, on some goroutine, and gets no message before it is opened: that would
// be carried out on its loop beside that goroutine.
func TestALaneIsNotKnownBeforeItIsWhole(t *testing.T) {
	p := NewLanes(2)
	l := &Lane{number: p.number(), config: LaneConfig{Lanes: p}}
	found := true
	p.from(0, func(*Lane) {}, func() { found = false })
	if found || l.sibling(l.number) != nil {
		t.Error("a lane that is being made is known")
	}
	if n := p.number(); n == l.number {
		t.Errorf("the next lane has number %d, too", n)
	}
}
