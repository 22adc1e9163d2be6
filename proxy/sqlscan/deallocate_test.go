package sqlscan

import "testing"

func TestDeallocatedNamesOneStatement(t *testing.T) {
	for text, want := range map[string]string{
		"DEALLOCATE a1":                 "a1",
		" deallocate\tPREPARE  A1 ; ":   "a1",
		`DEALLOCATE "A1"`:               "A1",
		`deallocate prepare "a "" b"`:   `a " b`,
		"deallocate prepare":            "prepare",
		`deallocate "all"`:              "all",
		`deallocate prepare "prepare";`: "prepare",
		"deallocate ünïque":             "ünïque",
	} {
		if got, ok := Deallocated([]byte(text)); !ok || got != want {
			t.Errorf("%q: %q, %t; want %q", text, got, ok, want)
		}
	}
	for _, text := range []string{
		"", "deallocate", "deallocate ;", "deallocate all", "DEALLOCATE PREPARE ALL", "deallocate a, b", "deallocate a; select 1", "deallocate 1a",
		`deallocate "a`, `deallocate ""`, "deallocates a", "deallocate /* c */ a", "select 1", `deallocate a"b"`, "deallocate a.b", "deallocate $1",
	} {
		if got, ok := Deallocated([]byte(text)); ok {
			t.Errorf("%q: %q", text, got)
		}
	}
}
