package accounts

import (
	"context"

	"weir/config"
	"weir/proxy/authquery"
	"weir/proxy/backend"
	"weir/proxy/generation"
	"weir/proxy/hosts"
	"weir/proxy/session"
)

// connectToAsk opens a session for auth_query. PgBouncer's users name functions of theirs without a schema: open leaves the server's
// search_path as it is.
func connectToAsk(ctx context.Context, servers *hosts.Hosts, target hosts.Destination, open bool) (authquery.Conn, error) {
	target.ApplicationName = "weir auth_query"
	for _, s := range authquery.Settings {
		if open && s[0] == "search_path" {
			continue
		}
		target.Settings = append(target.Settings, session.Setting{Name: s[0], Value: s[1]})
	}
	conn, _, err := servers.Reach(ctx, target)
	if err != nil {
		return nil, err
	}
	return authquery.Session(backend.NewAsker(conn), open), nil
}

// named reports whether users are looked up in the database that the client names. If that does not exist, the configuration is not at
// fault.
func named(c *config.Config, database string) bool {
	_, configured := c.Databases[database]
	return !configured && c.PoolSettings(database, "").AuthDBName == ""
}

// sourceOf is where the users of a database are looked up. False: nowhere, because there is no such database.
func sourceOf(c *config.Config, database string, s config.PoolSettings) (authquery.Source, bool) {
	_, ok := c.Database(database)
	source := authquery.Source{Database: s.AuthDBName, User: s.AuthUser, Query: s.AuthQuery}
	source.Guarded = named(c, database) && config.NamesOthers(s.AuthQuery)
	if source.Database == "" {
		source.Database = database
	}
	d, _ := c.Database(source.Database)
	source.At = generation.Address(d)
	return source, ok
}
