package status

import (
	"cmp"
	"maps"
	"slices"
)

// Add adds what another pool has to p, for those who cannot tell the two apart: numbers are summed, of times the longest counts, and of
// limits that pools share the highest.
func (p *Pool) Add(o *Pool) {
	p.Size += o.Size
	p.MinSize += o.MinSize
	p.ReserveSize += o.ReserveSize
	p.Shared = SharedLimits{
		max(p.Shared.DBBackends, o.Shared.DBBackends), max(p.Shared.UserBackends, o.Shared.UserBackends),
		max(p.Shared.DBClients, o.Shared.DBClients), max(p.Shared.UserClients, o.Shared.UserClients),
	}
	for i, n := range o.Clients {
		p.Clients[i] += n
	}
	for i, n := range o.Backends {
		p.Backends[i] += n
	}
	p.InTx += o.InTx
	p.ParkedBytes += o.ParkedBytes
	p.Pinned += o.Pinned
	p.BeingCancelled += o.BeingCancelled
	p.Stale += o.Stale
	p.Paused = p.Paused || o.Paused
	p.Bound = cmp.Or(p.Bound, o.Bound)
	p.Pins = append(p.Pins[:len(p.Pins):len(p.Pins)], o.Pins...)
	p.PinnedBy = sum(p.PinnedBy, o.PinnedBy)
	if o.OldestWait > p.OldestWait {
		p.Waiter = o.Waiter
	}
	if o.OldestLease > p.OldestLease {
		p.Holder = o.Holder
	}
	p.OldestWait = max(p.OldestWait, o.OldestWait)
	p.OldestLease = max(p.OldestLease, o.OldestLease)
	p.ServerDown = p.ServerDown || o.ServerDown
	if p.ServerError == "" {
		p.ServerError = o.ServerError
	}
	p.Prepared.add(&o.Prepared)
	p.Listen.add(&o.Listen)
	p.Questions.add(&o.Questions)
	p.Totals.add(&o.Totals)
	p.Wait.add(&o.Wait)
	p.Query.add(&o.Query)
	p.Transact.add(&o.Transact)
	p.Dial.add(&o.Dial)
	p.Errors = byCode(slices.Concat(p.Errors, o.Errors))
	p.Own = byCode(slices.Concat(p.Own, o.Own))
}

// AddLane adds another lane of the same pool, whose sizes are those of the pool already.
func (p *Pool) AddLane(o *Pool) {
	size, least, reserve := p.Size, p.MinSize, p.ReserveSize
	p.Add(o)
	p.Size, p.MinSize, p.ReserveSize = size, least, reserve
	p.Listen.Channels = byName(p.Listen.Channels)
}

// Counted is what p has counted since it began, without what it is now.
func (p *Pool) Counted() Pool {
	c := Pool{
		Database: p.Database, User: p.User, Number: p.Number, Others: p.Others,
		Prepared: p.Prepared, Questions: p.Questions, Totals: p.Totals, Wait: p.Wait, Query: p.Query, Transact: p.Transact, Dial: p.Dial,
		Errors: p.Errors, Own: p.Own,
	}
	c.Prepared.Texts, c.Prepared.OnBackends = 0, 0
	c.Listen.Delivered, c.Listen.Reconnections = p.Listen.Delivered, p.Listen.Reconnections
	return c
}

// merged sorts rows by their key and adds up those of the same.
func merged[T any](rows []T, key func(*T) string, add func(to, from *T)) []T {
	slices.SortStableFunc(rows, func(a, b T) int { return cmp.Compare(key(&a), key(&b)) })
	kept := rows[:0]
	for i := range rows {
		if n := len(kept); n > 0 && key(&kept[n-1]) == key(&rows[i]) {
			add(&kept[n-1], &rows[i])
		} else {
			kept = append(kept, rows[i])
		}
	}
	return kept
}

func byCode(all []ErrorCode) []ErrorCode {
	return merged(all, func(e *ErrorCode) string { return e.Code }, func(to, from *ErrorCode) { to.Count += from.Count })
}

func byName(all []Channel) []Channel {
	return merged(all, func(c *Channel) string { return c.Name }, func(to, from *Channel) { to.Clients += from.Clients })
}

// sum adds two counts by name up, and changes neither.
func sum(a, b map[string]int) map[string]int {
	if len(b) == 0 {
		return a
	}
	all := maps.Clone(b)
	for name, n := range a {
		all[name] += n
	}
	return all
}

func (q *Questions) add(o *Questions) {
	q.Asked += o.Asked
	q.Refused += o.Refused
	q.Unasked += o.Unasked
	q.Learnt += o.Learnt
	leaks := maps.Clone(q.Leaks)
	for kind, n := range o.Leaks {
		if leaks == nil {
			leaks = map[string]uint64{}
		}
		leaks[kind] += n
	}
	q.Leaks = leaks
}

func (p *Prepared) add(o *Prepared) {
	p.Texts += o.Texts
	p.OnBackends += o.OnBackends
	p.Binds += o.Binds
	p.Passed += o.Passed
	p.Saved += o.Saved
	p.Repeated += o.Repeated
	p.Closed += o.Closed
	p.Forgotten += o.Forgotten
}

func (l *Listen) add(o *Listen) {
	l.Connected = l.Connected || o.Connected
	l.Clients += o.Clients
	l.Channels = append(l.Channels[:len(l.Channels):len(l.Channels)], o.Channels...)
	l.More += o.More
	l.Delivered += o.Delivered
	l.Reconnections += o.Reconnections
}

func (t *Totals) add(o *Totals) {
	t.Transactions += o.Transactions
	t.Queries += o.Queries
	t.Leases += o.Leases
	t.Transfers += o.Transfers
	t.Switches += o.Switches
	t.ClientBytesIn += o.ClientBytesIn
	t.ClientBytesOut += o.ClientBytesOut
	t.Dials += o.Dials
	t.DialsFailed += o.DialsFailed
	t.BackendsLost += o.BackendsLost
	t.ClientsServed += o.ClientsServed
	addAll(t.Unfinished[:], o.Unfinished[:])
	addAll(t.DialsBy[:], o.DialsBy[:])
	addAll(t.BackendsBy[:], o.BackendsBy[:])
	addAll(t.ClientsBy[:], o.ClientsBy[:])
	addAll(t.Timeouts[:], o.Timeouts[:])
	t.WaitsFailed += o.WaitsFailed
	t.WaitsRefused += o.WaitsRefused
	t.Cancels += o.Cancels
	addAll(t.Doubts[:], o.Doubts[:])
	t.Resets += o.Resets
	t.WeirErrors += o.WeirErrors
}

func addAll(to, from []uint64) {
	for i, n := range from {
		to[i] += n
	}
}

func (h *Histogram) add(o *Histogram) {
	for i, n := range o.Counts {
		h.Counts[i] += n
	}
	h.Sum += o.Sum
}

// Add adds what o has to r.
func (r *Replication) Add(o *Replication) {
	r.Clients += o.Clients
	r.Served += o.Served
	r.BytesIn += o.BytesIn
	r.BytesOut += o.BytesOut
}
