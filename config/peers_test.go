package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestOrdinalIsTheNumberAtTheEndOfTheMachinesName(t *testing.T) {
	for host, want := range map[string]int{
		"weir-0": 1, "weir-15": 16, "my-weir-3.weir-peers.default.svc": 4, "weir-16382": 16383,
		"weir-16383": 0, "weir": 0, "0": 0, "weir0": 0, "weir-": 0, "weir-x": 0, "weir--1": 2, "weir-+1": 0, "weir-99999999999": 0, "": 0,
	} {
		if got := ordinalID(host); got != want {
			t.Errorf("%q is peer %d, want %d", host, got, want)
		}
	}
}

// The file of a StatefulSet is right wherever it is checked, and serves only where the machine's name says which peer it is.
func TestOrdinalOfAMachineWithoutOneIsAWarning(t *testing.T) {
	c := configOf(t, "[listen]\npeer_id = \"ordinal\"\n[peers.1-3]\nhost = \"weir-{ordinal}\"\n[databases.a]\nhost = \"h\"\n")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	number, err := c.PeerNumber()
	warned := strings.Contains(strings.Join(c.Warnings(), "\n"), `peer_id is "ordinal"`)
	if named := ordinalID(host) != 0; (err == nil) != named || int(number) != ordinalID(host) || warned == named {
		t.Errorf("on %s: peer %d, %v, warnings %q", host, number, err, c.Warnings())
	}
}

func TestPeersAreAllIdsButOnesOwn(t *testing.T) {
	c := configOf(t, `
[listen]
peer_id = 2
[pool]
pool_size = 7
[peers.1-3]
host = "weir-{ordinal}.id-{id}"
[peers.9]
host = "/run/bouncer"
port = 6433
pool_size = 5
sslmode = "disable"
pgbouncer = true
`)
	want := []PeerAt{
		{1, Peer{"weir-0.id-1", 6432, 7, SSLPrefer, false}},
		{3, Peer{"weir-2.id-3", 6432, 7, SSLPrefer, false}},
		{9, Peer{"/run/bouncer", 6433, 5, SSLDisable, true}},
	}
	if got := c.AllPeers(); !reflect.DeepEqual(got, want) {
		t.Errorf("peers %+v\nwant  %+v", got, want)
	}
	if !c.ShortKeys() {
		t.Error("a PgBouncer does not pass long keys on")
	}
	delete(c.Peers, "9")
	if c.ShortKeys() {
		t.Error("weirs pass long keys on")
	}
}

// Names do not make more peers than there are ids.
func TestPeersOfAllIdsAreRead(t *testing.T) {
	c := configOf(t, fmt.Sprintf("[listen]\npeer_id = 1\n[peers.1-%d]\nhost = \"weir-{id}\"\n", PeerMax))
	if n := len(c.AllPeers()); n != PeerMax-1 {
		t.Errorf("%d peers", n)
	}
}
