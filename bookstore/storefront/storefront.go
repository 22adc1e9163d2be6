// Package storefront is what people see of the bookstore: pages that the server renders, without a build step and
// without anything from elsewhere. It works without scripts; /live, which shows the experiment as it runs, draws with one.
//
// A page (a file per subject) reads the form, calls a service of package bookstore and shows a template, or sends the
// browser on. What is known of a visitor is in his cookies (session.go); services look rights up. Every form carries a
// token against requests from elsewhere (forgery.go). Handlers run on net/http's goroutines and share nothing but the
// services and the last look at the metrics (scrape.go).
//
// It imports bookstore, its tokens, and Prometheus' parser.
package storefront

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/bookstore"
	"weir/bookstore/token"
)

// Options are what a storefront is made of.
type Options struct {
	Shop bookstore.Shop
	Keys *token.Keys
	Log  *slog.Logger
	// Timeout bounds the work on one page, the wait for a pooled connection included.
	Timeout time.Duration
	// SecureCookies keeps cookies from travelling in clear text, for a shop behind TLS.
	SecureCookies bool
	// Count wraps what answers on a route, so that it is counted with the API's requests; nil counts nothing.
	Count func(route string, h http.Handler) http.Handler
	// Gatherer gives the bookstore's own metrics, of all its processes, and WeirMetrics is the URL of weir's, or empty.
	// Both are for /live.
	Gatherer    prometheus.Gatherer
	WeirMetrics string
}

// Storefront answers requests.
type Storefront struct {
	Options
	pages   pages
	gauges  gauges
	forgery *http.CrossOriginProtection
}

// New makes a Storefront.
func New(o Options) *Storefront {
	if o.Count == nil {
		o.Count = func(_ string, h http.Handler) http.Handler { return h }
	}
	s := &Storefront{Options: o, pages: parsePages(), forgery: http.NewCrossOriginProtection()}
	s.gauges = gauges{own: o.Gatherer, weir: o.WeirMetrics}
	return s
}

// page answers one request; what it returns is shown as an error.
type page func(*visit) error

// routes are all pages, by pattern.
func (s *Storefront) routes() map[string]page {
	return map[string]page{
		"GET /{$}":                             s.front,
		"GET /shop/authors/{id}":               s.author,
		"GET /shop/genres/{id}":                s.genre,
		"GET /shop/search":                     s.search,
		"GET /shop/books/{id}":                 s.book,
		"GET /shop/books/{id}/read":            s.read,
		"POST /shop/books/{id}/reviews":        s.review,
		"POST /shop/books/{id}/reviews/delete": s.unreview,
		"POST /shop/books/{id}/wish":           s.wish,
		"GET /shop/login":                      s.loginPage,
		"POST /shop/login":                     s.login,
		"POST /shop/register":                  s.register,
		"POST /shop/logout":                    s.logout,
		"GET /shop/profile":                    s.profile,
		"GET /shop/library":                    s.library,
		"GET /shop/wishlist":                   s.wishlist,
		"GET /shop/cart":                       s.cart,
		"POST /shop/cart":                      s.fill,
		"POST /shop/buy":                       s.buy,
		"GET /shop/thanks":                     s.thanks,
		"GET /live":                            s.live,
		"/shop/":                               s.nowhere,
	}
}

// Handler routes requests: pages are below /shop/, beside the front page and /live, and so never where the API is. rest
// gets all others, and the front page of those who ask for JSON.
func (s *Storefront) Handler(rest http.Handler) http.Handler {
	mux := http.NewServeMux()
	for pattern, p := range s.routes() {
		mux.Handle(pattern, s.Count(routeOf(pattern), s.forgery.Handler(s.serve(p))))
	}
	mux.Handle("GET /live/now", s.Count("/live/now", http.HandlerFunc(s.now)))
	mux.Handle("GET "+staticPath, http.HandlerFunc(serveStatic))
	mux.Handle("/", rest)
	front, _ := mux.Handler(&http.Request{Method: http.MethodGet, URL: rootURL})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/":
			mux.ServeHTTP(w, r)
		case (r.Method == http.MethodGet || r.Method == http.MethodHead) && !wantsJSON(r):
			w.Header().Set("Vary", "Accept")
			front.ServeHTTP(w, r)
		default:
			w.Header().Set("Vary", "Accept")
			rest.ServeHTTP(w, r)
		}
	})
}

// serve runs a page.
func (s *Storefront) serve(p page) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), s.Timeout)
		defer cancel()
		v := s.visit(w, r.WithContext(ctx))
		defer func() {
			if what := recover(); what != nil {
				v.fail(fault(what))
			}
		}()
		if err := v.readForm(); err != nil {
			v.fail(err)
			return
		}
		if err := p(v); err != nil {
			v.fail(err)
		}
	})
}
