package storefront_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

func TestFrontPageShowsBooksPageByPage(t *testing.T) {
	v := directly(t).visitor(t)
	v.open("/").sees(200, "Pride and Prejudice", "Jane Austen", "€\u00a09.99", "Free", "Add to cart", "Page 1")
	if n := strings.Count(v.page, `<li class="card">`); n != 12 {
		t.Errorf("%d books on the first page, want 12", n)
	}
	v.open("/?page=2").sees(200, "Page 2", "← Previous").misses("Next →", "Pride and Prejudice")
	if n := strings.Count(v.page, `<li class="card">`); n != 8 {
		t.Errorf("%d books on the second page, want 8", n)
	}
	v.open("/?page=3").sees(404, "There is no such page")
	v.open("/?page=-1").sees(200, "Page 1")
	v.open("/?page=99999999999999999999").sees(200, "Page 1")
}

func TestProgramsGetTheAnswerThatTheOriginalGave(t *testing.T) {
	s := directly(t)
	for accept, want := range map[string]string{
		"application/json":                  `{"detail":"The bookstore is open"}`,
		"application/json, text/plain, */*": `{"detail":"The bookstore is open"}`,
		"*/*":                               "<!doctype html>",
		"":                                  "<!doctype html>",
		"text/html,application/xhtml+xml,application/json;q=0.9": "<!doctype html>",
	} {
		v := s.visitor(t)
		req := v.request(http.MethodGet, "/", nil)
		req.Header.Set("Accept", accept)
		v.do(req).sees(200)
		if !strings.HasPrefix(v.page, want) {
			t.Errorf("Accept: %s: got %.60q, want %q", accept, v.page, want)
		}
	}
	v := s.visitor(t)
	v.open("/books/?limit=1").sees(200, `"title":"Pride and Prejudice"`) // the API is where it was
	v.do(v.request(http.MethodPost, "/", url.Values{})).sees(405)
	v.do(v.request(http.MethodHead, "/", nil)).sees(200)
	if v.page != "" {
		t.Error("HEAD has a body")
	}
}

func TestBookHasAllThatIsKnownOfIt(t *testing.T) {
	v := directly(t).visitor(t)
	v.open("/shop/books/7").sees(200, "The Gilded Age", "Mark Twain", "Charles Dudley Warner", "Speculators in Washington",
		"English", "1 January 1873", "9780000000071", "satire", "€\u00a013.20", "Reviews", "Log in")
	v.open("/shop/books/99").sees(404, "Book not found", "To the books")
	v.open("/shop/books/x").sees(404, "There is no such page")
	v.open("/shop/elsewhere").sees(404, "There is no such page")
}

func TestAuthorsAndGenresHaveShelves(t *testing.T) {
	v := directly(t).visitor(t)
	v.open("/shop/books/1").sees(200)
	for _, kind := range []string{"authors", "genres"} {
		at := regexp.MustCompile(`/shop/` + kind + `/\d+`).FindString(v.page)
		if at == "" {
			t.Fatalf("no link to %s:\n%s", kind, v.page)
		}
		v.open(at).sees(200, "Pride and Prejudice").misses("Moby-Dick")
		v.open("/shop/"+kind+"/9999").sees(404, "not found")
		v.open("/shop/books/1")
	}
}

// Whatever a page leads to is there, and nothing is elsewhere.
func TestEveryLinkLeadsSomewhereInTheShop(t *testing.T) {
	v := directly(t).visitor(t)
	v.register("crawler")
	v.open("/shop/books/2").send("/shop/cart", "book", "2").sees(200)
	v.open("/shop/books/3").send("/shop/books/3/wish", "do", "add").sees(200)
	links := regexp.MustCompile(`(?:href|src|action|formaction)="([^"]*)"`)
	seen, todo := map[string]bool{}, []string{"/", "/live", "/shop/elsewhere"}
	for len(todo) > 0 {
		path := todo[0]
		todo = todo[1:]
		v.open(path)
		if path != "/shop/elsewhere" && v.code != 200 {
			t.Errorf("%s: %d", path, v.code)
		}
		if !strings.HasPrefix(v.head.Get("Content-Type"), "text/html") || strings.HasPrefix(path, "/docs") {
			continue
		}
		if v.head.Get("Content-Security-Policy") == "" || v.head.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: no policy: %v", path, v.head)
		}
		for _, found := range links.FindAllStringSubmatch(v.page, -1) {
			link := strings.ReplaceAll(found[1], "&amp;", "&")
			if strings.HasPrefix(link, "#") || strings.Contains(found[0], "action=") || seen[link] {
				continue
			}
			if !strings.HasPrefix(link, "/") || strings.HasPrefix(link, "//") {
				t.Errorf("%s leads to %q", path, link)
			}
			seen[link] = true
			todo = append(todo, link)
		}
	}
	if len(seen) < 60 {
		t.Errorf("found %d links only", len(seen))
	}
}

