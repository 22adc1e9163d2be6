// Package api serves the bookstore over HTTP: paths, parameters and JSON are those of the original.
//
// A handler (a file per resource) decodes the request, calls a service and returns a value or an error; who asks is
// found before it (auth.go) and answering is one place (answer.go). So a database connection is back in its pool
// before the first byte of an answer is written, unless Options.Hold says otherwise: the original held it until a slow
// reader had taken the last one. Handlers run on net/http's goroutines and share nothing but the services.
//
// It imports bookstore, its tokens, Prometheus' client, and an embedded viewer for its OpenAPI document.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/bookstore"
	"weir/bookstore/token"
)

// Options are what an API is made of.
type Options struct {
	Shop bookstore.Shop
	Keys *token.Keys
	Log  *slog.Logger
	// Timeout bounds the work on one request, the wait for a pooled connection included.
	Timeout time.Duration
	// Hold makes what reads with the context keep their connection until release; nil lets them give it back at once.
	Hold func(context.Context) (held context.Context, release func())
	// Ready says why this process should get no requests, or nil; it may ask the database.
	Ready func(context.Context) error
	// Metrics takes the API's own metrics, and Gatherer gives what /metrics shows. Both or none.
	Metrics  prometheus.Registerer
	Gatherer prometheus.Gatherer
}

// API answers requests.
type API struct {
	Options
	metrics *metrics
}

// New makes an API.
func New(o Options) *API {
	if o.Metrics == nil {
		r := prometheus.NewRegistry()
		o.Metrics, o.Gatherer = r, r
	}
	return &API{Options: o, metrics: newMetrics(o.Metrics)}
}

// action handles one kind of request and returns what to answer: a value to show as JSON, or a reply.
type action func(*request) (any, error)

// request is a request and who asks.
type request struct {
	*http.Request
	who bookstore.Caller
}

// methods are the actions on one path.
type methods map[string]handler

// handler is an action and whom it is for. Services know that better; this is what can be said without asking the
// database.
type handler struct {
	do   action
	auth auth
}

func public(do action) handler   { return handler{do, ignored} }
func optional(do action) handler { return handler{do, welcome} }
func users(do action) handler    { return handler{do, needed} }

// routes are all paths of the shop. Each is served with and without its trailing slash: the original redirected, which
// would double the requests of whoever forgets it.
func (a *API) routes() map[string]methods {
	return map[string]methods{
		"/books":                             {"GET": public(a.books), "POST": users(a.createBook)},
		"/async_books":                       {"GET": public(a.asyncBooks)},
		"/books/{id}":                        {"GET": public(a.book), "PATCH": users(a.updateBook), "DELETE": users(a.deleteBook)},
		"/books/{id}/image":                  {"GET": public(a.image)},
		"/books/{id}/download":               {"GET": optional(a.download)},
		"/books/{id}/reviews":                {"GET": public(a.reviews), "POST": users(a.createReview)},
		"/books/{id}/wishlist":               {"PUT": users(a.addWish), "DELETE": users(a.removeWish)},
		"/reviews/{id}":                      {"PATCH": users(a.updateReview), "DELETE": users(a.deleteReview)},
		"/authors":                           {"GET": public(a.authors), "POST": users(a.createAuthor)},
		"/authors/{id}":                      {"GET": public(a.author), "DELETE": users(a.deleteAuthor)},
		"/authors/{id}/books":                {"GET": public(a.authorBooks)},
		"/genres":                            {"GET": public(a.genres)},
		"/genres/{id}":                       {"GET": public(a.genre), "DELETE": users(a.deleteGenre)},
		"/genres/{id}/books":                 {"GET": public(a.genreBooks)},
		"/users":                             {"GET": users(a.users), "POST": public(a.register)},
		"/users/{username}":                  {"GET": users(a.user)},
		"/login":                             {"POST": public(a.login)},
		"/profile":                           {"GET": users(a.profile)},
		"/profile/library":                   {"GET": users(a.library)},
		"/profile/wishlist":                  {"GET": users(a.wishlist)},
		"/orders":                            {"GET": users(a.orders)},
		"/checkout/order/create":             {"POST": optional(a.createOrder)},
		"/checkout/order/{order_id}/capture": {"POST": public(a.captureOrder)},
	}
}

// Handler routes requests.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	for path, m := range a.routes() {
		h := a.serve(path+"/", m)
		mux.Handle(path, h)
		mux.Handle(path+"/{$}", h)
	}
	mux.Handle("/{$}", a.serve("/", methods{"GET": public(a.alive)}))
	mux.Handle("/", a.serve("unknown", nil))
	a.operate(mux)
	return mux
}

// alive says that the process serves; it does not ask the database.
func (a *API) alive(*request) (any, error) {
	return map[string]string{"detail": "The bookstore is open"}, nil
}
