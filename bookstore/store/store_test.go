package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"weir/bookstore"
	"weir/bookstore/store"
	"weir/internal/pgserver"
	"weir/internal/weirtest"
)

func TestMain(m *testing.M) {
	// Every statement that reaches the server is in its log, after the name of who sent it.
	pgserver.SharedOptions.Settings = map[string]string{"log_statement": "all", "log_line_prefix": "%a: "}
	pgserver.Main(weirtest.Then{Tests: m})
}

// open gives a store on a database of its own, as a role that may not do more than a database's owner.
func open(t *testing.T, name string) *store.Store {
	t.Helper()
	return openOn(t, database(t), name)
}

// role is the shop's: no superuser.
const role = "shop"

func database(t *testing.T) (dsn string) { return owned(t).DSN(role) }

// owned is a fresh database that belongs to role.
func owned(t *testing.T) *pgserver.Database {
	t.Helper()
	db := pgserver.ForTest(t)
	db.Exec(t,
		`DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'shop') THEN CREATE ROLE shop LOGIN; END IF; END $$`,
		"ALTER DATABASE "+db.Name+" OWNER TO "+role)
	return db
}

func openOn(t *testing.T, dsn, name string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{DSN: dsn + "&application_name=" + name, SyncConns: 5, AsyncConns: 5})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func seeded(t *testing.T, name string) *store.Store {
	t.Helper()
	s := open(t, name)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Seed(t.Context(), store.Seeding{Books: 20}); err != nil {
		t.Fatal(err)
	}
	return s
}

func list(t *testing.T, do func(context.Context, bookstore.Page) ([]bookstore.Book, error), page bookstore.Page) []bookstore.Book {
	t.Helper()
	books, err := do(t.Context(), page)
	if err != nil {
		t.Fatal(err)
	}
	return books
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestBothShapesListTheSameBooks(t *testing.T) {
	s := seeded(t, "both")
	for _, page := range []bookstore.Page{{}, {Limit: 7}, {Skip: 5, Limit: 3}, {Skip: 18}, {Skip: 20, Limit: 1}} {
		chatty, joined := asJSON(t, list(t, s.Books, page)), asJSON(t, list(t, s.Joined, page))
		if chatty != joined {
			t.Errorf("page %+v\nBooks  %s\nJoined %s", page, chatty, joined)
		}
	}
	all := list(t, s.Joined, bookstore.Page{})
	if len(all) != 20 {
		t.Fatalf("%d books, want 20", len(all))
	}
	// Two authors and several genres: the join's rows are folded, not repeated.
	want := `{"title":"Children's and Household Tales","description":"What was told by the fire, collected by two brothers.",` +
		`"language":"German","price":0,"publication_date":"1812-12-20","isbn":null,"id":17,"avg_rating":null,` +
		`"authors":[{"name":"Jacob Grimm","id":16},{"name":"Wilhelm Grimm","id":17}],` +
		`"genres":[{"name":"children","id":8},{"name":"fantasy","id":9}]}`
	if got := asJSON(t, all[16]); got != want {
		t.Errorf("book 17\ngot  %s\nwant %s", got, want)
	}
}

func TestBooksWithoutAuthorsOrGenresAreListed(t *testing.T) {
	db := pgserver.ForTest(t)
	s := openOn(t, db.DSN(), "lonely")
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	db.Exec(t,
		"INSERT INTO books (title, price, publication_date) VALUES ('bare', 1.5, '2021-10-05'), ('kind', 0, '2021-10-05')",
		"INSERT INTO genres (name) VALUES ('g'), ('h')", "INSERT INTO book_genres SELECT 2, id FROM genres")
	want := `[{"title":"bare","description":null,"language":null,"price":1.5,"publication_date":"2021-10-05","isbn":null,` +
		`"id":1,"avg_rating":null,"authors":[],"genres":[]},{"title":"kind","description":null,"language":null,"price":0,` +
		`"publication_date":"2021-10-05","isbn":null,"id":2,"avg_rating":null,"authors":[],"genres":[{"name":"g","id":1},{"name":"h","id":2}]}]`
	if got := asJSON(t, list(t, s.Books, bookstore.Page{})); got != want {
		t.Errorf("Books %s", got)
	}
	if got := asJSON(t, list(t, s.Joined, bookstore.Page{})); got != want {
		t.Errorf("Joined %s", got)
	}
}

func TestSeedingAgainChangesNothing(t *testing.T) {
	s := seeded(t, "again")
	before := asJSON(t, list(t, s.Joined, bookstore.Page{}))
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Seed(t.Context(), store.Seeding{Books: 20}); err != nil {
		t.Fatal(err)
	}
	if after := asJSON(t, list(t, s.Joined, bookstore.Page{})); after != before {
		t.Errorf("after the second seed\n%s\nbefore\n%s", after, before)
	}
	other := seeded(t, "other")
	if elsewhere := asJSON(t, list(t, other.Joined, bookstore.Page{})); elsewhere != before {
		t.Errorf("in another database\n%s\nhere\n%s", elsewhere, before)
	}
}

// statements are those of a client in what the server has logged since its log was mark long: of simple ones the first word.
// A pool's look whether a connection that lay idle for a second still lives ("-- ping") is not counted.
func statements(db *pgserver.Database, client string, mark int) (simple, extended []string) {
	for line := range strings.Lines(db.Server.Log()[mark:]) {
		rest, ok := strings.CutPrefix(line, client+": LOG:  ")
		if !ok {
			continue
		}
		if sql, ok := strings.CutPrefix(rest, "statement: "); ok && !strings.HasPrefix(sql, "-- ping") && !isWeirs(sql) {
			simple = append(simple, strings.ToUpper(strings.Fields(sql)[0]))
		} else if strings.HasPrefix(rest, "execute ") {
			extended = append(extended, strings.TrimSpace(rest))
		}
	}
	return simple, extended
}

// isWeirs reports whether a statement is one that weir runs between clients, to find out what state a session is in and to begin it anew.
func isWeirs(sql string) bool {
	return strings.Contains(sql, "pg_catalog.") || strings.HasPrefix(sql, "SET statement_timeout TO 0") || strings.HasPrefix(sql, "SET SESSION AUTHORIZATION DEFAULT;")
}

func repeat(s string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = s
	}
	return list
}

