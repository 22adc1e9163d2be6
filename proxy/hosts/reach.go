package hosts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"weir/config"
	"weir/proxy/backend"
	"weir/proxy/pgerror"
)

// Destination is where a pool's backends may be found: servers to try, and which of them will do.
type Destination struct {
	backend.Target // as whom; its host is set for each attempt
	Servers        []config.Server
	Attrs          config.TargetSession
	Balance        config.LoadBalance
}

// Unsuited is that servers answered, and that none of them has the role that the database is to have.
type Unsuited struct {
	Attrs config.TargetSession
	Found []string // address and role
	Rest  []string // of the servers that did not answer
}

func (e *Unsuited) Error() string {
	return fmt.Sprintf("no server is %s (target_session_attrs): %s", e.Attrs, e.Servers())
}

// Servers says what each server was.
func (e *Unsuited) Servers() string { return several(slices.Concat(e.Found, e.Rest)) }

// None is that none of several servers let weir in.
type None struct {
	Last error    // of the server that was tried last
	Rest []string // of the others
}

func (e *None) Error() string { return e.Last.Error() + "; " + e.Others() }

func (e *None) Unwrap() error { return e.Last }

// Others says why the other servers did not let weir in.
func (e *None) Others() string { return several(e.Rest) }

// severalMost bounds how many servers one error speaks of: a name may have many addresses.
const severalMost = 8

func several(servers []string) string {
	if more := len(servers) - severalMost; more > 0 {
		return strings.Join(servers[:severalMost], ", ") + fmt.Sprintf(", and %d more", more)
	}
	return strings.Join(servers, ", ")
}

// probeMax bounds an attempt at a server that was silent the last time, where another one has answered: those who wait for a primary must
// not wait for a machine that is gone.
const probeMax = 2 * time.Second

// addressPatience is how long an address may take to accept a connection where its name has another: the way there may be broken, as it often is for
// one of IPv4 and IPv6.
const addressPatience = time.Second

// Reach logs in to the first server that will do. A server that has failed lately is left out, unless no other will do. The error is a
// *backend.DialError, which a *None may hold, or an *Unsuited. On a goroutine of its own.
func (h *Hosts) Reach(ctx context.Context, d Destination) (*backend.Conn, backend.Target, error) {
	all := h.candidates(ctx, d)
	conn, at, err := h.tryAll(ctx, all, d.Attrs)
	if d.Attrs == config.TargetPreferStandby && err != nil && ctx.Err() == nil {
		if unsuited, ok := errors.AsType[*Unsuited](err); ok && len(unsuited.Found) > 0 {
			conn, at, err = h.tryAll(ctx, all, config.TargetAny)
		}
	}
	return conn, at, err
}

// tryAll tries the servers that are due, one after the other.
func (h *Hosts) tryAll(ctx context.Context, all []backend.Target, attrs config.TargetSession) (*backend.Conn, backend.Target, error) {
	due := h.order(all, attrs)
	r := round{unsuited: &Unsuited{Attrs: attrs}, rest: h.leftOut(all, due)}
	for i, t := range due {
		another := slices.ContainsFunc(due[i+1:], func(next backend.Target) bool { return next.Address() == t.Address() })
		if another {
			t.ConnectWithin = addressPatience
		}
		if len(r.unsuited.Found) > 0 && h.silent(t) && (t.ConnectTimeout == 0 || t.ConnectTimeout > probeMax) {
			t.ConnectTimeout = probeMax
		}
		began := time.Now()
		conn, err := backend.Dial(ctx, t)
		var role backend.Role
		if err == nil {
			role, err = h.roleOf(ctx, conn, t, attrs)
		}
		if ctx.Err() == nil {
			fresh := h.tell(t, role, err, time.Since(began), another)
			if fresh && h.Passed != nil && i < len(due)-1 { // of the last one the pool tells
				h.Passed(t, err)
			}
		}
		switch {
		case err == nil && Suits(attrs, role):
			h.probe(ctx, due[i+1:])
			return conn, t, nil
		case err == nil:
			_ = conn.Net.Close()
			r.unsuited.Found = append(r.unsuited.Found, t.Address()+" is "+article(role))
		case ctx.Err() != nil || stops(err):
			return nil, t, err
		default:
			r.fail(t, err)
		}
	}
	at, err := r.outcome(all[0])
	return nil, at, err
}

// round is what has come of the attempts at several servers, none of which will do.
type round struct {
	unsuited *Unsuited      // those that have let weir in
	failed   error          // of the last that has not; nil: none
	failedAt backend.Target // which that is
	rest     []string       // why the others were not tried or have failed
}

// fail enters that a server has not let weir in.
func (r *round) fail(t backend.Target, err error) {
	if r.failed != nil {
		r.rest = append(r.rest, failure(r.failedAt, r.failed))
	}
	r.failed, r.failedAt = err, t
}

// outcome is the error of the whole round, and the server that it is about.
func (r *round) outcome(first backend.Target) (backend.Target, error) {
	switch {
	case len(r.unsuited.Found) > 0:
		if r.failed != nil {
			r.rest = append(r.rest, failure(r.failedAt, r.failed))
		}
		r.unsuited.Rest = r.rest
		return first, r.unsuited
	case len(r.rest) > 0:
		return r.failedAt, &None{Last: r.failed, Rest: r.rest}
	}
	return r.failedAt, r.failed
}