func TestStaticFilesAreKeptAndChangeTheirAddress(t *testing.T) {
	v := directly(t).visitor(t)
	v.open("/live")
	for _, ext := range []string{"css", "js", "svg"} {
		path := regexp.MustCompile(`/shop/static/[\w-]+\.` + ext).FindString(v.page)
		v.open(path).sees(200)
		if !strings.Contains(v.head.Get("Cache-Control"), "immutable") || v.head.Get("Content-Type") == "" {
			t.Errorf("%s: %v", path, v.head)
		}
		v.open(path[:len(path)-len(ext)-2] + "x." + ext).sees(404)
		v.open("/live")
	}
	v.open("/shop/static/style.css").sees(404)
	v.open("/shop/static/").sees(404)
}

func TestCoversAreAskedForOnce(t *testing.T) {
	v := directly(t).visitor(t)
	v.open("/books/1/image/").sees(200)
	again := v.request(http.MethodGet, "/books/1/image/", nil)
	again.Header.Set("If-None-Match", v.head.Get("ETag"))
	if v.do(again).sees(304); v.page != "" {
		t.Error("the picture came again")
	}
}

func TestABusyDatabaseIsSaidToBeBusy(t *testing.T) {
	v := open(t, "postgres://nobody@127.0.0.1:1/nowhere?sslmode=disable").visitor(t)
	v.open("/").sees(503, "The shop is full", "Try again")
	if v.head.Get("Retry-After") == "" {
		t.Error("nobody says when to come back")
	}
	v.open("/live").sees(200) // needs no database
}

func TestADatabaseWithoutAPlaceIsNamedByItsState(t *testing.T) {
	db := database(t)
	db.Exec(t, "ALTER ROLE "+role+" CONNECTION LIMIT 0")
	defer db.Exec(t, "ALTER ROLE "+role+" CONNECTION LIMIT -1")
	open(t, db.DSN(role)).visitor(t).open("/").sees(503, "SQLSTATE 53300")
}

func TestSearchFindsTitlesAndAuthorsWhateverTheirCase(t *testing.T) {
	v := directly(t).visitor(t)
	v.open("/shop/search?q=PRIDE").sees(200, "Pride and Prejudice", `value="PRIDE"`).misses("Moby-Dick")
	v.open("/shop/search?q=melville").sees(200, "Moby-Dick").misses("Pride and Prejudice")
	v.open("/shop/search?q=%25").sees(200, "There are no books here") // no pattern of the visitor's
	v.open("/shop/search?q=e").sees(200, "Page 1", "/shop/search?q=e&page=2")
	v.open("/shop/search?q="+url.QueryEscape(`<script>"`)).sees(200, `“<script>"”`)
	if strings.Contains(v.page, "“<script>") {
		t.Error("what is searched for becomes part of the page")
	}
	for _, nothing := range []string{"", "+", "%00", "%ff", strings.Repeat("x", 1000)} {
		v.open("/shop/search?q=" + nothing)
		if v.page == "" || strings.Contains(v.page, "SQLSTATE") {
			t.Errorf("searching for %.20q shows %.100q", nothing, v.page)
		}
	}
}

func TestGenresLeadToTheirBooks(t *testing.T) {
	v := directly(t).visitor(t)
	v.open("/").sees(200, `aria-label="Genres"`, `href="/shop/genres/1"`)
	v.open("/shop/genres/1").sees(200, `href="/shop/genres/1" aria-current="page"`)
}
