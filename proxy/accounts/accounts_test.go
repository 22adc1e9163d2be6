package accounts

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"weir/internal/generationtest"
	"weir/proxy/authquery"
	"weir/proxy/dial"
	"weir/proxy/login"
	"weir/proxy/pgerror"
)

// accountsOf are those of a configuration whose servers do not answer.
func accountsOf(t *testing.T, toml string) *Accounts {
	t.Helper()
	now := generationtest.Current(t, toml)
	a := New(now, dial.NewTargets(now, slog.New(slog.DiscardHandler)))
	t.Cleanup(a.Close)
	return a
}

const lookingUp = "[auth]\nauth_user = \"asker\"\n[users.asker]\npassword = \"x\"\n[databases.\"*\"]\nhost = \"127.0.0.1\"\nport = 1\n"

// A login makes a user familiar at the address that it came from, and nowhere else.
func TestUsersAreFamiliarWhereTheyHaveLoggedInFrom(t *testing.T) {
	a := accountsOf(t, lookingUp)
	a.BecameFamiliar("ann", "10.0.0.1")
	for f, want := range map[familiar]bool{{"ann", "10.0.0.1"}: true, {"ann", "10.0.0.2"}: false, {"bob", "10.0.0.1"}: false} {
		if got := a.isFamiliar(f); got != want {
			t.Errorf("%s at %s is familiar: %v", f.user, f.from, got)
		}
	}
	a.familiar[familiar{"ann", "10.0.0.1"}] = time.Now().Add(-familiarFor)
	if a.isFamiliar(familiar{"ann", "10.0.0.1"}) {
		t.Error("a login is remembered for ever")
	}
}

// Whatever addresses users log in from, no more than so many are kept.
func TestFamiliarUsersAreBounded(t *testing.T) {
	a := accountsOf(t, lookingUp)
	for i := range familiarMax + 10 {
		a.BecameFamiliar("ann", fmt.Sprint(i))
	}
	if len(a.familiar) != familiarMax || !a.isFamiliar(familiar{"ann", fmt.Sprint(familiarMax + 9)}) {
		t.Errorf("%d are kept, the last one among them: %v", len(a.familiar), a.isFamiliar(familiar{"ann", fmt.Sprint(familiarMax + 9)}))
	}
}

// Where no user is looked up, nothing takes longer for a stranger, and nothing is kept.
func TestNoUserIsFamiliarWhereNoneIsLookedUp(t *testing.T) {
	a := accountsOf(t, "[databases.\"*\"]\nhost = \"127.0.0.1\"\n")
	a.BecameFamiliar("ann", "10.0.0.1")
	if len(a.familiar) != 0 {
		t.Error("an address is kept")
	}
}

// Users of the configuration need no server.
func TestUsersOfTheConfigurationAreNotLookedUp(t *testing.T) {
	a := accountsOf(t, "[users.ann]\npassword = \"secret\"\n[databases.\"*\"]\nhost = \"127.0.0.1\"\n")
	for user, known := range map[string]bool{"ann": true, "bob": false} {
		account, err := a.LookUp(context.Background(), login.Claim{User: user, Database: "shop"})
		if err != nil || account.Known != known || account.Asked || known && account.Stored.Reveal() != "secret" {
			t.Errorf("%s: %+v, %v", user, account, err)
		}
	}
}

// Users are looked up where auth_dbname says, or in the database that the client names.
func TestUsersAreLookedUpInOneDatabase(t *testing.T) {
	const toml = `
[auth]
auth_user = "asker"
[databases.shop]
host = "127.0.0.1"
[databases.ledger]
host = "127.0.0.1"
auth_dbname = "shop"
`
	c := generationtest.Of(t, toml).Config
	for _, want := range []struct {
		database, source string
		ok               bool
	}{{"shop", "shop", true}, {"ledger", "shop", true}, {"other", "other", false}} {
		source, ok := sourceOf(c, want.database, c.PoolSettings(want.database, ""))
		if source.Database != want.source || source.User != "asker" || ok != want.ok {
			t.Errorf("%s: %+v, %v", want.database, source, ok)
		}
	}
}

// A database that is disabled is not asked either.
func TestDisabledDatabasesAreNotAsked(t *testing.T) {
	a := accountsOf(t, lookingUp)
	a.TurnsAway = func(database string) *pgerror.Error { return pgerror.DatabaseDisabled(database) }
	g := a.current.Load()
	if err := a.mayAsk(g, authquery.Source{Database: "shop"}); err == nil {
		t.Error("it is")
	}
}
