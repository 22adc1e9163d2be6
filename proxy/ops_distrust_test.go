package proxy_test

import (
	"testing"
)

// A statement that has changed its ways is found out by a sample, on one loop. The others trust it no more than that one does.
func TestWhatASampleFindsIsKnownOnAllLoops(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE TABLE mood AS SELECT false AS bad")
	d.Exec(t, `CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$
		BEGIN IF (SELECT bad FROM mood) THEN PERFORM set_config('work_mem', '5MB', false); END IF; RETURN 1; END $$`)
	w := spreading(t, d, 2, "[pool]\npool_size = 2\nsession_audit = \"learn\"\n")
	clients := enterMany(t, w, d, 4)
	one, other, holder, next := clients[0], clients[1], clients[2], clients[3]
	if on := w.Proxy.ClientsByLoop(); on[0] != 2 || on[1] != 2 {
		t.Fatalf("the clients are on the loops as %v", on)
	}
	holder.Query("BEGIN") // one backend is left for the others
	for range 4 {
		one.Query("SELECT f()")
		other.Query("SELECT f()")
	}
	d.Exec(t, "UPDATE mood SET bad = true")
	const sampleEvery = 4096
	for range sampleEvery {
		one.Query("SELECT f()")
	}
	eventually(t, func() string {
		if !w.Log.Contains("session state was found that may have been seen by other clients") {
			return "no sample has found what the function does"
		}
		return ""
	})
	other.Query("SELECT f()")
	if got := next.Query("SHOW work_mem"); got != "4MB" {
		t.Errorf("another client of that loop finds work_mem = %s", got)
	}
}
