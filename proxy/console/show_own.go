package console

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"weir/proxy/status"
)

var ownTables = []Table{
	own(newTable("PINS", "A row for each backend that session state keeps with its client between transactions.", pins, []column[pin]{
		{"database", Text, func(b pin) any { return b.Database }},
		{"user", Text, func(b pin) any { return b.User }},
		{"reason", Text, func(b pin) any { return cmp.Or(strings.Join(b.why.Reasons, ", "), b.Pins) }},
		{"held_ms", Big, func(b pin) any { return b.Held.Milliseconds() }},
		{"pinned_ms", Big, func(b pin) any {
			if b.why.Since.IsZero() {
				return nil
			}
			return b.now.Sub(b.why.Since).Milliseconds()
		}},
		{"state", Text, func(b pin) any { return doing(b.Backend) }},
		{"application_name", Text, func(b pin) any { return b.ClientApp }},
		{"client", Text, func(b pin) any { return b.ClientPeer }},
		{"client_id", Int, func(b pin) any { return clamp(int64(b.Client)) }},
		{"server_pid", Int, func(b pin) any { return clamp(int64(b.PID)) }},
		{"statement", Text, func(b pin) any { return orNil(b.why.Statement) }},
	})),
	own(newTable("WAITS", "A row for each client that waits for a backend, with the client that has had one of its pool for longest. bound_by is what keeps "+
		"the pool from opening one more: size, dials (as many are being opened as may be), shared_limit, server_full, server_trouble, paused.",
		waits, []column[wait]{
			{"database", Text, func(w wait) any { return w.client.PoolDatabase }},
			{"user", Text, func(w wait) any { return w.client.PoolUser }},
			{"position", Int, func(w wait) any { return w.position }},
			{"waited_ms", Big, func(w wait) any { return w.client.Since.Milliseconds() }},
			{"bound_by", Text, func(w wait) any { return orNil(w.bound) }},
			{"application_name", Text, func(w wait) any { return w.client.App }},
			{"client", Text, func(w wait) any { return endpoint(w.client) }},
			{"client_id", Int, func(w wait) any { return clamp(int64(w.client.ID)) }},
			{"holder", Text, func(w wait) any { return orNil(w.holder.ClientApp) }},
			{"holder_client", Text, func(w wait) any { return orNil(w.holder.ClientPeer) }},
			{"holder_id", Int, func(w wait) any { return orNil(clamp(int64(w.holder.Client))) }},
			{"holder_state", Text, func(w wait) any { return orNil(doing(w.holder)) }},
			{"holder_pins", Text, func(w wait) any { return orNil(w.holder.Pins) }},
			{"held_ms", Big, func(w wait) any { return orNil(w.holder.Held.Milliseconds()) }},
			{"server_pid", Int, func(w wait) any { return orNil(clamp(int64(w.holder.PID))) }},
		})),
	own(newTable("STATEMENTS", "A row for each prepared statement that clients of a pool share: the name that it has on backends, how many names of clients stand "+
		"for it, how many backends hold it.", (*View).Statements, []column[status.Statement]{
		{"database", Text, func(s status.Statement) any { return s.Database }},
		{"user", Text, func(s status.Statement) any { return s.User }},
		{"name", Text, func(s status.Statement) any { return s.Name }},
		{"clients", Int, func(s status.Statement) any { return s.Clients }},
		{"backends", Int, func(s status.Statement) any { return s.Backends }},
		{"query", Text, func(s status.Statement) any { return s.Text }},
	})),
	own(newTable("ERRORS", "The last error of each SQLSTATE that clients were sent since weir was started, the latest first: the server's, or weir's own.",
		failures, []column[status.Failure]{
			{"sqlstate", Text, func(f status.Failure) any { return f.SQLState }},
			{"count", Big, func(f status.Failure) any { return f.Count }},
			{"last_time", Text, func(f status.Failure) any { return time.Now().Add(-f.Ago) }},
			{"from", Text, func(f status.Failure) any {
				if f.Weirs {
					return "weir"
				}
				return "server"
			}},
			{"database", Text, func(f status.Failure) any { return f.Database }},
			{"user", Text, func(f status.Failure) any { return f.User }},
			{"application_name", Text, func(f status.Failure) any { return f.App }},
			{"client", Text, func(f status.Failure) any { return f.Peer }},
			{"client_id", Int, func(f status.Failure) any { return clamp(int64(f.Client)) }},
			{"server_pid", Int, func(f status.Failure) any { return orNil(clamp(int64(f.Backend))) }},
			{"message", Text, func(f status.Failure) any { return f.Text }},
		})),
	own(newTable("LISTENERS", "A row for each channel that clients of a pool listen to by way of its listener connection, and one for each backend that listens "+
		"itself, for a client that it is kept with; which channels these are the server knows: pg_listening_channels() of that session.",
		listeners, []column[listening]{
			{"database", Text, func(l listening) any { return l.database }},
			{"user", Text, func(l listening) any { return l.user }},
			{"channel", Text, func(l listening) any { return orNil(l.channel) }},
			{"clients", Int, func(l listening) any { return l.clients }},
			{"application_name", Text, func(l listening) any { return orNil(l.backend.ClientApp) }},
			{"client", Text, func(l listening) any { return orNil(l.backend.ClientPeer) }},
			{"client_id", Int, func(l listening) any { return orNil(clamp(int64(l.backend.Client))) }},
			{"server_pid", Int, func(l listening) any { return orNil(clamp(int64(l.backend.PID))) }},
		})),
	own(newTable("HOSTS", "A row for each server that weir has dialled, by the name in the configuration, and by address where a name has several. role is what "+
		"it said at the last login: primary, standby, read-only, unknown.", servers, []column[status.Server]{
		{"host", Text, func(h status.Server) any { return h.Name }},
		{"address", Text, func(h status.Server) any { return orNil(h.Address) }},
		{"role", Text, func(h status.Server) any { return h.Role }},
		{"state", Text, func(h status.Server) any {
			if h.Up {
				return "up"
			}
			return "down"
		}},
		{"since", Text, func(h status.Server) any { return orNil(h.Since) }},
		{"backends", Int, func(h status.Server) any { return h.Backends }},
		{"failures", Big, func(h status.Server) any { return h.Failures }},
		{"error", Text, func(h status.Server) any { return orNil(h.Failure) }},
	})),
}

