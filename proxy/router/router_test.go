package router

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"weir/internal/generationtest"
	"weir/pool"
	"weir/proxy/cancelkey"
	"weir/proxy/generation"
	"weir/proxy/pgerror"
	"weir/proxy/relay"
	"weir/proxy/session"
	"weir/proxy/socket"
	"weir/proxy/status"
)

// routerOf is a router of a configuration, with one engine, whose loop runs at the end of the test only: what is asked of it stays
// undone, so that the test alone decides.
func routerOf(t *testing.T, toml string) *Router {
	t.Helper()
	e := engine(t)
	t.Cleanup(func() {
		e.Stop()
		e.Run()
	})
	return routerOn(t, toml, e)
}

// engine is one that does not run.
func engine(t *testing.T) *relay.Engine {
	t.Helper()
	loop, err := relay.NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	return relay.NewEngine(&relay.Env{Log: slog.New(slog.DiscardHandler), Settings: new(session.Table), Keys: cancelkey.New(0, 1, rand.Reader)}, 0, loop)
}

func routerOn(t *testing.T, toml string, e *relay.Engine) *Router {
	t.Helper()
	return New(generationtest.Current(t, toml), []*relay.Engine{e}, noServers{})
}

// noServers has no backend to give.
type noServers struct{}

func (noServers) Dial(context.Context, generation.PoolKey) (*relay.Dialled, *relay.DialError) {
	return nil, &relay.DialError{Failure: pool.Failure{Kind: pool.Unreachable}, Client: pgerror.Unreachable("nowhere", "there is none")}
}

func (noServers) Writable(context.Context, generation.PoolKey) bool { return false }

const anywhere = "[databases.\"*\"]\nhost = \"127.0.0.1\"\nport = 1\n"

// A client that is between its login and its pool's loop keeps the pool; when the pool is gone the client gets another one. There is
// nothing in between.
func TestPoolIsKeptForAClientOnItsWay(t *testing.T) {
	r := routerOf(t, anywhere)
	first, _, one := r.Join("shop", "app", nil)
	p := r.pools[generation.PoolKey{Database: "shop", User: "app"}]
	if r.forget(p, p.home) {
		t.Fatal("the pool of a client is forgotten")
	}
	again, _, two := r.Join("shop", "app", nil)
	if again != first {
		t.Error("a pool that is there is made again")
	}
	one.Leave()
	if r.forget(p, p.home) {
		t.Fatal("the pool of the second client is forgotten")
	}
	two.Leave()
	if !r.forget(p, p.home) || r.Knows("shop", "app") {
		t.Fatal("a pool without clients is kept")
	}
	if r.loads[0] != 0 || r.Places.Size() != 0 {
		t.Errorf("it is counted still: load %v, %d things", r.loads, r.Places.Size())
	}
	if other, _, _ := r.Join("shop", "app", nil); other == first {
		t.Error("a client was given a pool that has ended")
	}
}

// With which pools metrics show one is settled when it is opened, and what others have counted stays when they are gone: counters never fall.
func TestOtherPoolsStayOthers(t *testing.T) {
	r := routerOf(t, anywhere)
	members := map[string]Member{}
	join := func(database string) bool {
		_, _, m := r.Join(database, "app", nil)
		members[database] = m
		return m.pool.others
	}
	leave := func(database string, clients uint64) {
		m := members[database]
		m.Leave()
		if !r.forget(m.pool, m.pool.home) {
			t.Fatalf("%s is not forgotten", database)
		}
		p := status.Pool{Database: database, User: "app", Number: m.pool.number, Others: m.pool.others}
		p.Totals.ClientsServed = clients
		r.keepCounted(p)
	}
	for i := range status.PoolsApart {
		if join(fmt.Sprint("db", i)) {
			t.Fatalf("pool %d is one of the others", i)
		}
	}
	if !join("late") || !join("later") {
		t.Error("a pool beyond the bound has series of its own")
	}
	leave("db7", 7)
	if !members["late"].pool.others {
		t.Error("a pool has changed sides")
	}
	if join("db7") {
		t.Error("a place is not given again")
	}
	if !join("last") {
		t.Error("a place was given twice")
	}
	leave("late", 30)
	leave("later", 40)
	_, others, _ := r.Bygone()
	if !others.Others || others.Totals.ClientsServed != 70 {
		t.Errorf("the others that are gone have had %d clients, want 70", others.Totals.ClientsServed)
	}
}

