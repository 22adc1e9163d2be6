package pgbouncer

import (
	"strconv"
	"strings"

	"weir/config"
)

// peerID: PgBouncer has no peers where it is 0 or less.
func peerID(t *translation, v value) {
	if v.number > config.PeerMax {
		t.fail(v.line, "peer_id must be at most %d", config.PeerMax)
		return
	}
	t.conf.Listen.PeerID = config.PeerID{Number: max(0, v.number)}
}

// peer reads a line of [peers].
func (t *translation) peer(l Line) {
	id, err := strconv.Atoi(l.Key)
	if err != nil || id < 1 || id > 0xFFFF {
		t.fail(&l, "ids of peers must be a number larger than 0 and at most 65536")
		return
	}
	given, ok := pairs(l.Value)
	p := config.Peer{Port: 6432, SSLMode: config.SSLDisable, PgBouncer: true}
	for _, pair := range given {
		switch pair.key {
		case "host":
			p.Host = strings.Trim(pair.value, "[]")
		case "port":
			if p.Port = leadingInt(pair.value); p.Port <= 0 || p.Port > 65535 {
				t.fail(&l, "invalid port: %s", pair.value)
			}
		case "pool_size":
			p.PoolSize = max(0, min(leadingInt(pair.value), config.PeerPoolMax))
		default:
			t.fail(&l, "unrecognized connection parameter: %s", pair.key)
		}
	}
	switch {
	case !ok:
		t.fail(&l, "syntax error in connection string")
	case p.Host == "":
		t.fail(&l, "host was not provided for peer %d", id)
	case id > config.PeerMax:
		t.note(&l, "peer %d is left out: ids end at %d", id, config.PeerMax)
	case t.conf.Listen.PeerID.Number == 0:
		t.note(&l, "peer %d is left out: without peer_id no cancel request is passed on", id)
	default:
		name := strconv.Itoa(id)
		t.lines["peers/"+name] = l
		t.conf.Peers[name] = p
	}
}
