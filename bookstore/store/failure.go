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

// classify turns an error that says "the database is busy or away" into bookstore.Unavailable with its SQLSTATE.
// Others pass unchanged.
func classify(err error) error {
	if err == nil {
		return nil
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

// The codes that we give to failures below PostgreSQL's own messages (manual, appendix A, class 08).
const (
	cannotConnect  = "08001" // sqlclient_unable_to_establish_sqlconnection
	connectionLost = "08006" // connection_failure
)

// unavailable finds SQLSTATE and text of an error that may pass by itself; text is empty for other errors.
func unavailable(err error) (state, text string) {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		switch code := pgErr.Code; {
		case strings.HasPrefix(code, "08"), // connection exceptions; PgBouncer's time-outs too
			strings.HasPrefix(code, "53"),   // insufficient resources: 53300 is too_many_connections
			strings.HasPrefix(code, "57P0"): // the server is shutting down, crashed, starting
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
