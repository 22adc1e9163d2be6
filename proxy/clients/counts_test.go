package clients

import (
	"fmt"
	"testing"

	"weir/internal/generationtest"
	"weir/proxy/pgerror"
)

func TestClientsAreCountedOverAllPools(t *testing.T) {
	s := New(generationtest.Of(t, `
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
			s.Leave(step.user, step.database)
			continue
		}
		err := s.Admit(step.user, step.database)
		if got := message(err); got != step.message {
			t.Fatalf("step %d, %+v: %q", i, step, got)
		}
	}
	if s.Count() != 0 || len(s.byDB)+len(s.byScope)+len(s.byUser) != 0 {
		t.Errorf("left: %d, %v, %v, %v", s.Count(), s.byDB, s.byScope, s.byUser)
	}
}

func message(err *pgerror.Error) string {
	if err == nil {
		return ""
	}
	return err.Message
}

// Clients that are there stay when limits change, and count under the new ones.
func TestClientCountsFollowANewGeneration(t *testing.T) {
	const toml = "[databases.shop]\nhost = \"h\"\n[databases.alias]\nhost = \"h\"\ndbname = \"shop\"\n"
	s := New(generationtest.Of(t, toml))
	for _, database := range []string{"shop", "alias"} {
		if err := s.Admit("app", database); err != nil {
			t.Fatal(err)
		}
	}
	s.Renew(generationtest.Of(t, "[limits]\nmax_db_client_connections = 2\n"+toml))
	if err := s.Admit("app", "alias"); err == nil {
		t.Error("a third client of one database")
	}
	s.Renew(generationtest.Of(t, toml+"max_db_client_connections = 2\n"))
	if err := s.Admit("app", "alias"); err != nil {
		t.Error(err)
	}
	for _, database := range []string{"shop", "alias", "alias"} {
		s.Leave("app", database)
	}
	if len(s.byDB)+len(s.byScope) != 0 {
		t.Errorf("left: %v %v", s.byDB, s.byScope)
	}
}

// Whatever clients name, what is kept of it ends with them.
func TestNothingIsKeptOfClientsThatHaveLeft(t *testing.T) {
	s := New(generationtest.Of(t, "[databases.\"*\"]\nhost = \"h\"\n[limits]\nmax_db_client_connections = 3\n"))
	for i := range 500 {
		database, user := fmt.Sprint("db", i), fmt.Sprint("u", i)
		if err := s.Admit(user, database); err != nil {
			t.Fatal(err)
		}
		s.Leave(user, database)
	}
	if n := len(s.byDB) + len(s.byScope) + len(s.byUser) + len(s.logins); n != 0 {
		t.Errorf("%d things are left of clients", n)
	}
}
