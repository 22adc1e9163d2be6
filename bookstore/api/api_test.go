package api_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"weir/bookstore/api"
)

func form(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

func TestDocumentIsValidAndHasEveryRoute(t *testing.T) {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Error(err)
	}
	var written []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			written = append(written, method+" "+path)
		}
	}
	served := append(api.Routes(), "GET /")
	slices.Sort(written)
	slices.Sort(served)
	if !slices.Equal(written, served) {
		t.Errorf("the document has\n%s\nserved is\n%s", strings.Join(written, "\n"), strings.Join(served, "\n"))
	}
}

func TestDocumentAndItsPageNeedNothingFromOutside(t *testing.T) {
	s := directly(t)
	get := func(path string) answer {
		if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
			t.Fatalf("the page asks for %s", path)
		}
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer{resp.StatusCode, resp.Header, string(body)}
	}
	if a := get("/openapi.json"); a.status != 200 || !strings.HasPrefix(a.body, `{`) || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("the document: %d %v %.50s", a.status, a.header, a.body)
	}
	if a := get("/docs"); a.status != 301 || a.header.Get("Location") != "/docs/" {
		t.Errorf("/docs: %d %v", a.status, a.header)
	}
	page := get("/docs/")
	if page.status != 200 || !strings.Contains(page.body, "/openapi.json") {
		t.Fatalf("the page: %d %.500s", page.status, page.body)
	}
	found := 0
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page.body, -1) {
		found++
		if a := get(m[1]); a.status != 200 {
			t.Errorf("%s: %d", m[1], a.status)
		}
	}
	if found < 3 {
		t.Errorf("the page has %d files, want style and scripts: %s", found, page.body)
	}
}

func TestPathsAnswerWithAndWithoutTheirSlash(t *testing.T) {
	s := directly(t)
	for _, path := range []string{"/books", "/async_books", "/authors", "/genres", "/books/1", "/books/1/image", "/books/1/reviews", "/authors/1/books"} {
		without, with := s.call("GET", path, "", nil), s.call("GET", path+"/", "", nil)
		if without.status != 200 || with.status != 200 || without.body != with.body {
			t.Errorf("%s: %d %.100s\n%s/: %d %.100s", path, without.status, without.body, path, with.status, with.body)
		}
	}
}

func TestListings(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
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
			{"/genres/?limit=2", "romance", 2},
			{"/authors/7/books/", "The Gilded Age", 1},
			{"/authors/8/books/", "The Gilded Age", 2},
			{"/authors/8/books/?skip=1", "Adventures of Huckleberry Finn", 1},
			{"/genres/1/books/?limit=2", "Pride and Prejudice", 2},
			{"/books/1/reviews/", "", 0},
		} {
			a := s.call("GET", c.path, "", nil)
			rows := as[[]struct{ Title, Name string }](t, a)
			first := ""
			if len(rows) > 0 {
				first = rows[0].Title + rows[0].Name
			}
			if a.status != 200 || len(rows) != c.count || first != c.first {
				t.Errorf("%s: %d, %d rows from %q, want %d from %q", c.path, a.status, len(rows), first, c.count, c.first)
			}
		}
		chatty, joined := s.call("GET", "/books/", "", nil), s.call("GET", "/async_books/", "", nil)
		if chatty.body != joined.body {
			t.Errorf("the two listings differ\n%s\n%s", chatty.body, joined.body)
		}
		want := `{"title":"Moby-Dick","description":"A captain, a whale, and everything that is known about whales.","language":"English",` +
			`"price":12.5,"publication_date":"1851-11-14","isbn":"9780000000033","id":3,"avg_rating":null,` +
			`"authors":[{"name":"Herman Melville","id":3}],"genres":[{"name":"adventure","id":5},{"name":"sea","id":6}]}`
		if a := s.call("GET", "/books/3/", "", nil); a.body != want {
			t.Errorf("book 3: %s\nwant %s", a.body, want)
		}
	})
}

