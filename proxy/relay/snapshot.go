package relay

import (
	"maps"
	"slices"
	"strings"
	"time"

	"weir/pool"
	"weir/proxy/conversation"
	"weir/proxy/pgerror"
	"weir/proxy/status"
)

// snapshot copies what the lane knows of itself.
func (l *Lane) snapshot() status.Pool {
	s := status.Pool{
		Database: l.config.Database, User: l.config.User, Mode: l.config.Mode.String(), Number: l.config.Number,
		Others: l.config.Others, Size: l.config.Pool.Size, MinSize: l.config.Pool.MinSize, ReserveSize: l.config.Pool.ReserveSize,
		Totals: l.totals, Wait: l.wait, Query: l.query, Transact: l.transact, Dial: l.dialling,
	}
	for state, n := range l.counts.clients {
		s.Clients[clientState(state).statusState()] += n
	}
	for state, n := range l.counts.backends {
		s.Backends[backendState(state).statusState()] += n
	}
	s.Totals.Queries = l.talk.Queries
	t := l.talk.Statements.Totals
	s.Prepared = status.Prepared{
		Texts: l.talk.Statements.Len(), Passed: t.Passed, Saved: t.Saved, Repeated: t.Repeated, Closed: t.Closed, Forgotten: t.Forgotten,
	}
	s.Listen = l.listener.snapshot()
	s.Listen.Delivered += l.talk.Notifications
	q := l.talk.Asked
	s.Questions = status.Questions{Asked: q.Questions, Refused: q.Refused, Unasked: q.Unasked, Learnt: q.Left, Leaks: maps.Clone(q.Leaks)}
	for _, b := range l.backends {
		l.snapshotBackend(&s, b)
	}
	s.Prepared.Binds = l.talk.Binds
	counts := l.pool.Counts()
	s.Paused, s.Stale = counts.Paused, counts.Stale
	if counts.Bound != pool.NoLimit {
		s.Bound = counts.Bound.String()
	}
	if counts.Waiting > 0 {
		s.OldestWait = time.Duration(l.now() - counts.Oldest)
	}
	if l.dialError != nil && l.failed > l.config.Lanes.pool.Reached() { // a lane on which nobody waits any more does not try again
		s.ServerError, s.ServerDown = l.dialError.Err.Error(), l.dialError.end() == status.DialFailed
	}
	s.Errors, s.Own = errorCodes(l.talk.Errors), errorCodes(l.own)
	return s
}

func errorCodes(codes conversation.Codes) []status.ErrorCode {
	all := make([]status.ErrorCode, 0, len(codes))
	for code, n := range codes {
		all = append(all, status.ErrorCode{Code: string(code[:]), Count: n})
	}
	slices.SortFunc(all, func(a, b status.ErrorCode) int { return strings.Compare(a.Code, b.Code) })
	return all
}

func (l *Lane) snapshotBackend(s *status.Pool, b *Backend) {
	if b == nil {
		return
	}
	s.ParkedBytes += b.sock.ParkedLen()
	s.Prepared.OnBackends += b.talk.Statements()
	if b.cancels > 0 {
		s.BeingCancelled++
	}
	if b.state != backendLeased {
		return
	}
	b.snapshotHolder(s)
	s.OldestLease = max(s.OldestLease, l.engine.since(b.leased))
	if b.rested != 0 {
		s.InTx++
	}
	l.snapshotPin(s, b)
}

// bound is the limit that keeps the pool from having more backends.
func (l *Lane) bound() (setting string, value int, section string) {
	if l.limited {
		return l.config.Places.Bound(l.config.Lanes)
	}
	return "pool_size", l.config.Pool.Size, l.config.SizeSection
}

// describeWait says what a client waited for in vain: how many backends there are, and which client has had one for longest.
func (l *Lane) describeWait(waited time.Duration) pgerror.Wait {
	w := pgerror.Wait{After: waited.Round(time.Millisecond), Pool: l.Name(), Dialing: l.counts.backends[backendDialling]}
	w.Setting, w.Value, w.Section = l.bound()
	w.Oldest, w.Pinned = l.longestPinned(), int(l.config.Lanes.pins.count.Load())
	w.Leased = l.elsewhere()
	for _, b := range l.backends {
		if b == nil || b.client == nil {
			continue
		}
		w.Leased++
		if held := l.engine.since(b.leased); held > w.Longest {
			w.Longest = held
			w.Holder = b.client.app()
		}
	}
	return w
}
