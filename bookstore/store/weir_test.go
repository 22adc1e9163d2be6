package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/bookstore"
	"weir/bookstore/store"
	"weir/internal/pgserver"
	"weir/internal/weirtest"
)

// ways are DSNs of one fresh database: directly, and through weir in transaction mode.
func ways(t *testing.T, test func(t *testing.T, db *pgserver.Database, dsn string)) {
	for _, way := range []string{"direct", "weir"} {
		t.Run(way, func(t *testing.T) {
			db := owned(t)
			dsn := db.DSN(role)
			if way == "weir" {
				dsn = weirtest.For(t, db.Server).DSN(db.Name, role)
			}
			test(t, db, dsn)
		})
	}
}

// one reads a single value as superuser.
func one[T any](t *testing.T, db *pgserver.Database, query string) (v T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func TestProcessesThatStartAtOnceAgree(t *testing.T) {
	ways(t, func(t *testing.T, db *pgserver.Database, dsn string) {
		const processes = 8
		errs := make([]error, processes)
		var wg sync.WaitGroup
		for i := range processes {
			s := openOn(t, dsn, fmt.Sprint("p", i))
			wg.Go(func() {
				errs[i] = errors.Join(s.Migrate(t.Context()), s.Seed(t.Context(), store.Seeding{Books: 4, Users: 2}))
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		for query, want := range map[string]int{
			"SELECT count(*) FROM books":                                4,
			"SELECT count(*) FROM book_files":                           4,
			"SELECT count(*) FROM users":                                2,
			"SELECT count(*) FROM reviews":                              8,
			"SELECT count(*) FROM schema_migrations WHERE version_id>0": countMigrations(t),
			// Nothing is left that would wait for, or hold, anybody.
			"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'": 0,
			"SELECT count(*) FROM schema_migrations_lock WHERE locked":  0,
			"SELECT max(id) - count(*) FROM books":                      0,
			"SELECT count(*) FROM pg_class WHERE relname LIKE 'goose%'": 0,
		} {
			if got := one[int](t, db, query); got != want {
				t.Errorf("%s: %d, want %d", query, got, want)
			}
		}
	})
}

func countMigrations(t *testing.T) int {
	t.Helper()
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d migrations, %v", len(files), err)
	}
	return len(files)
}

// A process that dies while it migrates must not keep the others out for ever, nor be ignored while it lives.
func TestMigrationWaitsForALeaseAndOutlivesADeadHolder(t *testing.T) {
	ways(t, func(t *testing.T, db *pgserver.Database, dsn string) {
		name := "waits_" + db.Name[:3]
		s := openOn(t, dsn, name)
		// As goose makes it, with its own number, and somebody in it.
		db.Exec(t, "SET ROLE "+role+`; CREATE TABLE schema_migrations_lock (lock_id bigint PRIMARY KEY, locked boolean NOT NULL DEFAULT false,
			locked_at timestamptz, locked_by text, lease_expires_at timestamptz, updated_at timestamptz)`,
			`INSERT INTO schema_migrations_lock VALUES (4097083626, true, now(), 'the dead', now() + interval '1 hour', now())`)
		done := make(chan error, 1)
		go func() { done <- s.Migrate(t.Context()) }()
		// It has asked for the lock and been told no when its attempts show up in the server's log.
		eventually(t, func() bool {
			return strings.Count(db.Server.Log(), name+": LOG:  statement: INSERT INTO schema_migrations_lock") > 3
		})
		select {
		case err := <-done:
			t.Fatalf("it did not wait: %v", err)
		default:
		}
		db.Exec(t, `UPDATE schema_migrations_lock SET lease_expires_at = now() - interval '1 second'`)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := one[int](t, db, "SELECT count(*) FROM schema_migrations WHERE version_id > 0"); n != countMigrations(t) {
			t.Errorf("%d migrations", n)
		}
	})
}

func eventually(t *testing.T, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come true")
		}
	}
}

func TestMigrationsGoBothWays(t *testing.T) {
	db := owned(t)
	s := openOn(t, db.DSN(role), "down")
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	tables := one[string](t, db, "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE 'schema%'")
	files, _ := filepath.Glob("migrations/*.sql")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, down, found := strings.Cut(string(b), "-- +goose Down\n")
		if !found {
			t.Fatalf("%s has no way back", file)
		}
		db.Exec(t, down)
	}
	if left := one[int](t, db, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE 'schema%'"); left != 0 {
		t.Errorf("%d tables are left of %s", left, tables)
	}
}

