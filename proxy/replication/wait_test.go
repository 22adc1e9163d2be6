package replication

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/generationtest"
	"weir/proxy/generation"
	"weir/proxy/pgerror"
	"weir/proxy/places"
)

const oneDial = `
[pool]
max_dials = 1
[databases.shop]
host = "127.0.0.1"
[databases."*"]
host = "127.0.0.1"
`

func present() bool { return false }

// One dial of a section is under way at a time, whatever databases and users its clients name, and nothing is kept of those that are over.
func TestDialsOfASectionTakeTurns(t *testing.T) {
	g := generationtest.Of(t, oneDial)
	synctest.Test(t, func(t *testing.T) {
		var dials turns
		wait := newPatience(t.Context(), time.Minute, present)
		defer wait.end()
		first, err := dials.turn(g, generation.PoolKey{Database: "a", User: "ann"}, wait)
		if err != nil {
			t.Fatal(err)
		}
		other, err := dials.turn(g, generation.PoolKey{Database: "shop", User: "ann"}, wait)
		if err != nil {
			t.Fatalf("of another section: %v", err)
		}
		begun := false
		go func() {
			second, err := dials.turn(g, generation.PoolKey{Database: "b", User: "bob"}, wait)
			if err != nil {
				t.Error(err)
				return
			}
			begun = true
			second()
		}()
		synctest.Wait()
		if begun {
			t.Error("two of one section at a time")
		}
		first()
		synctest.Wait()
		other()
		if !begun || len(dials.open) != 0 {
			t.Errorf("the second has begun: %v; left: %v", begun, dials.open)
		}
	})
}

// A client waits for its turn until its time is up, it is gone, or weir stops.
func TestWaitsForATurnEnd(t *testing.T) {
	g := generationtest.Of(t, oneDial)
	key := generation.PoolKey{Database: "shop", User: "ann"}
	for _, c := range []struct {
		name  string
		limit time.Duration
		gone  bool
		stops bool
		code  string
	}{
		{name: "the time is up", limit: 10 * time.Second, code: pgerror.CodeTooManyConnections},
		{name: "the client is gone", gone: true, code: pgerror.Canceled.Code},
		{name: "weir stops", stops: true, code: pgerror.ShuttingDown.Code},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				var dials turns
				wait := newPatience(ctx, c.limit, func() bool { return c.gone })
				defer wait.end()
				done, err := dials.turn(g, key, wait)
				if err != nil {
					t.Fatal(err)
				}
				if c.stops {
					time.AfterFunc(time.Second/2, stop)
				}
				if _, err = dials.turn(g, key, wait); err == nil || err.Code != c.code || err.Severity != pgerror.SeverityFatal {
					t.Errorf("%+v", err)
				}
				if done(); len(dials.open) != 0 {
					t.Errorf("left: %v", dials.open)
				}
			})
		})
	}
}

// What waits for a place of the pools' gets it when a pool gives one up, and gives it back.
func TestPlacesAreSharedWithOthers(t *testing.T) {
	g := generationtest.Of(t, "[databases.shop]\nhost = \"127.0.0.1\"\nmax_db_connections = 1\n")
	claim := g.Claim(generation.PoolKey{Database: "shop", User: "ann"})
	synctest.Test(t, func(t *testing.T) {
		all := places.New()
		wait := newPatience(t.Context(), time.Minute, present)
		defer wait.end()
		first, second := newOwnPlace(all), newOwnPlace(all)
		if err := first.take(claim, wait); err != nil {
			t.Fatal(err)
		}
		got := false
		go func() {
			if err := second.take(claim, wait); err != nil {
				t.Error(err)
			}
			got = true
		}()
		synctest.Wait()
		if got {
			t.Error("there is one place, and two have it")
		}
		first.leave()
		synctest.Wait()
		if !got {
			t.Error("the place is not passed on")
		}
		second.leave()
	})
}

// A connection that is killed while it is dialled is known by its number, and by what its client has named.
func TestConnectionsAreKilledBeforeTheyOpen(t *testing.T) {
	s := New(Parts{})
	r := &connection{number: 7, key: generation.PoolKey{Database: "shop", User: "ann"}}
	s.begin(r)
	if s.KillClient(8, pgerror.ClientKilled) || r.killed != nil {
		t.Error("another one was meant")
	}
	s.Kill(func(key generation.PoolKey) bool { return key.Database == "shop" }, pgerror.DatabaseKilled)
	if r.killed != pgerror.DatabaseKilled {
		t.Errorf("killed: %v", r.killed)
	}
	s.giveUp(r)
	if s.KillClient(7, pgerror.ClientKilled) {
		t.Error("it has been given up")
	}
}
