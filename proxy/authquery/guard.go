package authquery

import (
	"context"
	"fmt"
)

// Where the configuration names the database of the lookups, its operator has chosen which database to believe. Where only a client has
// named it ([databases."*"] without auth_dbname), any role may own that database. A role that can create a function in it that the
// query calls would answer for every user, and act as auth_user. So there a query that names something outside of pg_catalog runs only
// if no ordinary role can create anything. What pg_catalog has is the same everywhere.

// openQuery finds a role that is neither a superuser nor the one that asks, $1, and can create something in the database: as its owner,
// or in one of its schemas. PostgreSQL 15 and later give the schema public to pg_database_owner, which stands for the owner.
const openQuery = `SELECT $1::pg_catalog.text, (
	SELECT maker FROM (
		SELECT coalesce(r.rolname::pg_catalog.text, 'public') AS maker, coalesce(r.rolsuper, false) AS super
		FROM (
			SELECT d.datdba AS role FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
			UNION ALL
			SELECT a.grantee FROM pg_catalog.pg_database d, pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
			WHERE d.datname = pg_catalog.current_database() AND a.privilege_type = 'CREATE'
			UNION ALL
			SELECT n.nspowner FROM pg_catalog.pg_namespace n
			UNION ALL
			SELECT a.grantee FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) a
			WHERE a.privilege_type = 'CREATE'
		) makers LEFT JOIN pg_catalog.pg_roles r ON r.oid = makers.role
	) roles
	WHERE NOT super AND maker NOT IN (session_user, 'pg_database_owner')
	ORDER BY 1 LIMIT 1)`

// openToOthers is a database where the query must not run.
type openToOthers struct{ database, role string }

func (e *openToOthers) Error() string {
	return fmt.Sprintf("no user is looked up in database %q, which only the client has named and where %s can create what auth_query names; "+
		"set auth_dbname, or name the database in [databases]", e.database, e.role)
}

// guard refuses a database that is open to others.
func guard(ctx context.Context, c Conn, s Source) error {
	if !s.Guarded {
		return nil
	}
	answer, err := c.Ask(ctx, openQuery, s.User)
	switch {
	case err != nil:
		return err
	case answer.Stored.IsSet():
		return &openToOthers{s.Database, answer.Stored.Reveal()}
	case !answer.Known: // never: the row is there
		return &openToOthers{s.Database, "an unknown role"}
	}
	return nil
}
