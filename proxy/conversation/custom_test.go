package conversation

import (
	"slices"
	"strings"
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

// Only names that the server reads as weir does may be asked for alone: what a parameter's type cuts, or folds to, is another one.
func TestNamesGivenToSetConfigAreThoseTheServerReads(t *testing.T) {
	long := strings.Repeat("a", 64)
	for _, c := range []struct {
		text, value string
		want        []string
	}{
		{"select set_config('App.X', $2, false)", "", []string{"app.x"}},
		{"select set_config($1, 'a', false)", "App.X", []string{"app.x"}},
		{"select set_config($1::text, 'a', false)", "app.x", []string{"app.x"}},
		{"select set_config($1 :: character varying, 'a', false)", "app.x", []string{"app.x"}},
		{"select set_config($1::name, 'a', false)", "app.x", nil},
		{"select set_config($1::app.short, 'a', false)", "app.x", nil},
		{"select set_config($1, 'a', false)", "app." + long, nil}, // a Parse may say that it is of the type name
		{"select set_config('app.\u212a', 'a', false)", "", nil},
		{"select set_config($1, 'a', false)", "app.\u212a", nil},
	} {
		given := configsOf([]byte(c.text))
		if got := given.bound([][]byte{[]byte(c.value)}); !slices.Equal(got, c.want) {
			t.Errorf("%s with %q: %q, want %q", c.text, c.value, got, c.want)
		}
	}
}