func servers(v *View) []status.Server { return v.look().Servers }

func endpoint(c status.Client) string {
	if !c.Remote.IsValid() {
		return "unix"
	}
	return c.Remote.String()
}

// doing is what the client of a backend does with it.
func doing(b status.Backend) string {
	switch {
	case b.Client == 0:
		return ""
	case !b.Rested:
		return "active"
	case b.InTx:
		return "idle in transaction"
	}
	return "idle"
}

// pin is a backend that stays with its client, and what its pool knows of why.
type pin struct {
	status.Backend
	why status.Pin
	now time.Time
}

func pins(v *View) (all []pin) {
	known := map[uint32]status.Pin{}
	for _, p := range v.look().Pools {
		for _, why := range p.Pins {
			known[why.Backend] = why
		}
	}
	for _, b := range v.Backends() {
		if b.Pins != "" {
			all = append(all, pin{b, known[b.PID], v.now})
		}
	}
	slices.SortStableFunc(all, func(a, b pin) int { return cmp.Compare(b.Held, a.Held) })
	return all
}

// listening is a channel of a pool's listener connection, or a backend that listens itself.
type listening struct {
	database, user, channel string
	clients                 int
	backend                 status.Backend // the zero value for a channel
}

func listeners(v *View) (all []listening) {
	for _, p := range v.look().Pools {
		for _, c := range p.Listen.Channels {
			all = append(all, listening{database: p.Database, user: p.User, channel: c.Name, clients: c.Clients})
		}
	}
	for _, b := range v.Backends() {
		if slices.Contains(strings.Split(b.Pins, ", "), "listen") {
			all = append(all, listening{database: b.Database, user: b.User, clients: 1, backend: b})
		}
	}
	return all
}

// wait is a waiting client.
type wait struct {
	client   status.Client
	position int // among those of its pool, from 1
	bound    string
	holder   status.Backend // that has been leased for longest; the zero value where none is
}

func waits(v *View) (all []wait) {
	type pool struct{ database, user string }
	bound, holders, waiting := map[pool]string{}, map[pool]status.Backend{}, map[pool]int{}
	for _, p := range v.look().Pools {
		bound[pool{p.Database, p.User}] = p.Bound
	}
	for _, b := range v.Backends() {
		if key := (pool{b.Database, b.User}); b.Client != 0 && b.Held > holders[key].Held {
			holders[key] = b
		}
	}
	clients := slices.DeleteFunc(v.Clients(), func(c status.Client) bool { return c.State != status.ClientWaiting })
	slices.SortStableFunc(clients, func(a, b status.Client) int {
		return cmp.Or(strings.Compare(a.PoolDatabase, b.PoolDatabase), strings.Compare(a.PoolUser, b.PoolUser), cmp.Compare(b.Since, a.Since))
	})
	for _, c := range clients {
		key := pool{c.PoolDatabase, c.PoolUser}
		waiting[key]++
		all = append(all, wait{c, waiting[key], bound[key], holders[key]})
	}
	return all
}

func failures(v *View) []status.Failure {
	bySQLState := map[string]status.Failure{}
	for _, f := range v.Failures() { // of each loop
		known, ok := bySQLState[f.SQLState]
		n := known.Count + f.Count
		if !ok || f.Ago < known.Ago {
			known = f
		}
		known.Count = n
		bySQLState[f.SQLState] = known
	}
	all := make([]status.Failure, 0, len(bySQLState))
	for _, f := range bySQLState {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b status.Failure) int {
		return cmp.Or(cmp.Compare(a.Ago, b.Ago), strings.Compare(a.SQLState, b.SQLState))
	})
	return all
}