func TestFullHouseIsUnavailableWithItsSQLState(t *testing.T) {
	db := pgserver.ForTest(t)
	db.Exec(t, "CREATE ROLE "+db.Name+" LOGIN CONNECTION LIMIT 0")
	t.Cleanup(func() { _ = db.Server.Exec(context.Background(), "postgres", "DROP ROLE "+db.Name) })
	full := openOn(t, db.DSN(db.Name), "full")
	nowhere := openOn(t, "postgres://x@127.0.0.1:1/x?sslmode=disable", "nowhere")
	for _, c := range []struct {
		name  string
		store *store.Store
		state string
	}{{"full", full, "53300"}, {"away", nowhere, "08001"}} {
		_, err1 := c.store.Books(t.Context(), bookstore.Page{})
		_, err2 := c.store.Joined(t.Context(), bookstore.Page{})
		_, err3 := c.store.Authors(t.Context(), bookstore.Page{})
		for i, err := range []error{err1, err2, err3} {
			var e *bookstore.Error
			if !errors.As(err, &e) || e.Code != bookstore.Unavailable || e.SQLState != c.state || !strings.Contains(e.Detail, c.state) {
				t.Errorf("%s, call %d: %v, want unavailable with %s in its detail", c.name, i+1, err, c.state)
			}
		}
	}
}

func TestWrongPasswordIsNotWaitedFor(t *testing.T) {
	s := openOn(t, pgserver.ForTest(t).DSN("nobody_of_this_name"), "stranger")
	err := s.WaitAndMigrate(t.Context(), time.Hour)
	if err == nil || os.IsTimeout(err) {
		t.Errorf("WaitAndMigrate as an unknown role: %v, want its refusal at once", err)
	}
}
