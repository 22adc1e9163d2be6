package sqlscan

import (
	"strings"
	"testing"
)

// names writes what StatementNames finds as the table does.
func names(t *testing.T, text string, mode Mode) string {
	var out []string
	read := StatementNames([]byte(text), mode, func(u NameUse) bool {
		kind := "execute"
		if u.Kind == NameDeallocate {
			kind = "deallocate"
		}
		if u.All {
			kind += "-all"
		}
		if u.Uncertain {
			kind += "?"
		}
		if u.Sole {
			kind = "sole-" + kind
		}
		if place := text[u.From:u.To]; !u.All && place != u.Name && place[0] != '"' && !strings.EqualFold(place[:min(63, len(place))], u.Name) {
			t.Errorf("%q: %s stands at %q", text, u.Name, place)
		}
		out = append(out, strings.TrimRight(kind+" "+u.Name, " "))
		return true
	})
	if !read {
		out = append(out, "unread")
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

func TestStatementNamesAreThoseOfTheTable(t *testing.T) {
	for _, e := range examples(t, "names") {
		if got := names(t, e.sql, e.mode); got != e.want {
			t.Errorf("%s: %q: %s, want %s", e.at, e.sql, got, e.want)
		}
	}
}

func TestTextWithANameHasItsEffect(t *testing.T) {
	for _, e := range examples(t, "names") {
		effects := Scan([]byte(e.sql), e.mode)
		StatementNames([]byte(e.sql), e.mode, func(u NameUse) bool {
			if want := map[NameKind]Effects{NameExecute: Execute, NameDeallocate: Deallocate}[u.Kind]; effects&want == 0 {
				t.Errorf("%s: %q: %s without %s", e.at, e.sql, effects, want)
			}
			return true
		})
	}
}

func TestStatementNamesStopsWhenItsCallerDoes(t *testing.T) {
	n := 0
	if StatementNames([]byte("execute a; execute b; execute c"), 0, func(NameUse) bool { n++; return n < 2 }) || n != 2 {
		t.Errorf("%d names", n)
	}
}
