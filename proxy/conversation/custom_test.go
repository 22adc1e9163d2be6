package conversation

import (
	"testing"

	"weir/proxy/sqlscan"
)

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

// What DO runs stands in a string. Its words tell what no question would show.
func TestDoIsReadForWhatNobodyCanBeAskedAbout(t *testing.T) {
	for text, want := range map[string]sqlscan.Effects{
		"do $$begin perform setseed(0.5); end$$":            sqlscan.Process,
		"do $$begin set local seed to 0.5; end$$":           sqlscan.Process,
		"do $$begin execute 'LOAD ''auto_explain'''; end$$": sqlscan.Process,
		"do $$begin perform pg_notify('a', 'b'); end$$":     sqlscan.Notify,
		"do $$begin delete from a; end$$":                   0,
	} {
		if got := readText([]byte(text), 0) & (sqlscan.Process | sqlscan.Notify); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}