func TestErrorsAreJSONWithADetail(t *testing.T) {
	s := directly(t)
	user := s.register("mary")
	range_ := func(place, name, least, most string) string {
		return `{"loc":["` + place + `","` + name + `"],"msg":"must be a whole number from ` + least + ` to ` + most + `","type":"value_error"}`
	}
	for _, c := range []struct {
		method, path, token string
		body                any
		status              int
		want                string
	}{
		{"GET", "/", "", nil, 200, `{"detail":"The bookstore is open"}`},
		{"GET", "/nowhere", "", nil, 404, `{"detail":"Not Found"}`},
		{"GET", "/books/x/y", "", nil, 404, `{"detail":"Not Found"}`},
		{"DELETE", "/books/", "", nil, 405, `{"detail":"Method Not Allowed"}`},
		{"GET", "/books/1/wishlist/", user, nil, 405, `{"detail":"Method Not Allowed"}`},
		{"HEAD", "/books/", "", nil, 200, ""},
		{"GET", "/books/?skip=-1", "", nil, 422, `{"detail":[` + range_("query", "skip", "0", "2147483647") + `]}`},
		{"GET", "/async_books/?limit=0&skip=x", "", nil, 422, `{"detail":[` + range_("query", "skip", "0", "2147483647") + `,` +
			range_("query", "limit", "1", "200") + `]}`},
		{"GET", "/authors/?limit=201", "", nil, 422, `{"detail":[` + range_("query", "limit", "1", "200") + `]}`},
		{"GET", "/books/99/", "", nil, 404, `{"detail":"Book not found"}`},
		{"GET", "/books/99999999999999999999/", "", nil, 404, `{"detail":"Book not found"}`},
		{"GET", "/books/x/", "", nil, 422, `{"detail":[{"loc":["path","id"],"msg":"must be a whole number","type":"type_error"}]}`},
		{"GET", "/books/99/image/", "", nil, 404, `{"detail":"Book not found"}`},
		{"GET", "/books/99/download/", "", nil, 404, `{"detail":"Book not found"}`},
		{"GET", "/books/99/reviews/", "", nil, 404, `{"detail":"Book not found"}`},
		{"GET", "/authors/99/", "", nil, 404, `{"detail":"Author not found"}`},
		{"GET", "/authors/99/books/", "", nil, 404, `{"detail":"Author not found"}`},
		{"GET", "/genres/99/", "", nil, 404, `{"detail":"Genre not found"}`},
		{"GET", "/genres/99/books/", "", nil, 404, `{"detail":"Genre not found"}`},
		{"PUT", "/books/99/wishlist/", user, nil, 404, `{"detail":"Book not found"}`},
		{"DELETE", "/books/99/wishlist/", user, nil, 404, `{"detail":"Book not found"}`},
		{"PATCH", "/reviews/99/", user, map[string]any{}, 404, `{"detail":"Review not found"}`},
		{"GET", "/profile/", "", nil, 401, `{"detail":"Not authenticated"}`},
		{"GET", "/profile/", "x.y.z", nil, 401, `{"detail":"Could not validate credentials"}`},
		{"POST", "/checkout/order/create/", "x.y.z", map[string]any{"book_ids": []int{1}}, 401, `{"detail":"Could not validate credentials"}`},
		{"GET", "/orders/", user, nil, 403, `{"detail":"Admin privileges required"}`},
		{"GET", "/users/", user, nil, 403, `{"detail":"Admin privileges required"}`},
		{"GET", "/users/admin/", user, nil, 403, `{"detail":"Admin privileges required"}`},
		{"DELETE", "/books/1/", user, nil, 403, `{"detail":"Admin privileges required"}`},
		{"DELETE", "/genres/1/", user, nil, 403, `{"detail":"Admin privileges required"}`},
		{"POST", "/users/", "", `{"username":`, 422, `{"detail":[{"loc":["body"],"msg":"must be a JSON object","type":"value_error"}]}`},
		{"POST", "/users/", "", `null`, 422, `{"detail":[{"loc":["body"],"msg":"must be a JSON object","type":"value_error"}]}`},
		{"POST", "/users/", "", `{"username": 7}`, 422, `{"detail":[{"loc":["body","username"],"msg":"must be text","type":"type_error"},` +
			`{"loc":["body","password"],"msg":"field required","type":"value_error.missing"}]}`},
		{
			"POST", "/users/", "", `{"username": "\u0000\u0000\u0000", "password": "x"}`, 422,
			`{"detail":[{"loc":["body","username"],"msg":"must be text without NUL","type":"value_error"}]}`,
		},
		{"POST", "/users/", "", `{"username": "` + strings.Repeat("x", 70_000) + `"}`, 413, `{"detail":"The request has more than 65536 bytes"}`},
		{"POST", "/login/", "", "username=mary", 422, `{"detail":[{"loc":["body","password"],"msg":"field required","type":"value_error.missing"}]}`},
		{"POST", "/login/", "", form("username", "mary", "password", "wrong"), 401, `{"detail":"Login failed"}`},
		{"POST", "/login/", "", form("username", "nobody", "password", "secret"), 401, `{"detail":"Login failed"}`},
		{"POST", "/login/", "", "username=%00%ff&password=secret", 401, `{"detail":"Login failed"}`},
		{
			"POST", "/books/1/reviews/", user, `{"rating": 6, "comment": " "}`, 422,
			`{"detail":[{"loc":["body","rating"],"msg":"must be from 0 to 5","type":"value_error"},` +
				`{"loc":["body","comment"],"msg":"must not be empty","type":"value_error"}]}`,
		},
		{
			"POST", "/books/1/reviews/", user, `{"rating": "good", "comment": null}`, 422,
			`{"detail":[{"loc":["body","rating"],"msg":"must be a whole number","type":"type_error"},` +
				`{"loc":["body","comment"],"msg":"field required","type":"value_error.missing"}]}`,
		},
		{
			"POST", "/checkout/order/create/", "", `{"book_ids": [1, 99, 1]}`, 422,
			`{"detail":[{"loc":["body","book_ids",2],"msg":"is named twice","type":"value_error"}]}`,
		},
		{
			"POST", "/checkout/order/create/", "", `{"book_ids": [1, 99]}`, 422,
			`{"detail":[{"loc":["body","book_ids",1],"msg":"there is no such book","type":"value_error"}]}`,
		},
		{
			"POST", "/checkout/order/create/", "", `{"book_ids": [5]}`, 422,
			`{"detail":[{"loc":["body","book_ids"],"msg":"the total must be above 0 and at most 99999999.99; free books need no order","type":"value_error"}]}`,
		},
		{
			"POST", "/checkout/order/create/", "", `{"book_ids": []}`, 422,
			`{"detail":[{"loc":["body","book_ids"],"msg":"must be from 1 to 100 books","type":"value_error"}]}`,
		},
		{"POST", "/checkout/order/x/capture/", "", nil, 404, `{"detail":"Order not found"}`},
		{"POST", "/checkout/order/00000000-0000-4000-8000-000000000000/capture/", "", nil, 404, `{"detail":"Order not found"}`},
	} {
		a := s.call(c.method, c.path, c.token, c.body)
		if a.status != c.status || a.body != c.want {
			t.Errorf("%s %s %.80v: %d %s\nwant %d %s", c.method, c.path, c.body, a.status, a.body, c.status, c.want)
		}
		if kind := a.header.Get("Content-Type"); kind != "application/json" {
			t.Errorf("%s %s: Content-Type %q", c.method, c.path, kind)
		}
		if a.status == 401 && a.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s %s: 401 without WWW-Authenticate", c.method, c.path)
		}
	}
	if allow := s.call("DELETE", "/authors", "", nil).header.Get("Allow"); allow != "GET, POST" {
		t.Errorf("Allow: %q, want GET, POST", allow)
	}
}

