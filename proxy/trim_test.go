package proxy

import "testing"

// What leaves much behind sets the collector's time, however it comes together; what leaves little, or nothing, does not.
func TestTrimmerWaitsForEnoughGarbage(t *testing.T) {
	var trim trimmer
	for range trimAfter - 1 {
		trim.leaves(1)
	}
	trim.leaves(0)
	if trim.timer != nil {
		t.Fatal("a collection is due before there is enough")
	}
	trim.leaves(1)
	if trim.timer == nil {
		t.Fatal("no collection is due")
	}
	trim.timer.Stop()
	trim.trim()
	if trim.left != 0 {
		t.Errorf("%d things are left after the collection", trim.left)
	}
}
