package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/bookstore"
)

// The SQLSTATEs that mean something here (manual, appendix A). The first two are also those that we give to failures
// below PostgreSQL's own messages.
const (
	cannotConnect        = "08001" // sqlclient_unable_to_establish_sqlconnection
	connectionLost       = "08006" // connection_failure
	foreignKeyViolation  = "23503"
	uniqueViolation      = "23505"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	queryCanceled        = "57014" // a time-out of the server or of a pooler
)

// refusals say what a caller did who ran into a constraint. Looking before writing cannot rule that out: another may
// write in between.
var refusals = map[string]*bookstore.Error{
	"books_title_key":               bookstore.Refuse(bookstore.Conflict, "A book of this title exists"),
	"authors_name_key":              bookstore.Refuse(bookstore.Conflict, "An author of this name exists"),
	"users_username_key":            bookstore.Refuse(bookstore.Conflict, "Username taken"),
	"reviews_user_id_book_id_key":   bookstore.Refuse(bookstore.Conflict, "You have reviewed this book already"),
	"reviews_book_id_fkey":          errNoBook,
	"reviews_user_id_fkey":          errUnknownCaller,
	"book_ownership_book_id_fkey":   errNoBook,
	"book_ownership_user_id_fkey":   errUnknownCaller,
	"ordered_books_book_id_fkey":    errNoBook,
	"orders_client_user_id_fkey":    errUnknownCaller,
	"wishlists_user_id_fkey":        errUnknownCaller,
	"wishlisted_books_book_id_fkey": errNoBook,
}

// What there is not.
var (
	errNoBook   = bookstore.Refuse(bookstore.NotFound, "Book not found")
	errNoAuthor = bookstore.Refuse(bookstore.NotFound, "Author not found")
	errNoGenre  = bookstore.Refuse(bookstore.NotFound, "Genre not found")
	errNoReview = bookstore.Refuse(bookstore.NotFound, "Review not found")
	errNoUser   = bookstore.Refuse(bookstore.NotFound, "User not found")
	errNoOrder  = bookstore.Refuse(bookstore.NotFound, "Order not found")
)

// classify turns the database's error into one that a caller may see: a constraint that says what the caller did, or
// "the database is busy or away" as bookstore.Unavailable with its SQLSTATE. Others pass unchanged.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && (pgErr.Code == uniqueViolation || pgErr.Code == foreignKeyViolation) {
		if refusal, ok := refusals[pgErr.ConstraintName]; ok {
			return &bookstore.Error{Code: refusal.Code, Detail: refusal.Detail, Err: err}
		}
		return err
	}
	state, text := unavailable(err)
	if text == "" {
		return err
	}
	detail := "database unavailable: " + text
	if state != "" {
		detail += fmt.Sprintf(" (SQLSTATE %s)", state)
	}
	return &bookstore.Error{Code: bookstore.Unavailable, Detail: detail, SQLState: state, Err: err}
}

// unavailable finds SQLSTATE and text of an error that may pass by itself; text is empty for other errors.
func unavailable(err error) (state, text string) {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		switch code := pgErr.Code; {
		case strings.HasPrefix(code, "08"), // connection exceptions; PgBouncer's time-outs too
			strings.HasPrefix(code, "25P"),  // a transaction that took too long
			strings.HasPrefix(code, "40"),   // given up for another's sake, tries used up
			strings.HasPrefix(code, "53"),   // insufficient resources: 53300 is too_many_connections, and weir's wait time-out
			strings.HasPrefix(code, "57P0"), // the server is shutting down, crashed, starting
			code == queryCanceled:
			return code, pgErr.Message
		}
		return "", ""
	}
	if errors.Is(err, context.Canceled) {
		return "", "" // the caller went away; that is nobody's fault
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "", "no answer in time"
	}
	var connectErr *pgconn.ConnectError
	if errors.As(err, &connectErr) {
		return cannotConnect, "cannot connect"
	}
	var netErr net.Error
	if errors.As(err, &netErr) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, driver.ErrBadConn) {
		return connectionLost, "connection lost"
	}
	return "", ""
}
