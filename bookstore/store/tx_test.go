package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"weir/bookstore"
	"weir/bookstore/store"
	"weir/internal/pgserver"
)

// stocked opens a store on a database with a few books.
func stocked(t *testing.T, db *pgserver.Database, dsn, name string) *store.Store {
	t.Helper()
	s := openOn(t, dsn, name)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Seed(t.Context(), store.Seeding{Books: 6, Admin: "admin", AdminPassword: "x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Register(t.Context(), bookstore.NewUser{Username: "mary", Password: "secret"}); err != nil {
		t.Fatal(err)
	}
	return s
}

var (
	mary  = bookstore.Caller{Username: "mary"}
	admin = bookstore.Caller{Username: "admin"}
)

// TestEveryRequestIsOneTransaction looks at what the server sees of each method of the shop.
func TestEveryRequestIsOneTransaction(t *testing.T) {
	ways(t, func(t *testing.T, db *pgserver.Database, dsn string) {
		name := "single_" + db.Name[:3]
		s := stocked(t, db, dsn, name)
		ctx := t.Context()
		var order *bookstore.Order
		day := bookstore.Day(2021, 10, 5)
		comment := "changed"
		for _, c := range []struct {
			method string
			end    string
			do     func() error
		}{
			{"Book", "ROLLBACK", func() error { _, err := s.Book(ctx, 1); return err }},
			{"Cover", "ROLLBACK", func() error { _, err := s.Cover(ctx, 1, ""); return err }},
			{"Author", "ROLLBACK", func() error { _, err := s.Author(ctx, 1); return err }},
			{"AuthorBooks", "ROLLBACK", func() error { _, err := s.AuthorBooks(ctx, 1, bookstore.Page{}); return err }},
			{"Authors", "ROLLBACK", func() error { _, err := s.Authors(ctx, bookstore.Page{}); return err }},
			{"Genre", "ROLLBACK", func() error { _, err := s.Genre(ctx, 1); return err }},
			{"GenreBooks", "ROLLBACK", func() error { _, err := s.GenreBooks(ctx, 1, bookstore.Page{}); return err }},
			{"Genres", "ROLLBACK", func() error { _, err := s.Genres(ctx, bookstore.Page{}); return err }},
			{"Register", "COMMIT", func() error {
				_, err := s.Register(ctx, bookstore.NewUser{Username: "jane", Password: "x"})
				return err
			}},
			{"Login", "ROLLBACK", func() error { _, err := s.Login(ctx, "mary", "secret"); return err }},
			{"Profile", "ROLLBACK", func() error { _, err := s.Profile(ctx, mary); return err }},
			{"Users", "ROLLBACK", func() error { _, err := s.Users(ctx, admin, bookstore.Page{}); return err }},
			{"User", "ROLLBACK", func() error { _, err := s.User(ctx, admin, "mary"); return err }},
			{"CreateReview", "COMMIT", func() error {
				_, err := s.CreateReview(ctx, mary, 1, bookstore.NewReview{Rating: 3, Comment: "x"})
				return err
			}},
			{"UpdateReview", "COMMIT", func() error {
				_, err := s.UpdateReview(ctx, mary, 1, bookstore.ReviewChange{Comment: &comment})
				return err
			}},
			{"Reviews", "ROLLBACK", func() error { _, err := s.Reviews(ctx, 1, bookstore.Page{}); return err }},
			{"DeleteReview", "COMMIT", func() error { return s.DeleteReview(ctx, mary, 1) }},
			{"AddWish", "COMMIT", func() error { return s.AddWish(ctx, mary, 1) }},
			{"Wishlist", "ROLLBACK", func() error { _, err := s.Wishlist(ctx, mary); return err }},
			{"RemoveWish", "COMMIT", func() error { return s.RemoveWish(ctx, mary, 1) }},
			{"CreateOrder", "COMMIT", func() (err error) { order, err = s.CreateOrder(ctx, mary, []int64{1, 2}); return err }},
			{"CaptureOrder", "COMMIT", func() error { _, err := s.CaptureOrder(ctx, order.OrderID); return err }},
			{"Orders", "ROLLBACK", func() error { _, err := s.Orders(ctx, admin, bookstore.Page{}); return err }},
			{"Library", "ROLLBACK", func() error { _, err := s.Library(ctx, mary); return err }},
			{"Text", "ROLLBACK", func() error { _, err := s.Text(ctx, mary, 1); return err }},
			{"CreateAuthor", "COMMIT", func() error { _, err := s.CreateAuthor(ctx, admin, "x"); return err }},
			{"DeleteAuthor", "COMMIT", func() error { return s.DeleteAuthor(ctx, admin, 1) }},
			{"DeleteGenre", "COMMIT", func() error { return s.DeleteGenre(ctx, admin, 1) }},
			{"CreateBook", "COMMIT", func() error {
				_, err := s.CreateBook(ctx, admin, bookstore.NewBook{Title: "x", PublicationDate: day, Authors: []string{"x"}})
				return err
			}},
			{"UpdateBook", "COMMIT", func() error {
				_, err := s.UpdateBook(ctx, admin, 1, bookstore.BookChange{PublicationDate: &day, File: []byte("%PDF-")})
				return err
			}},
			{"DeleteBook", "COMMIT", func() error { return s.DeleteBook(ctx, admin, 1) }},
		} {
			mark := len(db.Server.Log())
			if err := c.do(); err != nil {
				t.Errorf("%s: %v", c.method, err)
				continue
			}
			simple, extended := statements(db, name, mark)
			begins := strings.Count(strings.Join(simple, " "), "BEGIN")
			if len(simple) < 3 || begins != 1 || simple[0] != "BEGIN" || simple[len(simple)-1] != c.end || len(extended) != 0 {
				t.Errorf("%s: %v, %v, want one transaction that ends in %s", c.method, simple, extended, c.end)
			}
		}
	})
}

// giveUp makes the server give up the next n transactions that write a review, as it does with those that it cannot
// put in order. The sequence counts across transactions that are undone.
func giveUp(t *testing.T, db *pgserver.Database, n int, code string) {
	t.Helper()
	db.Exec(t, "CREATE SEQUENCE IF NOT EXISTS given_up", "ALTER SEQUENCE given_up RESTART", "GRANT ALL ON SEQUENCE given_up TO "+role,
		fmt.Sprintf(`CREATE OR REPLACE FUNCTION give_up() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN IF nextval('given_up') <= %d THEN RAISE 'given up' USING ERRCODE = '%s'; END IF; RETURN NEW; END $$`, n, code),
		"CREATE OR REPLACE TRIGGER give_up BEFORE INSERT ON reviews FOR EACH ROW EXECUTE FUNCTION give_up()")
}

func TestTransactionGivenUpIsTriedAgainSoOften(t *testing.T) {
	ways(t, func(t *testing.T, db *pgserver.Database, dsn string) {
		s := stocked(t, db, dsn, "again")
		registry := prometheus.NewRegistry()
		registry.MustRegister(s)
		if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
			t.Errorf("metrics: %v, %v", problems, err)
		}
		retries := 0
		for i, c := range []struct {
			code    string
			fails   int
			succeed bool
		}{{"40001", 5, true}, {"40P01", 5, true}, {"40001", 6, false}, {"23514", 1, false}} {
			giveUp(t, db, c.fails, c.code)
			_, err := s.CreateReview(t.Context(), mary, int64(i+1), bookstore.NewReview{Rating: 4, Comment: "x"})
			if (err == nil) != c.succeed {
				t.Errorf("%d times %s: %v", c.fails, c.code, err)
			}
			switch c.code {
			case "40001", "40P01":
				retries += min(c.fails, 5)
				if err != nil && (!bookstore.Is(err, bookstore.Unavailable) || !strings.Contains(err.Error(), c.code)) {
					t.Errorf("%d times %s: %v, want it unavailable", c.fails, c.code, err)
				}
			default:
				if bookstore.Is(err, bookstore.Unavailable) {
					t.Errorf("%s: %v, want a fault", c.code, err)
				}
			}
			want := fmt.Sprintf("# HELP bookstore_transaction_retries_total Transactions begun again because of a serialisation failure or a deadlock.\n"+
				"# TYPE bookstore_transaction_retries_total counter\nbookstore_transaction_retries_total %d\n", retries)
			if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "bookstore_transaction_retries_total"); err != nil {
				t.Errorf("%d times %s: %v", c.fails, c.code, err)
			}
		}
		if n := one[int](t, db, "SELECT count(*) FROM reviews"); n != 2 {
			t.Errorf("%d reviews, want the two that succeeded", n)
		}
	})
}

