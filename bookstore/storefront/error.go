package storefront

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"weir/bookstore"
)

// problem is what the page of an error shows.
type problem struct {
	Heading  string
	Text     string
	SQLSTATE string
	Retry    bool
	Logout   bool // another account may be allowed
}

// headings and statuses of errors, here and nowhere else.
var (
	headings = map[bookstore.Code]string{
		bookstore.Invalid:         "That did not work",
		bookstore.Unauthenticated: "Please log in",
		bookstore.Forbidden:       "Not allowed",
		bookstore.NotFound:        "Not found",
		bookstore.Conflict:        "That is there already",
		bookstore.Unavailable:     "The shop is full",
	}
	statuses = map[bookstore.Code]int{
		bookstore.Invalid:         http.StatusUnprocessableEntity,
		bookstore.Unauthenticated: http.StatusUnauthorized,
		bookstore.Forbidden:       http.StatusForbidden,
		bookstore.NotFound:        http.StatusNotFound,
		bookstore.Conflict:        http.StatusConflict,
		bookstore.Unavailable:     http.StatusServiceUnavailable,
	}
)

// fault makes an error of what a page panicked with.
func fault(what any) error { return fmt.Errorf("panic: %v\n%s", what, debug.Stack()) }

// fail shows an error. Who has to log in for a page is sent to do so; a fault is logged, and the visitor learns nothing.
func (v *visit) fail(err error) {
	var e *bookstore.Error
	status, p := http.StatusInternalServerError, problem{
		Heading: "Something went wrong", Text: "It is our fault, and it is in our log. Try again later.", Retry: true,
	}
	switch {
	case !errors.As(err, &e):
		if v.r.Context().Err() == nil { // a visitor who left is no fault
			v.log().Error("page failed", slog.Any("error", err))
		}
	case e.Code == bookstore.Unauthenticated:
		v.setCookie(sessionCookie, "", 0)
		_ = v.goTo(loginPath(v.here()), "")
		return
	case e.Code == bookstore.Unavailable:
		v.log().Debug("database unavailable", slog.Any("error", err))
		v.w.Header().Set("Retry-After", "1")
		status, p = statuses[e.Code], problem{
			Heading: headings[e.Code], Retry: true, SQLSTATE: e.SQLState,
			Text: "The database is busy or away, so this page could not be made. Try again in a moment.",
		}
	default:
		status, p = statuses[e.Code], problem{
			Heading: headings[e.Code], Text: sentence(e), Logout: e.Code == bookstore.Forbidden && !v.who.Guest(),
		}
	}
	if err := v.show(status, "error", p.Heading, p); err != nil {
		v.log().Error("error page failed", slog.Any("error", err))
		http.Error(v.w, p.Heading, status)
	}
}

// sentence is an error in a line for a person: the first thing that is wrong with a form, if it is that.
func sentence(e *bookstore.Error) string {
	if len(e.Fields) == 0 {
		return e.Detail
	}
	f := e.Fields[0]
	return fmt.Sprintf("%v: %s", f.Loc[len(f.Loc)-1], f.Msg)
}

// wrong is what is wrong with a form, by field, for a page that shows the form again; ok says whether that is what err is.
func wrong(err error) (byField map[string]string, ok bool) {
	var e *bookstore.Error
	if !errors.As(err, &e) {
		return nil, false
	}
	switch e.Code {
	case bookstore.Invalid:
		byField = map[string]string{}
		for _, f := range e.Fields {
			byField[fmt.Sprint(f.Loc[len(f.Loc)-1])] = f.Msg
		}
	case bookstore.Unauthenticated, bookstore.Conflict, bookstore.Forbidden:
		byField = map[string]string{"": e.Detail}
	case bookstore.NotFound, bookstore.Unavailable:
		return nil, false
	}
	return byField, true
}

// nowhere is for addresses that are no page.
func (s *Storefront) nowhere(*visit) error { return errNoPage }