// KILL ends a client, too, that has found its pool and not come to its lane yet, and none that comes later.
func TestKillEndsAClientOnItsWay(t *testing.T) {
	e := engine(t)
	go e.Run()
	t.Cleanup(func() {
		e.Stop()
		<-e.Done()
	})
	r := routerOn(t, anywhere, e)
	lane, limits, m := r.Join("shop", "app", nil)
	which := func(database string) bool { return database == "shop" }
	if err := r.Kill("shop", which, func() { e.Kill(which, pgerror.DatabaseKilled) }); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ours, err := net.DialTimeout("tcp", listener.Addr().String(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	_ = ours.SetReadDeadline(time.Now().Add(10 * time.Second))
	theirs, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := socket.Detach(theirs)
	if err != nil {
		t.Fatal(err)
	}
	lane.Admit(relay.Admission{FD: fd, Limits: limits, Kills: m.Kills, OnGone: m.Leave})
	told, err := io.ReadAll(ours)
	if err != nil || !bytes.Contains(told, []byte("57P01")) {
		t.Errorf("it is told %q, %v", told, err)
	}
	if _, _, later := r.Join("shop", "app", nil); later.Kills != lane.Lanes().Kills() {
		t.Error("who comes later is ended, too")
	}
}

// Whatever clients name, what is kept of it ends with them.
func TestNothingIsKeptOfNamesThatCameOnce(t *testing.T) {
	r := routerOf(t, anywhere+"[limits]\nmax_db_connections = 3\nmax_user_connections = 3\n")
	for i := range 500 {
		database, user := fmt.Sprint("db", i), fmt.Sprint("u", i)
		lane, _, m := r.Join(database, user, nil)
		if !r.Places.Take(lane.Lanes()) {
			t.Fatal("no place")
		}
		r.Places.Give(lane.Lanes())
		m.Leave()
		if !r.forget(r.pools[generation.PoolKey{Database: database, User: user}], 0) {
			t.Fatal("the pool is kept")
		}
	}
	if n := len(r.pools) + r.Places.Size(); n != 0 {
		t.Errorf("%d things are left of pools", n)
	}
}

// Names that all lead to one database share a pool: else there would be as many pools of it as names.
func TestNamesThatLeadToOneDatabaseShareAPool(t *testing.T) {
	r := routerOf(t, strings.Replace(anywhere, "port", "dbname = \"shop\"\nport", 1)+"[databases.own]\nhost = \"127.0.0.1\"\n")
	one, _, _ := r.Join("x", "app", nil)
	other, _, _ := r.Join("y", "app", nil)
	own, _, _ := r.Join("own", "app", nil)
	if one != other || one == own || one.Name() != "*/app" {
		t.Errorf("pools %s, %s and %s", one.Name(), other.Name(), own.Name())
	}
}

// Places that are held stay held when limits change, and count under the new ones.
func TestPlacesFollowANewGeneration(t *testing.T) {
	const toml = "[databases.shop]\nhost = \"127.0.0.1\"\n"
	r := routerOf(t, "[limits]\nmax_db_connections = 2\n"+toml)
	lane, _, _ := r.Join("shop", "app", nil)
	take := func(want bool) {
		t.Helper()
		if r.Places.Take(lane.Lanes()) != want {
			t.Fatalf("a place: %t", !want)
		}
	}
	take(true)
	take(true)
	take(false)
	r.Renew(generationtest.Of(t, toml+"max_db_connections = 3\n"))
	take(true)
	take(false)
	if setting, value, section := r.Places.Bound(lane.Lanes()); setting != "max_db_connections" || value != 3 || section != "databases.shop" {
		t.Errorf("bound by %s (%d, set in %s)", setting, value, section)
	}
	for range 3 {
		r.Places.Give(lane.Lanes())
	}
	r.Places.Decline(lane.Lanes()) // the one that was kept for it
	if left := r.Places.Users(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}
