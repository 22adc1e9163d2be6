package session

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// pairs makes settings of name, value, name, value, ...
func pairs(s ...string) []Setting {
	var out []Setting
	for i := 0; i < len(s); i += 2 {
		out = append(out, Setting{s[i], s[i+1]})
	}
	return out
}

func mustIntern(t testing.TB, table *Table, s ...string) *Set {
	t.Helper()
	set, err := table.Intern(pairs(s...))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestSameSettingsShareOneSet(t *testing.T) {
	var table Table
	a := mustIntern(t, &table, "application_name", "x", "DateStyle", "ISO", "search_path", "a, b")
	for _, other := range []*Set{
		mustIntern(t, &table, "search_path", "a, b", "datestyle", "ISO", "APPLICATION_NAME", "x"),
		mustIntern(t, &table, "search_path", "other", "datestyle", "ISO", "application_name", "x", "Search_Path", "a, b"),
	} {
		if other != a {
			t.Errorf("%v and %v are two sets", a.Settings(), other.Settings())
		}
	}
	if table.Len() != 1 {
		t.Errorf("the table holds %d sets, want 1", table.Len())
	}
	if v, ok := a.Value("DATESTYLE"); !ok || v != "ISO" {
		t.Errorf("DATESTYLE is %q, %t", v, ok)
	}
	if _, ok := a.Value("timezone"); ok {
		t.Error("a setting that is not there has a value")
	}
}

func TestNamesFoldByASCIIRulesAlone(t *testing.T) {
	var table Table
	// Unicode lower-casing would fold the Kelvin sign to k.
	if a, b := mustIntern(t, &table, "work_mem", "1"), mustIntern(t, &table, "wor\u212a_mem", "1"); a == b {
		t.Error("two names that PostgreSQL tells apart are one")
	}
	if a, b := mustIntern(t, &table, "sort_mem", "1"), mustIntern(t, &table, "Work_Mem", "1"); a != b {
		t.Error("a name of old is not its successor")
	}
}

func TestDifferentSettingsNeverShareAKey(t *testing.T) {
	var table Table
	seen := map[*Set]string{}
	for _, s := range [][]string{
		{"a", "b"},
		{"a", "b;c=d"},
		{"a", "b", "c", "d"},
		{"a", "bc"},
		{"ab", "c"},
		{"a", ""},
		{"a", "b", "c", ""},
		{"a", "b\x01c\x01d"},
		{"a", "b", "cd", ""},
		{"a", "\x01b\x01c\x01d"},
		{"a", strings.Repeat("x", 300)},
		{"a", strings.Repeat("x", 44)},
		{"a=b", ""},
		{"a", "=b"},
	} {
		set := mustIntern(t, &table, s...)
		if before, ok := seen[set]; ok {
			t.Errorf("%q and %s are one set", s, before)
		}
		seen[set] = fmt.Sprintf("%q", s)
	}
}

func TestEmptySetIsNilAndWorks(t *testing.T) {
	var table Table
	set, err := table.Intern(nil)
	if set != nil || err != nil {
		t.Fatalf("Intern(nil) = %v, %v", set, err)
	}
	if set.ID() != 0 || set.Settings() != nil {
		t.Errorf("the empty set has id %d, settings %v", set.ID(), set.Settings())
	}
	if _, ok := set.Value("a"); ok {
		t.Error("the empty set has a value")
	}
	if got := set.Without("A"); len(got) != 0 {
		t.Errorf("Without on the empty set: %v", got)
	}
	table.Release(table.Retain(set))
}

func TestWithoutLeavesTheSetAlone(t *testing.T) {
	var table Table
	a := mustIntern(t, &table, "a", "1", "c", "3")
	for _, c := range []struct {
		got  []Setting
		want []string
	}{
		{a.Without("A"), []string{"c", "3"}},
		{a.Without("x"), []string{"a", "1", "c", "3"}},
	} {
		set, err := table.Intern(c.got)
		if err != nil {
			t.Fatal(err)
		}
		if set != mustIntern(t, &table, c.want...) {
			t.Errorf("%v, want %v", c.got, c.want)
		}
	}
	if got := a.Settings(); len(got) != 2 || got[1].Value != "3" {
		t.Errorf("the set has become %v", got)
	}
}

func TestSettingThatCannotBeCarriedIsNamed(t *testing.T) {
	many := make([]string, 0, 2*settingsMax+2)
	for i := range settingsMax + 1 {
		many = append(many, fmt.Sprintf("a.n%02d", i), "1")
	}
	for _, c := range []struct {
		settings []string
		name     string // "" if they are carried
		code     string
	}{
		{[]string{"", "x"}, "", "42704"},
		{[]string{"a", "x\x00"}, "a", "22021"},
		{[]string{"a\x00", "x"}, "a\x00", "22021"},
		{[]string{"Transaction_Isolation", "serializable"}, "Transaction_Isolation", "55P02"},
		{[]string{"seed", "0.5"}, "seed", "55P02"},
		{many, "a.n64", "54000"},
		{many[:2*settingsMax], "", ""},
		{[]string{"a", strings.Repeat("x", settingsBytesMax-1)}, "", ""},
		{[]string{"b", "1", "a", strings.Repeat("x", settingsBytesMax)}, "a", "54000"},
		{[]string{"a", strings.Repeat("x", 5000), "a", strings.Repeat("y", 5000)}, "", ""},
	} {
		var table Table
		_, err := table.Intern(pairs(c.settings...))
		if c.code == "" {
			if err != nil {
				t.Errorf("%.40q: %v", c.settings, err)
			}
			continue
		}
		var refused *SettingError
		if !errors.As(err, &refused) || refused.Name != c.name || refused.Code != c.code {
			t.Errorf("%.40q: %v, want %s for %q", c.settings, err, c.code, c.name)
		}
		if table.Len() != 0 {
			t.Errorf("%.40q: refused, but kept", c.settings)
		}
	}
}

func TestIDIsReusedOnlyAfterTheLastReference(t *testing.T) {
	var table Table
	a := mustIntern(t, &table, "a", "1")
	id := a.ID()
	table.Retain(a)
	table.Release(a)
	if b := mustIntern(t, &table, "b", "1"); b.ID() == id || b.ID() == 0 {
		t.Errorf("a set got the id %d while another had %d", b.ID(), id)
	}
	table.Release(a)
	if c := mustIntern(t, &table, "c", "1"); c.ID() != id {
		t.Errorf("the free id %d was not used, but %d", id, c.ID())
	}
	if d := mustIntern(t, &table, "a", "1"); d == a {
		t.Error("a released set came back")
	}
}

func TestSetFoundBetweenTheCountAndTheLockStays(t *testing.T) {
	var table Table
	a := mustIntern(t, &table, "a", "1")
	a.refs.Add(-1) // Release, up to its lock
	if again := mustIntern(t, &table, "a", "1"); again != a {
		t.Fatal("the set was not found")
	}
	table.forget(a) // the rest of it
	if again := mustIntern(t, &table, "a", "1"); again != a {
		t.Error("a set in use was forgotten")
	}
}

func TestSetIsForgottenOnce(t *testing.T) {
	var table Table
	a := mustIntern(t, &table, "a", "1")
	a.refs.Add(-1)  // Release, up to its lock
	table.forget(a) // another one, which came later and is faster
	b := mustIntern(t, &table, "a", "1")
	table.forget(a)
	if again := mustIntern(t, &table, "a", "1"); again != b {
		t.Error("the successor of a forgotten set was forgotten")
	}
	if c := mustIntern(t, &table, "c", "1"); c.ID() == b.ID() {
		t.Error("an id was freed twice")
	}
}

func TestMisuseOfReferencesPanics(t *testing.T) {
	panics := func(name string, f func()) {
		defer func() {
			if recover() == nil {
				t.Errorf("%s did not panic", name)
			}
		}()
		f()
	}
	var table Table
	a := mustIntern(t, &table, "a", "1")
	table.Release(a)
	panics("Retain of a released set", func() { table.Retain(a) })
	b := mustIntern(t, &table, "b", "1")
	table.Release(b)
	panics("Release of a released set", func() { table.Release(b) })
}

func TestSetsOfTheirOwnDoNotLeak(t *testing.T) {
	var table Table
	for i := range 10_000 {
		table.Release(mustIntern(t, &table, "application_name", fmt.Sprint(i)))
	}
	if table.Len() != 0 || table.last != 1 || len(table.free) != 1 {
		t.Errorf("%d sets, highest id %d, %d free", table.Len(), table.last, len(table.free))
	}
}

// Logins intern while loops retain and release. A set that somebody holds must
// stay the one of its settings, and no two held sets may share an id.
func TestTableServesManyAtOnce(t *testing.T) {
	var table Table
	var ids [64]struct {
		sync.Mutex
		held map[*Set]int
	}
	for i := range ids {
		ids[i].held = map[*Set]int{}
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := rand.New(rand.NewPCG(1, uint64(g)))
			for range 5_000 {
				name := fmt.Sprint(r.IntN(6))
				set, err := table.Intern(pairs("application_name", name))
				if err != nil {
					t.Error(err)
					return
				}
				slot := &ids[set.ID()%uint32(len(ids))]
				slot.Lock()
				slot.held[set]++
				if len(slot.held) > 1 {
					t.Errorf("two sets have the id %d", set.ID())
				}
				slot.Unlock()
				if v, _ := set.Value("application_name"); v != name {
					t.Errorf("the set of %s has become that of %s", name, v)
				}
				table.Release(table.Retain(set))
				slot.Lock()
				if slot.held[set]--; slot.held[set] == 0 {
					delete(slot.held, set)
				}
				slot.Unlock()
				table.Release(set)
			}
		}()
	}
	wg.Wait()
	if table.Len() != 0 || len(table.free) != int(table.last) {
		t.Errorf("%d sets left, %d of %d ids free", table.Len(), len(table.free), table.last)
	}
}
