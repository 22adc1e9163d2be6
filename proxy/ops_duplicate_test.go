package proxy_test

import (
	"slices"
	"strings"
	"testing"
)

// A name that is taken is refused with the same error in a failed transaction, too, on a backend that has not got the statement.
func TestTakenNameIsRefusedOnAnotherBackend(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 2\nsession_audit = \"off\"")
	through, directly, other := enter(t, w, d), enterDirectly(t, d), enter(t, w, d)
	prepares := synced(t, parse("s", "SELECT 1"), parse("gone", "SELECT 2"))
	told(through, prepares)
	told(directly, prepares)
	if got := other.Query("BEGIN; SELECT count(*) FROM pg_prepared_statements"); got != "2" { // the backend that has them
		t.Fatalf("the backend has %s statements", got)
	}
	for _, s := range []step{
		queries("BEGIN"), synced(t, parse("s", "SELECT 3")), synced(t, parse("s", "ROLLBACK")), synced(t, parse("s", "SELECT 3")), queries("ROLLBACK"),
		queries("BEGIN", "SELECT 1/0"), synced(t, parse("s", "COMMIT")), synced(t, parse("s", "")),
		inOneWrite(synced(t, parse("s", "COMMIT"), parse("gone", "COMMIT")), synced(t, parse("gone", "COMMIT"))), queries("ROLLBACK"),
		inOneWrite(synced(t, parse("s", "SELECT 4")), synced(t, parse("gone", "SELECT 4")), runs(t, "s"), runs(t, "gone")),
	} {
		got, want := told(through, s), told(directly, s)
		if !slices.Equal(got, want) {
			t.Errorf("%.200q:\n%s\ndirectly\n%s", s.send, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}
