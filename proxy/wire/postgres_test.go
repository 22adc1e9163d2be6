package wire

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/jackc/pgx/v5"

	"weir/internal/pgserver"
)

func TestMain(m *testing.M) { pgserver.Main(m) }

// TestCallsLargeObjectKnowsPostgreSQLsNumbers asks a server for the functions of its large object interface. All numbers below
// 10,000 are given out by hand and stay; an account that took another function for one of these would free a backend with
// somebody's state.
func TestCallsLargeObjectKnowsPostgreSQLsNumbers(t *testing.T) {
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, pgserver.ForTest(t).DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, `SELECT oid, oid::regprocedure::text, proname ~ '^lo_' OR proname IN ('loread', 'lowrite')
		FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace`)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	var oid uint32
	var name string
	var large bool
	if _, err := pgx.ForEachRow(rows, []any{&oid, &name, &large}, func() error {
		if large {
			found++
		}
		if got := CallsLargeObject(binary.BigEndian.AppendUint32(nil, oid)); got != large {
			t.Errorf("function %d, %s: large object %t, want %t", oid, name, got, large)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if found < 20 {
		t.Errorf("the server has %d functions for large objects, 20 at least were expected", found)
	}
	for _, body := range [][]byte{nil, {0, 0, 3}} {
		if CallsLargeObject(body) {
			t.Errorf("% x is no call", body)
		}
	}
}
