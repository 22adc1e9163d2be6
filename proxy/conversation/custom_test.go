package conversation

import "testing"

// Two backends are asked at once, before it is known what functions set: the answer of the first must not keep the second from being asked
// once more.
func TestWhatAnotherBackendsAnswerBroughtIsAskedForStill(t *testing.T) {
	var h Shared
	asked, found := []string{"role"}, []string{"app.tenant"}
	for backend := range 2 {
		if !h.missed(asked, found) {
			t.Errorf("backend %d is not asked for what functions set", backend)
		}
	}
	if h.missed(h.unlisted(), found) {
		t.Error("a backend is asked again for what it has said")
	}
}
