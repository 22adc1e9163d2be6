package conversation

import (
	"slices"
	"testing"

	"weir/proxy/session"
)

// TestLooksAfterADefinitionAreNoPartOfTheBudget: else a hundred migrations would leave nothing to ask about statements with.
func TestLooksAfterADefinitionAreNoPartOfTheBudget(t *testing.T) {
	s := Server{shared: &Shared{}}
	for i, want := range []bool{true, false, true} {
		s.question.all()
		appendQuestion(&s, nil)
		if got := s.AskedAnew(); got != want {
			t.Errorf("question %d: %v, want %v", i, got, want)
		}
		s.shared.lookedThrough()
		if i == 1 {
			s.shared.Relearn()
		}
	}
}

// TestWhatATextLeavesByKeepers: by a function only where a bracket follows its name, by a table or a view wherever that stands.
func TestWhatATextLeavesByKeepers(t *testing.T) {
	h := Shared{}
	h.keep([]keeper{{"locks(", "lock"}, {"sets(", "set work_mem"}, {"runs(", leavesAny}, {"seeds(", leavesProcess}, {"watched", "listen"}, {"makes(", leavesBlind}})
	for text, want := range map[string]kept{
		"select locks(1), locks from t":              {pins: session.AdvisoryLock},
		"select locks, 'runs(1)' from t -- seeds(1)": {},
		`select "public" . "Sets" (1)`:               {settings: []string{"work_mem"}},
		"insert into watched (a) values (1)":         {pins: session.Listen},
		"table app.watched":                          {pins: session.Listen},
		"select runs('x'), seeds(1), makes(2)":       {pins: session.Opaque | session.Process, blind: true},
	} {
		got := h.leftBy([]byte(text), 0)
		if got.pins != want.pins || got.blind != want.blind || !slices.Equal(got.settings, want.settings) {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}
