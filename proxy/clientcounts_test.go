package proxy

import (
	"log/slog"
	"testing"

	"weir/config"
	"weir/proxy/generation"
	"weir/proxy/pgerror"
)

func parseConfig(t *testing.T, toml string) *config.Config {
	t.Helper()
	c, err := config.Parse("test.toml", []byte(toml), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// generationOf is the generation of a configuration.
func generationOf(t *testing.T, toml string) *generation.Generation {
	t.Helper()
	g, err := generation.New(parseConfig(t, toml), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestClientsAreCountedOverAllPools(t *testing.T) {
	s := newClientCounts(generationOf(t, `
[limits]
max_client_conn = 4
max_db_client_connections = 2
max_user_client_connections = 3
[databases.shop]
host = "127.0.0.1"
[databases.big]
host = "127.0.0.1"
max_db_client_connections = 0
[users.batch]
max_user_client_connections = 1
`))
	for i, step := range []struct {
		user, database string
		leaves         bool
		message        string // of the refusal
	}{
		{user: "app", database: "shop"},
		{user: "app", database: "shop"},
		{user: "ann", database: "shop", message: `too many clients for database "shop"`},
		{user: "batch", database: "big"},
		{user: "batch", database: "big", message: `too many clients for user "batch"`},
		{user: "app", database: "big"},
		{user: "bob", database: "big", message: "too many clients"},
		{user: "app", database: "shop", leaves: true},
		{user: "ann", database: "shop"},
		{user: "ann", database: "shop", leaves: true},
		{user: "app", database: "big"},
		{user: "app", database: "big", leaves: true},
		{user: "app", database: "big", leaves: true},
		{user: "app", database: "shop", leaves: true},
		{user: "batch", database: "big", leaves: true},
	} {
		if step.leaves {
			s.leave(step.user, step.database)
			continue
		}
		err := s.admit(step.user, step.database)
		if got := message(err); got != step.message {
			t.Fatalf("step %d, %+v: %q", i, step, got)
		}
	}
	if s.count() != 0 || len(s.byDB)+len(s.byScope)+len(s.byUser) != 0 {
		t.Errorf("left: %d, %v, %v, %v", s.count(), s.byDB, s.byScope, s.byUser)
	}
}

func message(err *pgerror.Error) string {
	if err == nil {
		return ""
	}
	return err.Message
}
