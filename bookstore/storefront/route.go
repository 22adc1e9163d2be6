package storefront

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"weir/bookstore"
)

var rootURL = &url.URL{Path: "/"}

// routeOf is what a pattern is called in the metrics.
func routeOf(pattern string) string {
	_, path, found := strings.Cut(pattern, " ")
	if !found {
		path = pattern
	}
	return strings.TrimSuffix(path, "{$}")
}

// wantsJSON says whether a request for the front page is a program's: the original answered there that it is alive.
func wantsJSON(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

var errNoPage = bookstore.Refuse(bookstore.NotFound, "There is no such page")

// id is the number in the path.
func (v *visit) id() (int64, error) {
	id, err := strconv.ParseInt(v.r.PathValue("id"), 10, 64)
	if err != nil || id < 1 {
		return 0, errNoPage
	}
	return id, nil
}

// local is a path of the shop that a visitor may be sent to, or the front page: never to another server, whatever the link
// said by which he came.
func local(path string) string {
	u, err := url.Parse(path)
	switch {
	case err != nil, u.IsAbs(), u.Host != "":
		return "/"
	case !strings.HasPrefix(path, "/"), strings.HasPrefix(path, "//"), strings.Contains(path, `\`): // browsers take \ for /
		return "/"
	}
	return path
}

func bookPath(id int64) string { return "/shop/books/" + strconv.FormatInt(id, 10) }

// loginPath leads to where the visitor was, once he has logged in.
func loginPath(next string) string { return "/shop/login?next=" + url.QueryEscape(next) }
