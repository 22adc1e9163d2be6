// Package api serves the bookstore over HTTP: paths, parameters and JSON are those of the original.
//
// A handler decodes the request, calls the store and returns a value or an error; answering (answer.go) is one place.
// So a database connection is back in its pool before the first byte of an answer is written: the original held it
// until a slow reader had taken the last one. Handlers run on net/http's goroutines and share nothing but the store.
// It imports bookstore and the standard library.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"weir/bookstore"
)

// Store is what the API needs of the database. Its errors are bookstore.Error or faults.
type Store interface {
	// Books lists with one SELECT for the books and two for each of them.
	Books(context.Context, bookstore.Page) ([]bookstore.Book, error)
	// Joined is the same list from one SELECT.
	Joined(context.Context, bookstore.Page) ([]bookstore.Book, error)
	Authors(context.Context, bookstore.Page) ([]bookstore.Author, error)
}

// API answers requests.
type API struct {
	store   Store
	log     *slog.Logger
	timeout time.Duration
}

// New makes an API. timeout bounds the work on one request, the wait for a pooled connection included.
func New(store Store, log *slog.Logger, timeout time.Duration) *API {
	return &API{store: store, log: log, timeout: timeout}
}

// action handles one kind of request and returns what to show as JSON.
type action func(*http.Request) (any, error)

// methods are the actions on one path.
type methods map[string]action

// Handler routes requests. Every path is served with and without its trailing slash: the original redirected, which
// would double the requests of whoever forgets it.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	for path, m := range map[string]methods{
		"/books":       {http.MethodGet: a.books},
		"/async_books": {http.MethodGet: a.asyncBooks},
		"/authors":     {http.MethodGet: a.authors},
	} {
		mux.Handle(path, a.serve(m))
		mux.Handle(path+"/{$}", a.serve(m))
	}
	mux.Handle("/{$}", a.serve(methods{http.MethodGet: a.alive}))
	mux.HandleFunc("/", a.notFound)
	return mux
}

// alive says that the process serves; it does not ask the database.
func (a *API) alive(*http.Request) (any, error) {
	return map[string]string{"detail": "The bookstore is open"}, nil
}

func (a *API) books(r *http.Request) (any, error) {
	page, err := pageOf(r, defaultLimit)
	if err != nil {
		return nil, err
	}
	return a.store.Books(r.Context(), page)
}

// asyncBooks lists all books unless asked for fewer: the original ignored skip and limit here.
func (a *API) asyncBooks(r *http.Request) (any, error) {
	page, err := pageOf(r, 0)
	if err != nil {
		return nil, err
	}
	return a.store.Joined(r.Context(), page)
}

func (a *API) authors(r *http.Request) (any, error) {
	page, err := pageOf(r, defaultLimit)
	if err != nil {
		return nil, err
	}
	return a.store.Authors(r.Context(), page)
}