// TestEveryForeignKeyHasAnIndexThatLeadsBack: without one, deleting a row reads the whole table that refers to it.
func TestEveryForeignKeyHasAnIndexThatLeadsBack(t *testing.T) {
	db := owned(t)
	if err := openOn(t, db.DSN(role), "keys").Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	bare := one[*string](t, db, `SELECT string_agg(c.conrelid::regclass || '.' || c.conname, ' ') FROM pg_constraint c
		WHERE c.contype = 'f' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1])`)
	if bare != nil {
		t.Errorf("without an index: %s", *bare)
	}
	if n := one[int](t, db, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"); n < 13 {
		t.Errorf("%d foreign keys, want all relations", n)
	}
}

func TestBothShapesThroughWeirAreStatementForStatementTheOriginals(t *testing.T) {
	ways(t, func(t *testing.T, db *pgserver.Database, dsn string) {
		name := "shape_" + db.Name[:3]
		s := openOn(t, dsn, name)
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Seed(t.Context(), store.Seeding{Books: 20}); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time the statement has been prepared
			mark := len(db.Server.Log())
			if n := len(list(t, s.Books, bookstore.Page{Limit: 100})); n != 20 {
				t.Errorf("%d books", n)
			}
			simple, extended := statements(db, name, mark)
			want := append(append([]string{"BEGIN"}, repeat("SELECT", 41)...), "ROLLBACK")
			if asJSON(t, simple) != asJSON(t, want) || len(extended) != 0 {
				t.Errorf("/books/: %d simple statements %v and %d extended, want BEGIN, 41 SELECTs, ROLLBACK, all simple", len(simple), simple, len(extended))
			}

			mark = len(db.Server.Log())
			if n := len(list(t, s.Joined, bookstore.Page{})); n != 20 {
				t.Errorf("%d books", n)
			}
			simple, extended = statements(db, name, mark)
			if asJSON(t, simple) != `["BEGIN","COMMIT"]` || len(extended) != 1 || strings.HasPrefix(extended[0], "execute <unnamed>") {
				t.Errorf("/async_books/: %v and %q, want BEGIN, one execution of a named statement, COMMIT", simple, extended)
			}
		}
	})
}

// TestManyProcessesShareTheirNamedStatements: names recur in every process, and through weir all of them run on three
// backends.
func TestManyProcessesShareTheirNamedStatements(t *testing.T) {
	db := owned(t)
	dsn := weirtest.For(t, db.Server).DSN(db.Name, role)
	first := openOn(t, dsn, "n0")
	if err := first.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := first.Seed(t.Context(), store.Seeding{Books: 20}); err != nil {
		t.Fatal(err)
	}
	want := asJSON(t, list(t, first.Joined, bookstore.Page{}))
	var wg sync.WaitGroup
	for i := range 4 {
		s := openOn(t, dsn, fmt.Sprint("n", i+1))
		for range 5 {
			wg.Go(func() {
				for range 10 {
					books, err := s.Joined(t.Context(), bookstore.Page{})
					if err != nil || len(books) != 20 {
						t.Errorf("%d books, %v", len(books), err)
						return
					}
					if got := string(bookstore.AppendBooks(nil, books)); got != want {
						t.Errorf("another list: %s", got)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	if n := one[int](t, db, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = '"+role+"'"); n > weirtest.PoolSize {
		t.Errorf("%d backends, want at most %d", n, weirtest.PoolSize)
	}
}