// A real deadlock, not a raised one: two transactions lock the same two rows in opposite order. The server looks for one
// when a wait has lasted for deadlock_timeout, and gives up whoever finds it, which shall be ours.
func TestDeadlockIsNobodysError(t *testing.T) {
	db := owned(t)
	db.Exec(t, "ALTER ROLE "+role+" IN DATABASE "+db.Name+" SET deadlock_timeout = '1s'",
		"ALTER ROLE "+db.Server.Superuser()+" IN DATABASE "+db.Name+" SET deadlock_timeout = '1min'")
	s := stocked(t, db, db.DSN(role), "deadlock")
	for range 3 { // on a machine that is too busy the other one finds it first
		if deadlock(t, db, s) {
			return
		}
	}
	t.Error("ours was never given up")
}

// deadlock makes one, and reports whether the store's transaction was the one that the server gave up.
func deadlock(t *testing.T, db *pgserver.Database, s *store.Store) bool {
	t.Helper()
	mark := len(db.Server.Log())
	other, err := pgx.Connect(t.Context(), db.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.Background())
	if _, err := other.Exec(t.Context(), "BEGIN; UPDATE book_files SET file = file WHERE book_id = 1"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		title := "Pride"
		_, err := s.UpdateBook(t.Context(), admin, 1, bookstore.BookChange{Title: &title, File: []byte("%PDF-")})
		done <- err
	}()
	eventually(t, func() bool {
		return one[int](t, db, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") == 1
	})
	_, err = other.Exec(t.Context(), "UPDATE books SET title = title WHERE id = 1; COMMIT")
	if err := <-done; err != nil {
		t.Error(err)
	}
	return err == nil && strings.Contains(db.Server.Log()[mark:], "deadlock: ERROR:  deadlock detected")
}

func TestBlobsMakeTheOriginalsTraffic(t *testing.T) {
	db := owned(t)
	stocked(t, db, db.DSN(role), "blobs")
	lean := openOn(t, db.DSN(role), "lean")
	fat, err := store.Open(t.Context(), store.Options{DSN: db.DSN(role) + "&application_name=fat", SyncConns: 1, AsyncConns: 1, Blobs: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fat.Close)
	for name, c := range map[string][2]func(context.Context, bookstore.Page) ([]bookstore.Book, error){
		"Books": {lean.Books, fat.Books}, "Joined": {lean.Joined, fat.Joined},
	} {
		without, with := asJSON(t, list(t, c[0], bookstore.Page{})), asJSON(t, list(t, c[1], bookstore.Page{}))
		if without != with {
			t.Errorf("%s: blobs show\n%s\n%s", name, with, without)
		}
	}
	log := db.Server.Log()
	for _, client := range []string{"lean", "fat"} {
		fetched := 0
		for line := range strings.Lines(log) {
			if strings.HasPrefix(line, client+": LOG:") && strings.Contains(line, ".image, ") {
				fetched++
			}
		}
		if want := map[string]int{"lean": 0, "fat": 2}[client]; fetched != want {
			t.Errorf("%s: %d listings fetched blobs, want %d", client, fetched, want)
		}
	}
}

// TestOneConnectionIsEnough: nothing that a request does takes a second connection while it holds one.
func TestOneConnectionIsEnough(t *testing.T) {
	ways(t, func(t *testing.T, db *pgserver.Database, dsn string) {
		s, err := store.Open(t.Context(), store.Options{DSN: dsn, SyncConns: 1, AsyncConns: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Seed(t.Context(), store.Seeding{Books: 3, Users: 2, UserPassword: "pass", Admin: "admin", AdminPassword: "x"}); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := s.Books(t.Context(), bookstore.Page{}); err != nil {
					t.Error(err)
				}
				order, err := s.CreateOrder(t.Context(), bookstore.Caller{}, []int64{1, 3})
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := s.CaptureOrder(t.Context(), order.OrderID); err != nil {
					t.Error(err)
				}
				if _, err := s.Orders(t.Context(), admin, bookstore.Page{}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

func TestSeedMakesWhoItIsTold(t *testing.T) {
	db := owned(t)
	s := openOn(t, db.DSN(role), "who")
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Ada is a customer already when the seed wants a reader of that name.
	if _, err := s.Register(t.Context(), bookstore.NewUser{Username: "Ada", Password: "her own"}); err != nil {
		t.Fatal(err)
	}
	seed := func(what store.Seeding) {
		t.Helper()
		if err := s.Seed(t.Context(), what); err != nil {
			t.Fatal(err)
		}
	}
	seed(store.Seeding{Books: 20, Users: 4, Admin: "admin"})
	if n := one[int](t, db, "SELECT count(*) FROM users WHERE is_admin"); n != 0 {
		t.Errorf("%d administrators without a password", n)
	}
	if _, err := s.Login(t.Context(), "boris", "!"); !bookstore.Is(err, bookstore.Unauthenticated) {
		t.Errorf("a reader without a password logs in: %v", err)
	}
	if n := one[int](t, db, "SELECT count(*) FROM reviews r JOIN users u ON u.id = r.user_id WHERE u.username = 'Ada'"); n != 0 {
		t.Errorf("the seed speaks for a customer: %d reviews", n)
	}
	wrong := one[int](t, db, `SELECT count(*) FROM books b
		WHERE avg_rating IS DISTINCT FROM (SELECT avg(rating)::float8 FROM reviews WHERE book_id = b.id)`)
	if rated := one[int](t, db, "SELECT count(*) FROM reviews"); wrong != 0 || rated != 24 {
		t.Errorf("%d reviews, %d wrong averages", rated, wrong)
	}

	for _, password := range []string{"first", "first", "second"} {
		seed(store.Seeding{Books: 20, Users: 4, Admin: "keeper", AdminPassword: password})
		if u, err := s.Login(t.Context(), "keeper", password); err != nil || !u.IsAdmin {
			t.Errorf("log in with %q: %+v, %v", password, u, err)
		}
	}
	if err := s.Seed(t.Context(), store.Seeding{Admin: "k", AdminPassword: "x"}); err == nil || !strings.Contains(err.Error(), "username must have at least 3 characters") {
		t.Errorf("an administrator of one letter: %v", err)
	}
	seed(store.Seeding{Books: 60})
	if n := one[int](t, db, "SELECT count(*) FROM books b JOIN book_files f ON f.book_id = b.id WHERE f.image_tag <> ''"); n != 60 {
		t.Errorf("%d books with covers, want 60", n)
	}
}

func TestSuperuserIsFoundOut(t *testing.T) {
	db := owned(t)
	for dsn, want := range map[string]bool{db.DSN(role): false, db.DSN(): true} {
		if yes, err := openOn(t, dsn, "super").Superuser(t.Context()); err != nil || yes != want {
			t.Errorf("%s: %v, %v", dsn, yes, err)
		}
	}
}
