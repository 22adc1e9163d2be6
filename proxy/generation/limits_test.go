package generation_test

import (
	"strings"
	"testing"

	"weir/internal/generationtest"
	"weir/proxy/generation"
)

// Clients whose limits are the same have one copy of them.
func TestLimitsOfClientsAreShared(t *testing.T) {
	g := generationtest.Of(t, "[databases.\"*\"]\nhost = \"h\"\n")
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
	g := generationtest.Of(t, toml)
	is := func(a, b string, same bool) {
		t.Helper()
		if one, other := g.Claim(generation.PoolKey{Database: a, User: "u"}), g.Claim(generation.PoolKey{Database: b, User: "v"}); (one.Scope == other.Scope) != same {
			t.Errorf("%s and %s: %q and %q", a, b, one.Scope, other.Scope)
		}
	}
	is("shop", "alias", true)
	is("shop", "small", false)
	is("shop", "far", false)
	is("x", "y", false)
	is("x", "shop", false)
	g = generationtest.Of(t, strings.Replace(toml, "[databases.\"*\"]\n", "[databases.\"*\"]\ndbname = \"shop\"\n", 1))
	is("x", "shop", true)
	is("x", "y", true)
	g = generationtest.Of(t, strings.Replace(toml, "[databases.\"*\"]\n", "[databases.\"*\"]\nmax_db_connections = 1\n", 1))
	is("x", "y", false)
	is("x", "x", true)
}
