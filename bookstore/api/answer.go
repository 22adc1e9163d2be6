package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/bookstore"
)

// retryAfter is what a caller is told to wait when the database is busy: a full pool empties within a request's time.
const retryAfter = time.Second

// reply is an answer that is not simply JSON with status 200.
type reply struct {
	status      int
	header      map[string]string
	contentType string
	body        []byte
	value       any // JSON, if there is no content type
}

// created answers 201.
func created(value any) reply { return reply{status: http.StatusCreated, value: value} }

// serve runs the action of the request's method and writes its answer.
func (a *API) serve(route string, m methods) http.Handler {
	allow := strings.Join(slices.Sorted(maps.Keys(m)), ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, ok := m[r.Method]
		if !ok && r.Method == http.MethodHead {
			h, ok = m[http.MethodGet] // net/http leaves the body out
		}
		observe := a.metrics.begin(route, r.Method, ok)
		var answer reply
		switch {
		case m == nil:
			answer = message(http.StatusNotFound, "Not Found")
		case !ok:
			answer = message(http.StatusMethodNotAllowed, "Method Not Allowed")
			answer.header = map[string]string{"Allow": allow}
		default:
			ctx, cancel := context.WithTimeout(r.Context(), a.Timeout)
			defer cancel()
			if a.Hold != nil && r.Method == http.MethodGet {
				var release func()
				ctx, release = a.Hold(ctx)
				defer release()
			}
			answer = a.answer(&request{Request: r.WithContext(ctx)}, h)
		}
		a.write(w, r, answer)
		observe(answer.status)
	})
}

// answer finds who asks and runs the action. An action that panics is a fault like any other.
func (a *API) answer(r *request, h handler) (answer reply) {
	defer func() {
		if p := recover(); p != nil {
			a.Log.Error("request failed", slog.String("path", r.URL.Path), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			answer = message(http.StatusInternalServerError, "Internal Server Error")
		}
	}()
	who, err := a.caller(r.Request, h.auth)
	if err != nil {
		return a.failure(r, err)
	}
	r.who = who
	value, err := h.do(r)
	if err != nil {
		return a.failure(r, err)
	}
	if answer, ok := value.(reply); ok {
		return answer
	}
	return reply{status: http.StatusOK, value: value}
}

func message(status int, text string) reply {
	return reply{status: status, value: map[string]any{"detail": text}}
}

// statuses are what the codes of errors become, here and nowhere else.
var statuses = map[bookstore.Code]int{
	bookstore.Invalid:         http.StatusUnprocessableEntity,
	bookstore.Unauthenticated: http.StatusUnauthorized,
	bookstore.Forbidden:       http.StatusForbidden,
	bookstore.NotFound:        http.StatusNotFound,
	bookstore.Conflict:        http.StatusConflict,
	bookstore.Unavailable:     http.StatusServiceUnavailable,
}

func (a *API) failure(r *request, err error) reply {
	var (
		e       *bookstore.Error
		tooMuch *http.MaxBytesError
	)
	switch {
	case errors.As(err, &tooMuch):
		return message(http.StatusRequestEntityTooLarge, "The request has more than "+strconv.FormatInt(tooMuch.Limit, 10)+" bytes")
	case !errors.As(err, &e):
		if r.Context().Err() == nil { // a caller who hung up is no fault
			a.Log.Error("request failed", slog.String("path", r.URL.Path), slog.Any("error", err))
		}
		return message(http.StatusInternalServerError, "Internal Server Error")
	}
	answer := message(statuses[e.Code], e.Detail)
	switch e.Code {
	case bookstore.Invalid:
		answer.value = map[string]any{"detail": e.Fields}
	case bookstore.Unauthenticated:
		answer.header = map[string]string{"WWW-Authenticate": "Bearer"}
	case bookstore.Unavailable:
		// Under load there are thousands of these; who counts them reads the metric, or the SQLSTATE in the body.
		a.metrics.unavailable(e.SQLState)
		a.Log.Debug("database unavailable", slog.String("path", r.URL.Path), slog.Any("error", err))
		answer.header = map[string]string{"Retry-After": strconv.Itoa(int(retryAfter.Seconds()))}
	case bookstore.Forbidden, bookstore.NotFound, bookstore.Conflict:
	}
	return answer
}

// bodies are buffers for answers in JSON. One that a huge listing has grown is not kept.
var bodies = sync.Pool{New: func() any { return new([]byte) }}

const bodyKeep = 1 << 20

// write sends an answer. A caller who hung up has no use for an error.
func (a *API) write(w http.ResponseWriter, r *http.Request, answer reply) {
	body := answer.body
	if answer.contentType == "" {
		buffer := bodies.Get().(*[]byte)
		defer func() {
			if cap(*buffer) <= bodyKeep {
				bodies.Put(buffer)
			}
		}()
		*buffer = a.asJSON((*buffer)[:0], &answer)
		body, answer.contentType = *buffer, "application/json"
	}
	header := w.Header()
	for name, value := range answer.header {
		header.Set(name, value)
	}
	header.Set("Content-Type", answer.contentType)
	header.Set("X-Content-Type-Options", "nosniff")
	if answer.status != http.StatusNotModified {
		header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(answer.status)
	if r.Method != http.MethodHead && answer.status != http.StatusNotModified {
		_, _ = w.Write(body)
	}
}

// asJSON appends the answer's value. The listings, which are what the load asks for, know the way themselves.
func (a *API) asJSON(b []byte, answer *reply) []byte {
	if books, ok := answer.value.([]bookstore.Book); ok {
		return bookstore.AppendBooks(b, books)
	}
	body, err := json.Marshal(answer.value)
	if err != nil {
		a.Log.Error("answer cannot be shown as JSON", slog.Any("error", err))
		answer.status = http.StatusInternalServerError
		return append(b, `{"detail":"Internal Server Error"}`...)
	}
	return append(b, body...)
}
