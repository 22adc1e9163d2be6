package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// PeerMax is the highest id of a peer, as PgBouncer's.
const PeerMax = 16383

// PeerID is this weir's own id among its peers.
type PeerID struct {
	Number  int  // 0: it has none
	Ordinal bool // Number is from the name of this machine, and 0 where that has none
}

// peerOrdinal is how a file asks for that.
const peerOrdinal = "ordinal"

func (p PeerID) String() string {
	if p.Ordinal {
		return peerOrdinal
	}
	return strconv.Itoa(p.Number)
}

// ordinalID makes an id of the name of a machine such as weir-0, as the pods of a StatefulSet have: ids begin at 1. 0: there is none in
// the name.
func ordinalID(host string) int {
	host, _, _ = strings.Cut(host, ".")
	digits := host[strings.LastIndexByte(host, '-')+1:]
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || digits == host || n >= PeerMax {
		return 0
	}
	return int(n) + 1
}

func readPeerID(place *PeerID, v any, s *setting) error {
	if v == peerOrdinal {
		host, _ := os.Hostname() // without one there is no number in it
		*place = PeerID{Number: ordinalID(host), Ordinal: true}
		return nil
	}
	if text, ok := v.(string); ok {
		if _, err := strconv.Atoi(text); err != nil {
			return fmt.Errorf("must be a whole number, or %q (got %q)", peerOrdinal, text)
		}
	}
	*place = PeerID{Number: 1} // of a wrong one it is not told that there is none
	return readInt(&place.Number, v, s)
}

// Peer says where another weir or PgBouncer of the cluster is reached, or several.
type Peer struct {
	Host      string // a name, an address or the folder of a unix socket; {id} and {ordinal} in it stand for the peer's own
	Port      int
	PoolSize  int // connections at a time; 0: as many as a pool has
	SSLMode   SSLMode
	PgBouncer bool
}

var defaultPeer = Peer{Port: 6432, SSLMode: SSLPrefer}

// peerPoolMax bounds the connections to a peer at a time: each is there for some milliseconds.
const peerPoolMax = 1000

// PeerAt is one peer.
type PeerAt struct {
	ID   int
	Peer // PoolSize is not 0
}

// AllPeers are the peers by their ids, without this weir itself.
func (c *Config) AllPeers() []PeerAt {
	var all []PeerAt
	for name, p := range c.Peers {
		first, last, err := peerIDs(name)
		if err != nil {
			continue // validate has told
		}
		for id := first; id <= last; id++ {
			if id != c.Listen.PeerID.Number {
				all = append(all, c.peerAt(id, p))
			}
		}
	}
	slices.SortFunc(all, func(a, b PeerAt) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

func (c *Config) peerAt(id int, p Peer) PeerAt {
	p.Host = p.hostOf(id)
	p.PoolSize = min(cmp.Or(p.PoolSize, c.Pool.PoolSize), peerPoolMax)
	return PeerAt{id, p}
}

func (p Peer) hostOf(id int) string {
	return strings.NewReplacer("{id}", strconv.Itoa(id), "{ordinal}", strconv.Itoa(id-1)).Replace(p.Host)
}

// ShortKeys reports whether clients get cancel keys that PgBouncers pass on.
func (c *Config) ShortKeys() bool {
	for _, p := range c.Peers {
		if p.PgBouncer {
			return true
		}
	}
	return false
}

// PeerNumber is this weir's own id; 0: it has no peers.
func (c *Config) PeerNumber() (uint16, error) {
	id := c.Listen.PeerID
	if id.Ordinal && id.Number == 0 {
		host, err := os.Hostname()
		if err != nil {
			return 0, fmt.Errorf(`peer_id is "ordinal": %w`, err)
		}
		return 0, fmt.Errorf(`peer_id is "ordinal", and this machine's name, %q, does not end in a number, as weir-0 does`, host)
	}
	return uint16(id.Number), nil
}

// peerIDs reads the name of a section: an id, or a range of ids.
func peerIDs(name string) (first, last int, err error) {
	from, to, several := strings.Cut(name, "-")
	if !several {
		to = from
	}
	first, okFirst := peerNumber(from)
	last, okLast := peerNumber(to)
	if !okFirst || !okLast || first > last {
		return 0, 0, fmt.Errorf(`must be its id, a number from 1 to %d, or a range such as "1-16" (got %q)`, PeerMax, name)
	}
	return first, last, nil
}

func peerNumber(text string) (int, bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 1 && n <= PeerMax && strconv.Itoa(n) == text
}

func checkPeers(c *Config, report func([]string, string, ...any)) {
	if len(c.Peers) > 0 && c.Listen.PeerID == (PeerID{}) {
		report([]string{"peers"}, "[peers] needs peer_id in [listen], this weir's own id: without it cancel keys name no peer")
	}
	taken := map[int]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Peers)) {
		p, path := c.Peers[name], []string{"peers", name}
		first, last, err := peerIDs(name)
		if err != nil {
			report(path, "the name of a peer %v", err)
			continue
		}
		for id := first; id <= last; id++ {
			if other, twice := taken[id]; twice {
				report(path, "id %d is in [peers.%s], too", id, quoteKey(other))
				break
			}
			taken[id] = name
		}
		if err := p.checkHost(first, last); err != nil {
			report(append(path, "host"), "host %v", err)
		}
		switch {
		case p.SSLMode >= SSLVerifyCA && c.ServerTLS.CAFile == "":
			report(append(path, "sslmode"), `sslmode %q needs ca_file in [server_tls], whose files are those for peers, too`, p.SSLMode)
		case (p.SSLMode == SSLRequire || p.SSLMode == SSLVerifyCA) && c.ServerTLS.CAFile == SystemRoots:
			report(append(path, "sslmode"), `sslmode %q takes a certificate for any name, and ca_file in [server_tls] is "system"; want "verify-full"`, p.SSLMode)
		}
	}
}

func (p Peer) checkHost(first, last int) error {
	host := p.hostOf(first)
	switch {
	case strings.ContainsAny(host, "{}"):
		return fmt.Errorf("%q: want {id} or {ordinal} for the peer's number, and no other braces", p.Host)
	case strings.Contains(host, ","):
		return errors.New("is one: a cancel request must reach one certain peer")
	case first != last && host == p.Host:
		return fmt.Errorf("%q is the same for all: want {id} or {ordinal} in it", p.Host)
	case strings.HasPrefix(host, "/") && len(p.hostOf(last))+len("/.s.PGSQL.65535") > socketPathMax:
		return fmt.Errorf("must be at most %d bytes long", socketPathMax-len("/.s.PGSQL.65535"))
	}
	return checkHost(host)
}

func (c *Config) warnOfPeers(warn func(string, ...any)) {
	id := c.Listen.PeerID
	if _, err := c.PeerNumber(); err != nil {
		warn("weir does not start on this machine: %v", err)
	}
	if id != (PeerID{}) && len(c.Peers) == 0 {
		warn("peer_id is set, and there are no [peers]: cancel requests for other weirs are not passed on")
	}
}
