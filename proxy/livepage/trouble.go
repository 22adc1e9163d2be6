package livepage

import (
	"fmt"
	"slices"
	"time"

	"weir/proxy/status"
)

// Trouble is something that hurts users, or soon may.
type Trouble struct {
	Bad  bool   `json:"bad"` // it hurts now
	What string `json:"what"`
	Text string `json:"text"`
}

// From when on something is trouble.
const (
	longWait  = time.Second
	longLease = time.Minute
	nearLimit = .9 // of max_client_conn
	told      = 5  // of a kind
)

// long tells of a wait in seconds whether it hurts: short ones are what a pool is for.
func long(wait float64) bool { return wait >= longWait.Seconds() }

// troubles are what hurts in v, of which nothing has been left out yet: the worst first.
func (s *Sampler) troubles(v *View) []Trouble {
	minute := s.whole.last(v.At, spanShown)
	all := []Trouble{}
	add := func(bad bool, what, format string, args ...any) {
		all = append(all, Trouble{bad, what, fmt.Sprintf(format, args...)})
	}
	for _, p := range few(v.Pools, func(p Pool) bool { return p.ServerDown }) {
		add(true, "Server down", "%s: %s", p.Name(), p.ServerError)
	}
	for _, w := range few(v.Waits, func(w Wait) bool { return long(w.For) }) {
		add(true, "Clients wait", "%s for %s, the longest for %s.", number(w.Clients, "client"), w.Pool, seconds(w.For))
	}
	for _, p := range few(v.Pools, func(p Pool) bool { return p.Paused }) {
		add(false, "Paused", "%s, by an operator: its clients wait until RESUME.", p.Name())
	}
	if n := minute.waitsFailed; n > 0 {
		add(true, "Waits failed", "%s in vain within the last minute.", number(int(n), "client has waited", "clients have waited"))
	}
	if c := v.Clients; c.Max > 0 && float64(c.All) >= nearLimit*float64(c.Max) {
		add(c.All >= c.Max, "Clients near the limit", "%d of %d (max_client_conn).", c.All, c.Max)
	}
	if n := minute.shed; n > 0 {
		add(true, "Logins refused", "%s for want of room within the last minute (max_logins).", number(int(n), "connection was closed", "connections were closed"))
	}
	if n := minute.loginsFailed; n > 0 {
		add(false, "Logins failed", "%s within the last minute.", number(int(n), "login"))
	}
	if n := minute.errors; n > 0 {
		add(false, "Errors", "Clients were sent %s within the last minute.", number(int(n), "error"))
	}
	for _, p := range few(v.Pools, func(p Pool) bool { return p.OldestLease >= longLease.Seconds() && p.Mode != "session" }) {
		add(false, "Backend kept", "A client of %s has had its backend for %s.", p.Name(), seconds(p.OldestLease))
	}
	all = append(all, s.doubts(v)...)
	slices.SortStableFunc(all, func(a, b Trouble) int { return before(a.Bad, b.Bad) })
	return all
}

// doubts are what should never happen, since the start.
func (s *Sampler) doubts(v *View) (all []Trouble) {
	var doubts status.DoubtCounts
	for p := range sinceTheStart(&s.latest) {
		for kind, n := range p.Totals.Doubts {
			doubts[kind] += n
		}
	}
	if n := doubts.Sum(); n > 0 {
		all = append(all, Trouble{What: "Doubts", Text: number(int(n), "backend was closed", "backends were closed") +
			" because its messages made no sense; see the log."})
	}
	var leaks uint64
	for _, l := range v.Session.Leaks {
		leaks += l.Count
	}
	if leaks > 0 {
		all = append(all, Trouble{What: "Session state leaked", Text: fmt.Sprintf("%d times a client may have seen the settings or locks of another; see the log.", leaks)})
	}
	if n := s.latest.Dropped; n > 0 {
		all = append(all, Trouble{What: "Log lines lost", Text: number(int(n), "line") + " could not be written."})
	}
	return all
}

// few are the first of those that fit.
func few[T any](all []T, fits func(T) bool) (some []T) {
	for _, one := range all {
		if fits(one) && len(some) < told {
			some = append(some, one)
		}
	}
	return some
}
