package pgserver

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// settled waits until the backend that made the test's database has ended: while it lives, it counts.
func settled(t *testing.T, s *Server) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		backends := 0
		for _, child := range childrenOf(s.PID()) {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child))
			if err == nil && (bytes.Contains(b, []byte("127.0.0.1")) || bytes.Contains(b, []byte("[local]"))) {
				backends++
			}
		}
		if backends == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %d backends", backends)
		}
	}
}

func TestUsageCountsTheWholeTree(t *testing.T) {
	d := ForTest(t)
	settled(t, d.Server)
	before, err := UsageOf(d.Server.PID())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), d.DSN())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "SELECT count(*) FROM generate_series(1, 3000000)"); err != nil {
		t.Fatal(err)
	}
	during, err := UsageOf(d.Server.PID())
	if err != nil {
		t.Fatal(err)
	}
	if during.Processes != before.Processes+1 || during.Pss <= before.Pss || during.CPU <= before.CPU {
		t.Errorf("with a backend that worked %+v, before %+v", during, before)
	}
	if runtime.GOOS != "linux" {
		return
	}
	if during.PageTables <= before.PageTables {
		t.Errorf("page tables of %d bytes with a backend more than %d", during.PageTables, before.PageTables)
	}
	_ = conn.Close(t.Context())
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		after, err := UsageOf(d.Server.PID())
		if err != nil {
			t.Fatal(err)
		}
		if after.Processes == before.Processes && after.CPU >= during.CPU {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %+v, want the %d processes of before and no less CPU time than %v", after, before.Processes, during.CPU)
		}
	}
}

func TestClockOfPs(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0:00.05": 50 * time.Millisecond, "3:04": 184 * time.Second, "2:03:04": 7384 * time.Second, "1-00:00:01": 86401 * time.Second,
	} {
		if got, err := parseClock(text); err != nil || got != want {
			t.Errorf("parseClock(%s) = %v, %v; want %v", text, got, err, want)
		}
	}
	if _, err := parseClock("x:1"); err == nil {
		t.Error("nonsense was read")
	}
}
