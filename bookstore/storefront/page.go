package storefront

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"weir/bookstore"
)

//go:embed templates/*.html
var templates embed.FS

// pages are the templates, by the name of their file.
type pages map[string]*template.Template

// names of pages that are shown.
var pageNames = []string{"shelf", "book", "login", "profile", "library", "wishlist", "cart", "thanks", "live", "error"}

// parsePages panics on a template that is wrong: it is part of the program.
func parsePages() pages {
	base := template.Must(template.New("base").Funcs(funcs).ParseFS(templates, "templates/base.html", "templates/parts.html"))
	all := pages{}
	for _, name := range pageNames {
		all[name] = template.Must(template.Must(base.Clone()).ParseFS(templates, "templates/"+name+".html"))
	}
	return all
}

// funcs are what templates say that Go can say better.
var funcs = template.FuncMap{
	"static": staticURL,
	"price":  price,
	"day":    func(d bookstore.Date) string { return d.Format("2 January 2006") },
	"year":   func(d bookstore.Date) string { return d.Format("2006") },
	"mean":   func(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) },
	"stars":  stars,
	"cover":  func(id int64) string { return "/books/" + strconv.FormatInt(id, 10) + "/image/" },
	"path":   bookPath,
	"genre":  func(id int64) string { return "/shop/genres/" + strconv.FormatInt(id, 10) },
	"plural": func(n int, one, many string) string {
		if n == 1 {
			return "1 " + one
		}
		return strconv.Itoa(n) + " " + many
	},
	"paragraphs": func(s string) []string { return strings.Split(s, "\n\n") },
	"item":       func(v *view, b card) item { return item{v, b} },
	"list":       func(v *view, books []card) list { return list{v, books} },
	"float":      func(n int) float64 { return float64(n) },
	"mebibytes":  func(bytes float64) string { return strconv.FormatFloat(bytes/(1<<20), 'f', 1, 64) + " MiB" },
	"json": func(v any) (string, error) {
		b, err := json.Marshal(v)
		return string(b), err
	},
}

// list are books where they are shown.
type list struct {
	View  *view
	Books []card
}

// item is a book where it is shown, for templates that show one of several.
type item struct {
	View *view
	Book card
}

func price(c bookstore.Cents) string {
	if c == 0 {
		return "Free"
	}
	return "€\u00a0" + c.String()
}

// stars is a rating in halves of a star, as the style sheet names it; whoever listens is told the number beside it.
func stars(rating float64) string {
	halves := int(math.Round(2 * rating))
	return "stars h" + strconv.Itoa(max(0, min(halves, 2*ratingMax)))
}

const ratingMax = 5

// view is what every page shows.
type view struct {
	Title string
	User  string // "" for a guest
	Token string
	Path  string // of this page
	Here  string // its whole address, to come back to
	Cart  int
	Words string // that were searched for
	Note  string // what has just been done
	Page  any
}

// notes are what a visitor is told about what he did, by the word in the address that he was sent to.
var notes = map[string]string{
	"added":      "It is in your cart.",
	"removed":    "It is no longer in your cart.",
	"full":       "Your cart is full. Buy what is in it first.",
	"wished":     "It is on your wishlist.",
	"unwished":   "It is no longer on your wishlist.",
	"reviewed":   "Thank you for your review.",
	"unreviewed": "Your review is gone.",
	"welcome":    "Welcome! Your account is ready.",
	"goodbye":    "You are logged out.",
}

// show answers with a page.
func (v *visit) show(status int, name, title string, content any) error {
	data := &view{
		Title: title, User: v.who.Username, Token: v.token(), Path: v.r.URL.Path, Here: v.here(), Cart: len(v.cart),
		Words: v.r.URL.Query().Get("q"), Note: notes[v.r.URL.Query().Get("done")], Page: content,
	}
	var b bytes.Buffer
	if err := v.shop.pages[name].ExecuteTemplate(&b, "base", data); err != nil {
		return fmt.Errorf("show page %s: %w", name, err)
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	h.Set("Cache-Control", "private, no-store") // it names the visitor, and carries his token
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Content-Security-Policy", policy)
	v.w.WriteHeader(status)
	if v.r.Method != http.MethodHead {
		_, _ = v.w.Write(b.Bytes()) // a visitor who left needs no answer
	}
	return nil
}

// here is where a visitor comes back to: this page, or the one whose form he sent; from the login to where that leads.
func (v *visit) here() string {
	if v.r.Method == http.MethodPost {
		return local(v.r.PostForm.Get("back"))
	}
	query := v.r.URL.Query()
	if v.r.URL.Path == "/shop/login" {
		return local(query.Get("next"))
	}
	query.Del("done")
	u := url.URL{Path: v.r.URL.Path, RawQuery: query.Encode()}
	return local(u.String())
}

// policy lets pages use what is ours, and nothing that somebody got into them.
const policy = "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// goTo sends the browser on after a form: reloading that page sends nothing again.
func (v *visit) goTo(path, done string) error {
	if done != "" {
		separator := "?"
		if strings.Contains(path, "?") {
			separator = "&"
		}
		path += separator + "done=" + done
	}
	http.Redirect(v.w, v.r, path, http.StatusSeeOther) //nolint:gosec // callers name a page, or what local let through
	return nil
}

// log is the shop's, with what was asked for.
func (v *visit) log() *slog.Logger { return v.shop.Log.With(slog.String("path", v.r.URL.Path)) }
