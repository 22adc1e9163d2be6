package api_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/bookstore/api"
	"weir/bookstore/store"
	"weir/internal/pgserver"
)

func TestMain(m *testing.M) { pgserver.Main(m) }

// shop is the API on a seeded database of its own.
func shop(t *testing.T) (*httptest.Server, *pgserver.Database) {
	t.Helper()
	db := pgserver.ForTest(t)
	s := serve(t, db.DSN(), time.Minute)
	return s, db
}

func serve(t *testing.T, dsn string, timeout time.Duration) *httptest.Server {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{DSN: dsn, SyncConns: 2, AsyncConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	if err := st.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := st.Seed(t.Context(), store.Seeding{Books: 20}); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(api.New(st, slog.New(slog.NewTextHandler(t.Output(), nil)), timeout).Handler())
	t.Cleanup(srv.Close)
	return srv
}

func request(t *testing.T, method, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	// A redirect is an answer, not something to follow.
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestPathsAnswerWithAndWithoutTheirSlash(t *testing.T) {
	srv, _ := shop(t)
	for _, path := range []string{"/books", "/async_books", "/authors"} {
		resp1, body1 := request(t, "GET", srv.URL+path)
		resp2, body2 := request(t, "GET", srv.URL+path+"/")
		if resp1.StatusCode != 200 || resp2.StatusCode != 200 || body1 != body2 {
			t.Errorf("%s: %d %s\n%s/: %d %s", path, resp1.StatusCode, body1, path, resp2.StatusCode, body2)
		}
		if got := resp1.Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("%s: Content-Type %q", path, got)
		}
	}
}

func TestListings(t *testing.T) {
	srv, _ := shop(t)
	for _, c := range []struct {
		path, first string
		count       int
	}{
		{"/books/", "Pride and Prejudice", 20},
		{"/books/?skip=18", "The Age of Innocence", 2},
		{"/books/?skip=2&limit=3", "Moby-Dick", 3},
		{"/async_books/", "Pride and Prejudice", 20},
		{"/async_books/?skip=2&limit=3", "Moby-Dick", 3},
		{"/async_books/?skip=20", "", 0},
		{"/authors/", "Jane Austen", 20},
		{"/authors/?limit=1&skip=1", "Mary Shelley", 1},
	} {
		resp, body := request(t, "GET", srv.URL+c.path)
		var rows []struct{ Title, Name string }
		if err := json.Unmarshal([]byte(body), &rows); err != nil || resp.StatusCode != 200 {
			t.Errorf("%s: %d %s (%v)", c.path, resp.StatusCode, body, err)
			continue
		}
		first := ""
		if len(rows) > 0 {
			first = rows[0].Title + rows[0].Name
		}
		if len(rows) != c.count || first != c.first {
			t.Errorf("%s: %d rows from %q, want %d from %q", c.path, len(rows), first, c.count, c.first)
		}
	}
	_, chatty := request(t, "GET", srv.URL+"/books/")
	_, joined := request(t, "GET", srv.URL+"/async_books/")
	if chatty != joined {
		t.Errorf("the two listings differ\n%s\n%s", chatty, joined)
	}
}

func TestErrorsAreJSONWithADetail(t *testing.T) {
	srv, _ := shop(t)
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/", 200, `{"detail":"The bookstore is open"}`},
		{"GET", "/nowhere", 404, `{"detail":"Not Found"}`},
		{"GET", "/books/x/y", 404, `{"detail":"Not Found"}`},
		{"DELETE", "/books/", 405, `{"detail":"Method Not Allowed"}`},
		{"HEAD", "/books/", 200, ""},
		{"GET", "/books/?skip=-1", 422, `{"detail":[{"loc":["query","skip"],"msg":"must be a whole number from 0 to 2147483647","type":"value_error"}]}`},
		{"GET", "/async_books/?limit=0&skip=x", 422, `{"detail":[{"loc":["query","skip"],"msg":"must be a whole number from 0 to 2147483647","type":"value_error"},` +
			`{"loc":["query","limit"],"msg":"must be a whole number from 1 to 200","type":"value_error"}]}`},
		{"GET", "/authors/?limit=201", 422, `{"detail":[{"loc":["query","limit"],"msg":"must be a whole number from 1 to 200","type":"value_error"}]}`},
	} {
		resp, body := request(t, c.method, srv.URL+c.path)
		if resp.StatusCode != c.status || body != c.body {
			t.Errorf("%s %s: %d %s\nwant %d %s", c.method, c.path, resp.StatusCode, body, c.status, c.body)
		}
	}
	if resp, _ := request(t, "POST", srv.URL+"/authors"); resp.Header.Get("Allow") != "GET" {
		t.Errorf("Allow: %q, want GET", resp.Header.Get("Allow"))
	}
}

func TestDatabaseAwayIs503WithItsSQLState(t *testing.T) {
	db := pgserver.ForTest(t)
	role := db.Name + "_role"
	db.Exec(t, "CREATE ROLE "+role+" LOGIN", "ALTER DATABASE "+db.Name+" OWNER TO "+role)
	t.Cleanup(func() {
		_ = db.Server.Exec(context.Background(), db.Name, "REASSIGN OWNED BY "+role+" TO CURRENT_USER", "DROP OWNED BY "+role, "DROP ROLE "+role)
	})
	srv := serve(t, db.DSN(role), time.Minute)
	// The connections that the pools hold end, and no new one is let in.
	db.Exec(t, "ALTER ROLE "+role+" CONNECTION LIMIT 0",
		"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = '"+role+"'")
	for _, path := range []string{"/books/", "/async_books/", "/authors/"} {
		// The async pool may first hand out a connection that has just died, which is another state of the same kind.
		var resp *http.Response
		var body string
		for range 3 {
			resp, body = request(t, "GET", srv.URL+path)
			if strings.Contains(body, "53300") {
				break
			}
		}
		if resp.StatusCode != 503 || !strings.Contains(body, "(SQLSTATE 53300)") || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %v %s, want 503 with Retry-After and 53300", path, resp.StatusCode, resp.Header, body)
		}
	}
}

func TestRequestThatTakesTooLongIs503(t *testing.T) {
	db := pgserver.ForTest(t)
	srv := serve(t, db.DSN(), 100*time.Millisecond)
	conn, err := pgx.Connect(t.Context(), db.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background()) // ends its transaction, and so the lock
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE books IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/books/", "/async_books/"} {
		resp, body := request(t, "GET", srv.URL+path)
		if resp.StatusCode != 503 || body != `{"detail":"database unavailable: no answer in time"}` {
			t.Errorf("%s: %d %s, want 503", path, resp.StatusCode, body)
		}
	}
}
