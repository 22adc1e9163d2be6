package authquery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/config"
)

// Settings are the startup parameters of a session. With this search_path a name without its schema can only be the system's:
// not even the settings of auth_user's role or of the database can lead the query elsewhere, because startup parameters win
// over both. pg_temp is named so that it comes last.
var Settings = [...][2]string{
	{"search_path", "pg_catalog, pg_temp"},
	{"statement_timeout", fmt.Sprint(lookupTimeout.Milliseconds())},
}

// closeTimeout bounds the good-bye to a server.
const closeTimeout = time.Second

// Session makes a Conn of a connection that was opened with Settings, and owns it from then on.
func Session(pg *pgconn.PgConn) Conn { return pgSession{pg} }

type pgSession struct{ pg *pgconn.PgConn }

func (s pgSession) Usable() bool { return !s.pg.IsClosed() }

func (s pgSession) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = s.pg.Close(ctx) // whatever it says, the connection is closed
}

// Ask implements Conn.
func (s pgSession) Ask(ctx context.Context, query, user string) (Answer, error) {
	result := s.pg.ExecParams(ctx, query, [][]byte{[]byte(user)}, nil, nil, nil)
	rows := 0
	var name, password []byte
	columns := len(result.FieldDescriptions())
	for result.NextRow() {
		if rows++; rows == 1 && columns >= 2 {
			name, password = clone(result.Values()[0]), clone(result.Values()[1])
		}
	}
	_, err := result.Close()
	if err != nil {
		return s.failed(err)
	}
	switch {
	case columns < 2:
		return Answer{}, fmt.Errorf("auth_query gives %d columns; want the user's name and what is stored as its password", columns)
	case rows > 1:
		return Answer{}, fmt.Errorf("auth_query gives %d rows for one user", rows)
	case rows == 0 || name == nil: // a function with OUT parameters gives a row of NULLs where it has found nothing
		return Answer{}, nil
	case string(name) != user:
		return Answer{}, fmt.Errorf("auth_query gives user %q for %q", name, user)
	}
	return Answer{Known: true, Stored: config.NewSecret(string(password))}, nil
}

// clone keeps NULL apart from an empty text. Rows are valid until the next one is read.
func clone(value []byte) []byte {
	if value == nil {
		return nil
	}
	return append([]byte{}, value...)
}

// failed says what became of a query.
func (s pgSession) failed(err error) (Answer, error) {
	server, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return Answer{}, fmt.Errorf("auth_query: %w", err)
	}
	switch server.Code {
	case "22021", "22P05": // the name is none in the database's encoding, so nobody has it
		return Answer{}, nil
	case "42P01", "42883", "42704": // no such table, function or type
		if !strings.Contains(server.Message, ".") {
			return Answer{}, fmt.Errorf("auth_query: %s (%s); it runs with search_path = %s, so names of yours need their schema",
				server.Message, server.Code, Settings[0][1])
		}
	}
	return Answer{}, fmt.Errorf("auth_query: %s (%s)", server.Message, server.Code)
}
