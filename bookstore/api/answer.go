package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/bookstore"
)

// retryAfter is what a caller is told to wait when the database is busy: a full house empties within a request's time.
const retryAfter = time.Second

// serve runs the action of the request's method and writes its answer.
func (a *API) serve(m methods) http.Handler {
	allow := strings.Join(slices.Sorted(maps.Keys(m)), ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		do, ok := m[r.Method]
		if !ok && r.Method == http.MethodHead {
			do, ok = m[http.MethodGet] // net/http leaves the body out
		}
		if !ok {
			w.Header().Set("Allow", allow)
			a.write(w, http.StatusMethodNotAllowed, detail("Method Not Allowed"))
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), a.timeout)
		defer cancel()
		value, err := do(r.WithContext(ctx))
		if err != nil {
			a.fail(w, r, err)
			return
		}
		a.write(w, http.StatusOK, value)
	})
}

func detail(text string) map[string]any { return map[string]any{"detail": text} }

// fail turns an error into status and body, here and nowhere else.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	var e *bookstore.Error
	if !errors.As(err, &e) {
		if r.Context().Err() == nil { // a caller who hung up is no fault
			a.log.Error("request failed", slog.String("path", r.URL.Path), slog.Any("error", err))
		}
		a.write(w, http.StatusInternalServerError, detail("Internal Server Error"))
		return
	}
	switch e.Code {
	case bookstore.Invalid:
		a.write(w, http.StatusUnprocessableEntity, map[string]any{"detail": e.Fields})
	case bookstore.NotFound:
		a.write(w, http.StatusNotFound, detail(e.Detail))
	case bookstore.Unavailable:
		// Under load there are thousands of these; who counts them reads the SQLSTATE in the body.
		a.log.Debug("database unavailable", slog.String("path", r.URL.Path), slog.Any("error", err))
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
		a.write(w, http.StatusServiceUnavailable, detail(e.Detail))
	}
}

func (a *API) notFound(w http.ResponseWriter, r *http.Request) {
	a.write(w, http.StatusNotFound, detail("Not Found"))
}

func (a *API) write(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		a.log.Error("answer cannot be shown as JSON", slog.Any("error", err))
		status, body = http.StatusInternalServerError, []byte(`{"detail":"Internal Server Error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a caller who hung up has no use for an error
}
