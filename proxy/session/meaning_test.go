package session

import (
	"slices"
	"testing"
)

func TestOnlyWhatChangesATextsMeaningIsPartOfItsScope(t *testing.T) {
	if !slices.IsSorted(meaningful[:]) {
		t.Fatal("the list is searched by halves, and not sorted")
	}
	for name, want := range map[string]bool{
		"TimeZone": true, "DateStyle": true, "search_path": true, "ROLE": true, "standard_conforming_strings": true,
		"application_name": false, "work_mem": false, "statement_timeout": false, "app.tenant": false, "plan_cache_mode": false,
	} {
		if Meaningful(name) != want {
			t.Errorf("%s: %t, want %t", name, !want, want)
		}
	}
	key := func(s ...Setting) string { return string(AppendMeaning(nil, s)) }
	same := key(Setting{"application_name", "a"}, Setting{"search_path", "x"})
	if same != key(Setting{"search_path", "x"}, Setting{"work_mem", "1MB"}) {
		t.Error("an application_name of its own has a scope of its own")
	}
	if same == key(Setting{"search_path", "y"}) || key(Setting{"datestyle", "a"}, Setting{"timezone", "b"}) == key(Setting{"datestyle", "a\x08timezone\x01b"}) {
		t.Error("different settings share a scope")
	}
}