func TestPanicIsAFaultLikeAnyOther(t *testing.T) {
	s := directly(t, func(o *api.Options) { o.Shop = nil })
	if a := s.call("GET", "/authors/", "", nil); a.status != 500 || a.body != `{"detail":"Internal Server Error"}` {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestMetricsCountWhatHappened(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		s.call("GET", "/books/", "", nil)
		s.call("GET", "/books", "", nil)
		s.call("GET", "/books/99/", "", nil)
		s.call("BREW", "/books/1/", "", nil)
		s.call("GET", "/wp-login.php", "", nil)
		text := s.metrics()
		if problems, err := promlint.New(strings.NewReader(text)).Lint(); err != nil || len(problems) > 0 {
			t.Errorf("%v, %v", problems, err)
		}
		for _, want := range []string{
			`bookstore_http_requests_total{method="GET",route="/books/",status="200"} 2`,
			`bookstore_http_requests_total{method="GET",route="/books/{id}/",status="404"} 1`,
			`bookstore_http_requests_total{method="other",route="/books/{id}/",status="405"} 1`,
			`bookstore_http_requests_total{method="other",route="unknown",status="404"} 1`,
			`bookstore_http_request_duration_seconds_count{route="/books/"} 2`,
			`bookstore_http_requests_in_flight 0`,
		} {
			if !strings.Contains(text, want+"\n") {
				t.Errorf("no %s in\n%s", want, text)
			}
		}
	})
}

func TestSlowAnswersAreGivenUp(t *testing.T) {
	s := directly(t, func(o *api.Options) { o.Timeout = 100 * time.Millisecond })
	lock := s.lockBooks()
	defer lock()
	for _, path := range []string{"/books/", "/async_books/"} {
		a := s.call("GET", path, "", nil)
		if a.status != 503 || a.body != `{"detail":"database unavailable: no answer in time"}` || a.header.Get("Retry-After") != "1" {
			t.Errorf("%s: %d %s, want 503", path, a.status, a.body)
		}
	}
	if text := s.metrics(); !strings.Contains(text, `bookstore_database_unavailable_total{sqlstate="none"} 2`) {
		t.Errorf("not counted:\n%s", text)
	}
}
