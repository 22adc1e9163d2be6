package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/bookstore/api"
	"weir/bookstore/store"
	"weir/internal/weirtest"
)

// refuse makes the database refuse everybody with too_many_connections, and ends the connections that there are.
func (s *shop) refuse() {
	s.t.Helper()
	s.db.Exec(s.t, "ALTER DATABASE "+s.db.Name+" CONNECTION LIMIT 0",
		"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
}

func TestFullServerIs503WithItsSQLState(t *testing.T) {
	s := directly(t)
	token := s.register("mary")
	s.refuse()
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"GET", "/books/", nil},
		{"GET", "/async_books/", nil},
		{"GET", "/authors/", nil},
		{"GET", "/profile/", nil},
		{"GET", "/books/1/image/", nil},
		{"POST", "/books/1/reviews/", map[string]any{"rating": 1, "comment": "x"}},
		{"POST", "/users/", map[string]any{"username": "jane", "password": "x"}},
		{"POST", "/login/", form("username", "mary", "password", "secret")},
	} {
		// A pool may first hand out a connection that has just died, which is another state of the same kind.
		var a answer
		for range 2*2*weirtest.PoolSize + 1 {
			if a = s.call(c.method, c.path, token, c.body); a.status != 503 || strings.Contains(a.body, "53300") {
				break
			}
		}
		if a.status != 503 || !strings.HasSuffix(a.body, `(SQLSTATE 53300)"}`) || a.header.Get("Retry-After") != "1" {
			t.Errorf("%s %s: %d %v %s, want 503 with Retry-After and 53300", c.method, c.path, a.status, a.header, a.body)
		}
	}
	if resp, err := http.Get(s.url + "/readyz"); err != nil || resp.StatusCode != 503 {
		t.Errorf("/readyz: %v, %v", resp, err)
	}
	if resp, err := http.Get(s.url + "/healthz"); err != nil || resp.StatusCode != 200 {
		t.Errorf("/healthz: %v, %v", resp, err)
	}
	if text := s.metrics(); !strings.Contains(text, `bookstore_database_unavailable_total{sqlstate="53300"}`) {
		t.Errorf("not counted:\n%s", text)
	}
}

func TestWeirsWaitTimeoutIs503WithItsSQLState(t *testing.T) {
	db := database(t)
	dsn := weirtest.For(t, db.Server).DSN(db.Name, weirtest.Hasty)
	s := open(t, db, dsn)
	// insist repeats what finds no backend: weir is hasty here, and to open one may take a busy machine longer.
	insist := func(try func() error) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; {
			err := try()
			if err == nil {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
	lists := func(path string) func() error {
		return func() error {
			if a := s.call("GET", path, "", nil); a.status != 200 || !strings.Contains(a.body, "Pride") {
				return fmt.Errorf("%s: %d %s, want 200", path, a.status, a.body)
			}
			return nil
		}
	}
	insist(lists("/books/?limit=1"))
	var holders []*pgx.Conn
	for range weirtest.PoolSize { // all backends are leased
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		insist(func() error {
			_, err := conn.Exec(t.Context(), "BEGIN")
			return err
		})
		holders = append(holders, conn)
	}
	for _, path := range []string{"/books/", "/async_books/", "/genres/1/"} {
		a := s.call("GET", path, "", nil)
		if a.status != 503 || !strings.Contains(a.body, "no backend became free") || !strings.HasSuffix(a.body, `(SQLSTATE 53300)"}`) ||
			a.header.Get("Retry-After") != "1" {
			t.Errorf("%s: %d %s, want weir's 53300", path, a.status, a.body)
		}
	}
	if _, err := holders[0].Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	insist(lists("/async_books/?limit=1"))
}

func TestServerThatComesBackIsUsedAgain(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		want(t, s.call("GET", "/books/", "", nil), 200, "Pride")
		want(t, s.call("GET", "/async_books/", "", nil), 200, "Pride")
		s.refuse()
		s.db.Exec(t, "ALTER DATABASE "+s.db.Name+" CONNECTION LIMIT -1")
		// Connections of before are dead: each costs at most one 503, and then it goes on. weir has to dial anew.
		deadline := time.Now().Add(20 * time.Second)
		for _, path := range []string{"/books/", "/async_books/"} {
			for {
				a := s.call("GET", path, "", nil)
				if a.status == 200 {
					break
				}
				if a.status != 503 || time.Now().After(deadline) {
					t.Fatalf("%s: %d %s", path, a.status, a.body)
				}
				time.Sleep(5 * time.Millisecond)
			}
		}
	})
}

// slowReader takes the header of an answer and leaves the rest.
type slowReader struct {
	http.ResponseWriter
	header  chan struct{} // closed when the answer begins
	proceed chan struct{} // closed when it may go on
}

func (w slowReader) WriteHeader(status int) {
	w.ResponseWriter.WriteHeader(status)
	close(w.header)
	<-w.proceed
}

// TestConnectionIsGivenBackBeforeTheAnswerUnlessHeld asks for a listing that nobody takes, and looks whether the
// database has the transaction still open.
func TestConnectionIsGivenBackBeforeTheAnswerUnlessHeld(t *testing.T) {
	for name, hold := range map[string]func(context.Context) (context.Context, func()){"given back": nil, "held": store.Hold} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/books/", "/async_books/"} {
				db := database(t)
				var handler http.Handler
				s := open(t, db, db.DSN(role), func(o *api.Options) {
					o.Hold = hold
					handler = api.New(*o).Handler()
				})
				w := slowReader{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
				done := make(chan struct{})
				go func() {
					defer close(done)
					handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
				}()
				<-w.header
				open := s.transactions()
				close(w.proceed)
				<-done
				if want := map[bool]int{false: 0, true: 1}[hold != nil]; open != want {
					t.Errorf("%s: %d transactions are open while the answer is written, want %d", path, open, want)
				}
				if open := s.transactions(); open != 0 {
					t.Errorf("%s: %d transactions are open after the answer", path, open)
				}
			}
		})
	}
}

// transactions counts those that clients have open and do nothing in.
func (s *shop) transactions() (n int) {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.db.DSN())
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	err = conn.QueryRow(s.t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'").Scan(&n)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}
