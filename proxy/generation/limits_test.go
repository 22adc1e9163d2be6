package generation

import (
	"log/slog"
	"strings"
	"testing"

	"weir/config"
)

// generationOf is the generation of a configuration.
func generationOf(t *testing.T, toml string) *Generation {
	t.Helper()
	c, err := config.Parse("test.toml", []byte(toml), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Clients whose limits are the same have one copy of them.
func TestLimitsOfClientsAreShared(t *testing.T) {
	g := generationOf(t, "[databases.\"*\"]\nhost = \"h\"\n")
	if g.ClientLimits("db0", "u0") != g.ClientLimits("db1", "u1") {
		t.Error("there are two")
	}
}

// A limit of [limits] counts by where names lead, one of a section what the section leads to.
func TestLimitsOnDatabasesCountByWhereNamesLead(t *testing.T) {
	const toml = `
[limits]
max_db_connections = 9
[databases.shop]
host = "db1"
[databases.alias]
host = "db1"
dbname = "shop"
[databases.small]
host = "db1"
dbname = "shop"
max_db_connections = 2
[databases.far]
host = "db2"
dbname = "shop"
[databases."*"]
host = "db1"
`
	g := generationOf(t, toml)
	is := func(a, b string, same bool) {
		t.Helper()
		if one, other := g.Claim(PoolKey{Database: a, User: "u"}), g.Claim(PoolKey{Database: b, User: "v"}); (one.Scope == other.Scope) != same {
			t.Errorf("%s and %s: %q and %q", a, b, one.Scope, other.Scope)
		}
	}
	is("shop", "alias", true)
	is("shop", "small", false)
	is("shop", "far", false)
	is("x", "y", false)
	is("x", "shop", false)
	g = generationOf(t, strings.Replace(toml, "[databases.\"*\"]\n", "[databases.\"*\"]\ndbname = \"shop\"\n", 1))
	is("x", "shop", true)
	is("x", "y", true)
	g = generationOf(t, strings.Replace(toml, "[databases.\"*\"]\n", "[databases.\"*\"]\nmax_db_connections = 1\n", 1))
	is("x", "y", false)
	is("x", "x", true)
}
