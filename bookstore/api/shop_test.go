package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/jackc/pgx/v5"

	"weir/bookstore/api"
	"weir/bookstore/store"
	"weir/bookstore/token"
	"weir/internal/pgserver"
	"weir/internal/weirtest"
)

func TestMain(m *testing.M) { pgserver.Main(weirtest.Then{Tests: m}) }

const (
	adminPassword = "the keys of the shop"
	secret        = "a secret that only the tests know"
)

// shop is the API on a seeded database of its own, whose role is no superuser.
type shop struct {
	t     *testing.T
	url   string
	db    *pgserver.Database
	store *store.Store
	keys  *token.Keys
}

// role is the shop's: no superuser.
const role = "shop"

// template is the name of a seeded database, which is copied for each test: drawing covers takes its time.
var template = sync.OnceValues(func() (name string, err error) {
	name = "shop_template"
	ctx := context.Background()
	if err := server.Exec(ctx, "postgres", "CREATE ROLE "+role+" LOGIN", "CREATE ROLE "+weirtest.Hasty+" LOGIN IN ROLE "+role); err != nil {
		return "", err
	}
	if err := server.CreateDatabase(ctx, name, role); err != nil {
		return "", err
	}
	st, err := store.Open(ctx, store.Options{DSN: server.DSN(name, role)})
	if err != nil {
		return "", err
	}
	defer st.Close()
	if err := st.Migrate(ctx); err != nil {
		return "", err
	}
	return name, st.Seed(ctx, store.Seeding{Books: 20, Admin: "admin", AdminPassword: adminPassword})
})

// server is the package's, for template.
var server *pgserver.Server

// database makes a seeded database that belongs to role.
func database(t *testing.T) *pgserver.Database {
	t.Helper()
	db := pgserver.ForTest(t)
	server = db.Server
	from, err := template()
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Server.Exec(t.Context(), "postgres", "DROP DATABASE "+db.Name,
		"CREATE DATABASE "+db.Name+" TEMPLATE "+from+" OWNER "+role); err != nil {
		t.Fatal(err)
	}
	return db
}

// directly opens a shop without weir.
func directly(t *testing.T, opts ...func(*api.Options)) *shop {
	t.Helper()
	db := database(t)
	return open(t, db, db.DSN(role), opts...)
}

// bothWays runs a test directly and through weir in transaction mode, each on a shop of its own.
func bothWays(t *testing.T, test func(*testing.T, *shop)) {
	t.Run("direct", func(t *testing.T) { test(t, directly(t)) })
	t.Run("weir", func(t *testing.T) {
		db := database(t)
		test(t, open(t, db, weirtest.For(t, db.Server).DSN(db.Name, role)))
	})
}

func open(t *testing.T, db *pgserver.Database, dsn string, opts ...func(*api.Options)) *shop {
	t.Helper()
	// More connections than weir has backends: they are shared.
	st, err := store.Open(t.Context(), store.Options{DSN: dsn, SyncConns: 2 * weirtest.PoolSize, AsyncConns: 2 * weirtest.PoolSize})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	keys, err := token.New(secret)
	if err != nil {
		t.Fatal(err)
	}
	o := api.Options{
		Shop: st, Keys: keys, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Timeout: time.Minute, Ready: st.Ready,
	}
	for _, opt := range opts {
		opt(&o)
	}
	srv := httptest.NewServer(api.New(o).Handler())
	t.Cleanup(srv.Close)
	return &shop{t: t, url: srv.URL, db: db, store: st, keys: keys}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// as reads the body into a value.
func as[T any](t *testing.T, a answer) (value T) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &value); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return value
}

