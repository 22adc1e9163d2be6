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

// TestWhatATextLeavesByKeepers: by a function only where a bracket follows its name or a dot stands in front, by a table or a view wherever that
// stands, or where the text writes.
func TestWhatATextLeavesByKeepers(t *testing.T) {
	h := Shared{}
	h.keep([]keeper{{"locks(", "lock"}, {"sets(", "set work_mem"}, {"runs(", leavesAny}, {"seeds(", leavesProcess}, {"watched", "listen"}, {"audited=", "temp"}, {"makes(", leavesBlind}})
	for text, want := range map[string]kept{
		"select locks(1), locks from t":              {pins: session.AdvisoryLock},
		"select locks, 'runs(1)' from t -- seeds(1)": {},
		`select "public" . "Sets" (1)`:               {settings: []string{"work_mem"}},
		"insert into watched (a) values (1)":         {pins: session.Listen},
		"table app.watched":                          {pins: session.Listen},
		"select t.locks from t":                      {pins: session.AdvisoryLock},
		"select updated_at from audited":             {},
		"select * from audited for no key update":    {},
		"select * from audited for update of a":      {},
		"update app.audited set a = 1":               {pins: session.TempObject},
		"with a as (table audited) delete from t":    {pins: session.TempObject},
		"copy audited from stdin":                    {pins: session.TempObject},
		"select runs('x'), seeds(1), makes(2)":       {pins: session.Opaque | session.Process, blind: true},
	} {
		got := h.leftBy([]byte(text), 0)
		if got.pins != want.pins || got.blind != want.blind || !slices.Equal(got.settings, want.settings) {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}

// TestKeepersThatATextMentions: as words, wherever in it they stand.
func TestKeepersThatATextMentions(t *testing.T) {
	k := newKeepers([]keeper{{"seeds(", leavesProcess}, {"the makers(", leavesBlind}, {"größe=", leavesProcess}, {"locks(", "lock"}})
	for text, want := range map[string]kept{
		"do $$begin perform SEEDS(1); end$$":       {pins: session.Process},
		"do 'begin perform \"The Makers\"(); end'": {blind: true},
		`do e'begin\nseeds(1); end'`:               {pins: session.Process},
		"call p('größe')":                          {pins: session.Process},
		"seeds":                                    {pins: session.Process},
		"do $$begin perform reseeds(1), seeds_2(), locks(1); end$$": {},
	} {
		if got := k.mentioned([]byte(text)); got.pins != want.pins || got.blind != want.blind {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestTextsThatMakeUpTheNameOfASetting(t *testing.T) {
	for text, want := range map[string]bool{
		"perform set_config('app.' || x, v, false)":                                true,
		"perform set_config(name, v, false)":                                       true,
		"execute format('set app.%s = %L', a, b)":                                  true,
		"execute format('SET SESSION %I.%I to %L', a, b, c)":                       true,
		"execute format('set %I.tenant = %L', a, b)":                               true,
		"execute format('set %s = %L', a, b)":                                      true,
		"execute 'set app.' || a || ' = 1'":                                        true,
		"execute 'set ' || a || ' = 1'":                                            true,
		"execute ('set ' || a)":                                                    true,
		"execute concat('set app.', a)":                                            true,
		"s := $q$ set app.$q$ || a":                                                true,
		"do 'begin execute ''set app.'' || ''x = 1''; end'":                        true,
		"perform set_config(name, v, local)":                                       true,
		"perform set_config(name, coalesce(v, ''), is_local)":                      true,
		"select set_config(n, v, true::text = 'x')":                                true,
		"select \"set_config\" (n, v, to_bool(1))":                                 true,
		"perform set_config(name, coalesce(nullif(v, ','), concat('(', v)), true)": false,
		"perform set_config(name, case when a then 'false' end, true )":            false,
		"perform set_config('app.x', v, false)":                                    false,
		"perform set_config(name, v, true)":                                        false,
		"execute format('set local app.%s = %L', a, b)":                            false,
		"execute 'set local app.' || a":                                            false,
		"execute format('set app.x = %L', b)":                                      false,
		"execute 'set app.x = ' || b":                                              false,
		"execute format('set role %I', a)":                                         false,
		"execute format('set search_path to %I, public', a)":                       false,
		"execute format('set session authorization %I', a)":                        false,
		"execute format('update %I set %I = $1', a, b)":                            false,
		"execute 'update t set a.' || b || ' = 1'":                                 false,
		"s := 'update t ' || 'set ' || b || ' = 1'":                                false,
		"s := s || format(' set %I = %L', a, b)":                                   false,
		"raise notice 'set %', a":                                                  false,
		"insert into log values ('set off at ' || now()); update t set a = b.c":    false,
	} {
		var none keepers
		if got := none.makesUp([]byte(text)); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}
