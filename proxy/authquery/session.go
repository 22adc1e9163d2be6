package authquery

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"weir/config"
	"weir/proxy/backend"
)

// Settings are the startup parameters of a session. With this search_path a name without its schema can only be the system's:
// not even the settings of auth_user's role or of the database can lead the query elsewhere, because startup parameters win
// over both. pg_temp is named so that it comes last.
var Settings = [...][2]string{
	{"search_path", "pg_catalog, pg_temp"},
	{"statement_timeout", fmt.Sprint(lookupTimeout.Milliseconds())},
}

// Session makes a Conn of a connection that was opened with Settings, and owns it from then on. Open says that their search_path was left out.
func Session(a *backend.Asker, open bool) Conn { return asking{a, open} }

type asking struct {
	*backend.Asker
	open bool
}

// Ask implements Conn.
func (s asking) Ask(ctx context.Context, query, user string) (Answer, error) {
	reply, err := s.Asker.Ask(ctx, query, user)
	switch {
	case err != nil:
		return s.failed(err)
	case reply.Columns < 2:
		return Answer{}, fmt.Errorf("auth_query gives %d columns; want the user's name and what is stored as its password", reply.Columns)
	case reply.Rows > 1:
		return Answer{}, fmt.Errorf("auth_query gives %d rows for one user", reply.Rows)
	case reply.Rows == 0 || reply.First[0] == nil: // a function with OUT parameters gives a row of NULLs where it has found nothing
		return Answer{}, nil
	case string(reply.First[0]) != user:
		return Answer{}, fmt.Errorf("auth_query gives user %q for %q", reply.First[0], user)
	}
	return Answer{Known: true, Stored: config.NewSecret(string(reply.First[1]))}, nil
}

// failed says what became of a query.
func (s asking) failed(err error) (Answer, error) {
	server, ok := errors.AsType[*backend.ServerMessage](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Answer{}, fmt.Errorf("auth_query: the server has not answered within %s", lookupTimeout)
	case !ok:
		return Answer{}, fmt.Errorf("auth_query: %w", err)
	}
	switch server.Code {
	case "22021", "22P05": // the name is none in the database's encoding, so no user has it
		return Answer{}, nil
	case "42P01", "42883", "42704": // no such table, function or type
		if !s.open && !strings.Contains(server.Message, ".") {
			return Answer{}, fmt.Errorf("auth_query: %s (%s); it runs with search_path = %s, so names of yours need their schema",
				server.Message, server.Code, Settings[0][1])
		}
	}
	return Answer{}, fmt.Errorf("auth_query: %s (%s)", server.Message, server.Code)
}
