package storefront_test

import (
	"context"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"weir/bookstore/api"
	"weir/bookstore/store"
	"weir/bookstore/storefront"
	"weir/bookstore/token"
	"weir/internal/pgserver"
	"weir/internal/weirtest"
)

func TestMain(m *testing.M) { pgserver.Main(weirtest.Then{Tests: m}) }

const (
	secret       = "a secret that only these tests know"
	role         = "shop" // no superuser
	userPassword = "what readers know"
)

// shop is a storefront in front of an API, on a seeded database of its own.
type shop struct {
	url   string
	db    *pgserver.Database
	store *store.Store
	keys  *token.Keys
}

var (
	server   *pgserver.Server
	template = sync.OnceValues(func() (name string, err error) {
		name = "shop_template"
		ctx := context.Background()
		if err := server.Exec(ctx, "postgres", "CREATE ROLE "+role+" LOGIN"); err != nil {
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
		return name, st.Seed(ctx, store.Seeding{Books: 20, Users: 12, UserPassword: userPassword})
	})
)

// database copies the seeded one, since drawing covers takes its time.
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

func directly(t *testing.T, change ...func(*storefront.Options)) *shop {
	t.Helper()
	db := database(t)
	s := open(t, db.DSN(role), change...)
	s.db = db
	return s
}

// throughWeir opens a shop that has more connections than weir has backends.
func throughWeir(t *testing.T, change ...func(*storefront.Options)) *shop {
	t.Helper()
	db := database(t)
	weir := weirtest.For(t, db.Server)
	s := open(t, weir.DSN(db.Name, role), append(change, func(o *storefront.Options) { o.WeirMetrics = weir.MetricsURL() })...)
	s.db = db
	return s
}

// bothWays runs a test directly and through weir.
func bothWays(t *testing.T, test func(*testing.T, *shop)) {
	t.Run("direct", func(t *testing.T) { test(t, directly(t)) })
	t.Run("weir", func(t *testing.T) { test(t, throughWeir(t)) })
}

func open(t *testing.T, dsn string, change ...func(*storefront.Options)) *shop {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{DSN: dsn, SyncConns: 2 * weirtest.PoolSize, AsyncConns: 2 * weirtest.PoolSize})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	keys, err := token.New(secret)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	registry := prometheus.NewRegistry()
	registry.MustRegister(st, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	served := api.New(api.Options{
		Shop: st, Keys: keys, Log: log, Timeout: time.Minute, Ready: st.Ready, Metrics: registry, Gatherer: registry,
	})
	o := storefront.Options{Shop: st, Keys: keys, Log: log, Timeout: time.Minute, Count: served.Count, Gatherer: registry}
	for _, c := range change {
		c(&o)
	}
	srv := httptest.NewServer(storefront.New(o).Handler(served.Handler()))
	t.Cleanup(srv.Close)
	return &shop{url: srv.URL, store: st, keys: keys}
}

// visitor is somebody with a browser, which keeps cookies and follows where it is sent.
type visitor struct {
	t    *testing.T
	shop *shop
	http http.Client
	at   string // the path of the page that he sees
	page string // what it says
	code int
	head http.Header
}

func (s *shop) visitor(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, shop: s, http: http.Client{Jar: jar, Timeout: time.Minute}}
}

// do sends a request as it is.
func (v *visitor) do(req *http.Request) *visitor {
	v.t.Helper()
	resp, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	v.at, v.page, v.code, v.head = resp.Request.URL.RequestURI(), string(body), resp.StatusCode, resp.Header
	return v
}

func (v *visitor) request(method, path string, form url.Values) *http.Request {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, v.shop.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req
}

// open goes to a page.
func (v *visitor) open(path string) *visitor {
	v.t.Helper()
	return v.do(v.request(http.MethodGet, path, nil))
}

var (
	tokenInput = regexp.MustCompile(`name="token" value="([^"]+)"`)
	backInput  = regexp.MustCompile(`name="back" value="([^"]+)"`)
)

// token is the one of the form on the page.
func (v *visitor) token() string {
	v.t.Helper()
	found := tokenInput.FindStringSubmatch(v.page)
	if found == nil {
		v.t.Fatalf("there is no form on %s:\n%s", v.at, v.page)
	}
	return found[1]
}

// send sends a form of the page that he sees.
func (v *visitor) send(path string, pairs ...string) *visitor {
	v.t.Helper()
	form := url.Values{"token": {v.token()}, "back": {html.UnescapeString(backInput.FindStringSubmatch(v.page)[1])}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return v.do(v.request(http.MethodPost, path, form))
}

// sees fails the test unless the page came with this status and says all of this.
func (v *visitor) sees(code int, texts ...string) *visitor {
	v.t.Helper()
	if v.code != code {
		v.t.Fatalf("%s: got %d, want %d:\n%s", v.at, v.code, code, v.page)
	}
	plain := html.UnescapeString(v.page)
	for _, text := range texts {
		if !strings.Contains(plain, text) {
			v.t.Fatalf("%s does not say %q:\n%s", v.at, text, v.page)
		}
	}
	return v
}

func (v *visitor) misses(texts ...string) *visitor {
	v.t.Helper()
	for _, text := range texts {
		if strings.Contains(html.UnescapeString(v.page), text) {
			v.t.Fatalf("%s says %q:\n%s", v.at, text, v.page)
		}
	}
	return v
}

// register makes an account.
func (v *visitor) register(name string) *visitor {
	v.t.Helper()
	v.open("/shop/login").send("/shop/register", "username", name, "password", "a good one")
	return v.sees(200, name, "Your account is ready.")
}

// cookie is one that his browser holds, without its attributes.
func (v *visitor) cookie(name string) string {
	v.t.Helper()
	u, err := url.Parse(v.shop.url)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, c := range v.http.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// count asks the database for a number.
func (s *shop) count(t *testing.T, query string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.db.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