// failure says of one server among several why it did not let weir in.
func failure(t backend.Target, err error) string {
	cause := err.Error()
	if failed, ok := errors.AsType[*backend.DialError](err); ok {
		cause = failed.Cause()
	}
	return t.Exactly() + ": " + cause
}

// leftOut says of the servers that are not due why that is.
func (h *Hosts) leftOut(all, due []backend.Target) (texts []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range all {
		if s := h.known[hostKeyOf(t)]; s != nil && !slices.ContainsFunc(due, func(d backend.Target) bool { return hostKeyOf(d) == hostKeyOf(t) }) {
			texts = append(texts, t.Exactly()+": "+s.failure+" (not tried again yet)")
		}
	}
	return texts
}

func article(r backend.Role) string {
	if r.Standby || r.Known && !r.ReadOnly {
		return "a " + r.String()
	}
	return r.String()
}

// stops reports whether an error says that the next server would say the same: it is for what the login names or shows.
func stops(err error) bool {
	failure, ok := errors.AsType[*backend.DialError](err)
	if !ok {
		return false
	}
	return failure.Lacking() != nil || failure.Server != nil && pgerror.IsWrongTarget(failure.Server.Code)
}

// roleOf is the role of a server that was logged in to, which is asked for where it matters and the login has not shown it.
func (h *Hosts) roleOf(ctx context.Context, conn *backend.Conn, t backend.Target, attrs config.TargetSession) (backend.Role, error) {
	if attrs == config.TargetAny || t.Replication != "" {
		return conn.Role(), nil
	}
	role, err := conn.AskRole(ctx, t.ConnectTimeout)
	if err != nil {
		_ = conn.Net.Close()
		return role, &backend.DialError{Target: t.String(), Addr: t.Address(), Err: fmt.Errorf("asked for its role: %w", err)}
	}
	return role, nil
}

// Suits reports whether a server of that role will do. One for replication of which nothing is known will.
func Suits(attrs config.TargetSession, r backend.Role) bool {
	switch {
	case attrs == config.TargetAny || !r.Known:
		return true
	case attrs == config.TargetReadWrite:
		return !r.Standby && !r.ReadOnly
	case attrs == config.TargetReadOnly:
		return r.Standby || r.ReadOnly
	case attrs == config.TargetPrimary:
		return !r.Standby
	}
	return r.Standby
}

// candidates are the servers in the order in which they are to be tried: each address of a name for itself. Names whose addresses are not known come
// last: their dial says what is wrong with them.
func (h *Hosts) candidates(ctx context.Context, d Destination) []backend.Target {
	lookups := make([]*lookup, len(d.Servers))
	for i, s := range d.Servers {
		if s.Named() {
			lookups[i] = h.names.ask(ctx, s.Host)
		}
	}
	apart := len(d.Servers) > 1 || d.Attrs != config.TargetAny || d.Balance != config.BalanceDisable
	var all, unknown []backend.Target
	for i, s := range d.Servers {
		t := d.Target
		t.Host, t.Port = s.Host, s.Port
		if lookups[i] == nil {
			all = append(all, t)
			continue
		}
		addresses := h.names.answer(ctx, lookups[i])
		if len(addresses) == 0 {
			unknown = append(unknown, t)
			continue
		}
		h.led(t.Address(), addresses)
		t.Apart = apart && len(addresses) > 1
		for _, ip := range addresses {
			t.IP = ip
			all = append(all, t)
		}
	}
	if d.Balance == config.BalanceRandom {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] }) //nolint:gosec // spreads load, keeps no secret
	}
	return append(all, unknown...)
}

// order is in which order servers are tried. Those whose back-off is not over come after the others: a standby is none for those who wait for a primary,
// and they are to be served when it is back. Those that would hold up the others are left out all the same, and so are all where a primary will do, too.
func (h *Hosts) order(all []backend.Target, attrs config.TargetSession) []backend.Target {
	due := h.due(all)
	if attrs == config.TargetPreferStandby {
		return due
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	early := slices.DeleteFunc(slices.Clone(all), func(t backend.Target) bool {
		s := h.known[hostKeyOf(t)]
		return s == nil || s.silent || s.slow || slices.ContainsFunc(due, func(d backend.Target) bool { return hostKeyOf(d) == hostKeyOf(t) })
	})
	return append(due, early...)
}

// due leaves out the servers whose back-off is not over, unless it is none's. Those that were silent come last.
func (h *Hosts) due(all []backend.Target) []backend.Target {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(all), func(t backend.Target) bool {
		s := h.known[hostKeyOf(t)]
		return s != nil && now.Before(s.retry)
	})
	if len(rest) == 0 {
		rest = slices.Clone(all)
	}
	slices.SortStableFunc(rest, func(a, b backend.Target) int {
		return cmp.Compare(h.silentRank(a), h.silentRank(b))
	})
	return rest
}
