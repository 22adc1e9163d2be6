package manpage

import (
	"os"
	"testing"
)

// Golden holds a page to its file, or writes it.
func Golden(t testing.TB, p *Page, file string, update bool) {
	t.Helper()
	if update {
		if err := os.WriteFile(file, []byte(p.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if p.String() != string(want) {
		t.Errorf("%s is not what it is made from says; make docs writes it anew:\n%s", file, p)
	}
}