// call asks, with a token if it is not empty. body is sent as it is if it is text, else as JSON. Every answer is held
// against the OpenAPI document.
func (s *shop) call(method, path, token string, body any) answer {
	s.t.Helper()
	a, err := s.try(s.t.Context(), method, path, token, body)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *shop) try(ctx context.Context, method, path, token string, body any) (answer, error) {
	kind := "application/json"
	var content []byte
	switch b := body.(type) {
	case nil:
	case string:
		content = []byte(b)
		if method == "POST" && strings.HasPrefix(path, "/login") {
			kind = "application/x-www-form-urlencoded"
		}
	default:
		var err error
		if content, err = json.Marshal(b); err != nil {
			return answer{}, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(content))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", kind)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return s.send(req)
}

func (s *shop) send(req *http.Request) (answer, error) {
	// A redirect is an answer, not something to follow.
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	a := answer{resp.StatusCode, resp.Header, string(body)}
	if err == nil {
		s.documented(req, a)
	}
	return a, err
}

// document is the API's description of itself.
var document = sync.OnceValues(func() (*openapi3.T, error) {
	b, err := os.ReadFile("openapi.json")
	if err != nil {
		return nil, err
	}
	return openapi3.NewLoader().LoadFromData(b)
})

var router = sync.OnceValues(func() (routers.Router, error) {
	doc, err := document()
	if err != nil {
		return nil, err
	}
	return legacy.NewRouter(doc)
})

// documented fails the test if the document does not have this answer. What is no path of the shop is not in it.
func (s *shop) documented(req *http.Request, a answer) {
	s.t.Helper()
	r, err := router()
	if err != nil {
		s.t.Fatal(err)
	}
	asked := req.Clone(context.Background())
	asked.URL.Scheme, asked.URL.Host, asked.Host = "", "", ""
	if !strings.HasSuffix(asked.URL.Path, "/") {
		asked.URL.Path += "/" // both forms are one
	}
	switch {
	case asked.Method == http.MethodHead: // it has the header of GET and no body
		return
	case a.status == http.StatusMethodNotAllowed, a.status == http.StatusInternalServerError: // no document promises these
		return
	}
	route, params, err := r.FindRoute(asked)
	if err != nil {
		if a.status != http.StatusNotFound {
			s.t.Errorf("%s %s: %d, but it is not in the document: %v", req.Method, req.URL.Path, a.status, err)
		}
		return
	}
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: asked, PathParams: params, Route: route},
		Status:                 a.status, Header: a.header, Body: io.NopCloser(strings.NewReader(a.body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		s.t.Errorf("%s %s: %d %.300s\nis not as documented: %v", req.Method, req.URL.Path, a.status, a.body, err)
	}
}

// login gives a token.
func (s *shop) login(username, password string) string {
	s.t.Helper()
	a := s.call("POST", "/login/", "", form("username", username, "password", password))
	if a.status != 200 {
		s.t.Fatalf("log in as %s: %d %s", username, a.status, a.body)
	}
	return as[struct {
		Token string `json:"access_token"`
	}](s.t, a).Token
}

// register makes a user and gives the token.
func (s *shop) register(username string) string {
	s.t.Helper()
	a := s.call("POST", "/users/", "", map[string]string{"username": username, "password": "secret"})
	if a.status != 200 {
		s.t.Fatalf("register %s: %d %s", username, a.status, a.body)
	}
	return as[struct {
		Token string `json:"access_token"`
	}](s.t, a).Token
}

// metrics are what a scrape shows.
func (s *shop) metrics() string {
	s.t.Helper()
	resp, err := http.Get(s.url + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		s.t.Fatalf("scrape: %d, %v", resp.StatusCode, err)
	}
	return string(body)
}

// lockBooks keeps everybody from the books until unlock.
func (s *shop) lockBooks() (unlock func()) {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.db.DSN())
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := conn.Exec(s.t.Context(), "BEGIN; LOCK TABLE books IN ACCESS EXCLUSIVE MODE"); err != nil {
		s.t.Fatal(err)
	}
	return func() { _ = conn.Close(context.Background()) } // ends its transaction, and so the lock
}
