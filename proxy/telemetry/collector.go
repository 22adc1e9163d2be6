package telemetry

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"weir/proxy/status"
)

// Collector turns a snapshot into metrics at each scrape: nothing is counted twice, and nothing is touched between scrapes.
type Collector struct {
	source   status.Source
	families map[*metric]*family
}

// NewCollector makes a collector for a source; any goroutine may scrape it.
func NewCollector(source status.Source) *Collector {
	c := &Collector{source: source, families: make(map[*metric]*family, len(families))}
	for _, m := range families {
		c.families[m] = m.family()
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range families {
		out <- c.families[m].desc
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	s := c.source.Snapshot()
	e := emitter{families: c.families, pairs: pairs{}, out: out}
	pools := labelPools(&s)
	for i := range pools {
		e.pool(&pools[i])
	}
	for i, l := range s.Loops {
		e.loop(strconv.Itoa(i), l)
	}
	for _, r := range labelReplications(s.Replications) {
		e.value(&replicas, float64(r.Clients), r.Database, r.User)
		e.count(&replicasTotal, r.Served, r.Database, r.User)
		e.count(&replicaBytes, r.BytesIn, r.Database, r.User, "in")
		e.count(&replicaBytes, r.BytesOut, r.Database, r.User, "out")
	}
	for i := range s.Servers {
		e.host(&s.Servers[i])
	}
	for _, c := range s.Certificates {
		e.value(&certificates, float64(c.Until.Unix()), label(c.Section), label(c.File))
	}
	e.logins(s.Logins)
	e.count(&peersPassed, s.Peers.Passed)
	e.count(&peersReceived, s.Peers.Received)
	for reason, n := range s.Peers.Failed {
		e.count(&peersFailed, n, reason)
	}
	e.count(&lookupsTotal, s.Lookups.Kept, "kept")
	e.count(&lookupsTotal, s.Lookups.Found, "found")
	e.count(&lookupsTotal, s.Lookups.Unknown, "unknown")
	e.count(&lookupsTotal, s.Lookups.Failed, "failed")
	e.count(&linesDropped, s.Dropped)
	e.count(&tracedTotal, s.Tracing.Sent, "sent")
	e.count(&tracedTotal, s.Tracing.Dropped, "dropped")
	e.count(&tracedTotal, s.Tracing.Failed, "failed")
	e.value(&clientsNow, float64(s.Limits.Clients))
	e.value(&maxClients, float64(s.Limits.MaxClients))
	e.value(&up, float64(s.Started.UnixMilli())/1000)
}

// emitter sends series to one scrape.
type emitter struct {
	families map[*metric]*family
	pairs    pairs
	out      chan<- prometheus.Metric
}

func (e emitter) value(m *metric, v float64, labels ...string) {
	f := e.families[m]
	e.out <- &series{f, e.pairs.labels(m, f, labels), v}
}

func (e emitter) count(m *metric, n uint64, labels ...string) { e.value(m, float64(n), labels...) }

func (e emitter) histogram(m *metric, h *status.Histogram, labels ...string) {
	f := e.families[m]
	e.out <- &distribution{f, e.pairs.labels(m, f, labels), h}
}

func (e emitter) host(h *status.Server) {
	name, address := label(h.Name), label(h.Address)
	e.value(&hostUp, indicator(h.Up), name, address)
	if h.Role != status.RoleUnknown {
		e.value(&hostStandby, indicator(h.Role == status.RoleStandby), name, address)
	}
	e.value(&hostBackends, float64(h.Backends), name, address)
	e.count(&hostFailures, h.Failures, name, address)
}

func (e emitter) pool(p *status.Pool) {
	db, user := p.Database, p.User
	for state := range status.ClientStates {
		e.value(&clients, float64(p.Clients[state]), db, user, state.String())
	}
	for state := range status.BackendStates {
		e.value(&backends, float64(p.Backends[state]), db, user, state.String())
	}
	e.value(&waiting, float64(p.Clients[status.ClientWaiting]), db, user)
	e.value(&oldestWait, p.OldestWait.Seconds(), db, user)
	e.value(&oldestLease, p.OldestLease.Seconds(), db, user)
	e.value(&inTransaction, float64(p.InTx), db, user)
	e.value(&pinned, float64(p.Pinned), db, user)
	for reason, n := range p.PinnedBy {
		e.value(&pinnedBy, float64(n), db, user, reason)
	}
	e.value(&poolSize, float64(p.Size), db, user)
	e.value(&minPoolSize, float64(p.MinSize), db, user)
	e.shared(&p.Shared, db, user)
	e.value(&reserveSize, float64(p.ReserveSize), db, user)
	e.value(&parked, float64(p.ParkedBytes), db, user)
	e.value(&serverTrouble, indicator(p.ServerDown), db, user)
	e.histogram(&waits, &p.Wait, db, user)
	e.histogram(&queries, &p.Query, db, user)
	e.histogram(&transactions, &p.Transact, db, user)
	e.histogram(&dials, &p.Dial, db, user)
	e.totals(&p.Totals, db, user)
	e.prepared(&p.Prepared, db, user)
	e.listen(&p.Listen, db, user)
	e.questions(&p.Questions, db, user)
	for code, n := range byCode(p.Errors) {
		e.count(&errorsTotal, n, db, user, code)
	}
	for code, n := range byCode(p.Own) {
		e.count(&refusedTotal, n, db, user, code)
	}
}

func (e emitter) totals(t *status.Totals, db, user string) {
	e.count(&queriesTotal, t.Queries, db, user)
	e.count(&txTotal, t.Transactions, db, user)
	for _, end := range []status.TransactionEnd{status.TransactionLeft, status.TransactionLost} {
		e.count(&txCut, t.Unfinished[end], db, user, end.String())
	}
	e.count(&leasesTotal, t.Leases, db, user)
	e.count(&switchesTotal, t.Switches, db, user)
	e.count(&transfersTotal, t.Transfers, db, user)
	e.count(&bytesTotal, t.ClientBytesIn, db, user, "in")
	e.count(&bytesTotal, t.ClientBytesOut, db, user, "out")
	timedOut := t.Timeouts[status.QueryWaitTimeout]
	e.count(&waitsFailed, timedOut, db, user, status.QueryWaitTimeout.String())
	e.count(&waitsFailed, t.WaitsRefused, db, user, "refused")
	e.count(&waitsFailed, t.WaitsFailed-t.WaitsRefused-timedOut, db, user, "server")
	for setting, n := range t.Timeouts {
		e.count(&timeoutsTotal, n, db, user, status.Timeout(setting).String())
	}
	e.count(&cancelsTotal, t.Cancels, db, user)
	for outcome, n := range t.DialsBy {
		e.count(&dialsTotal, n, db, user, status.DialEnd(outcome).String())
	}
	for end := status.BackendLost; end < status.BackendEnds; end++ {
		e.count(&closedTotal, t.BackendsBy[end], db, user, end.String())
	}
	for end := status.ClientTerminated; end < status.ClientEnds; end++ {
		e.count(&clientsClosed, t.ClientsBy[end], db, user, end.String())
	}
	e.count(&resetsTotal, t.Resets, db, user)
	for kind, n := range t.Doubts {
		e.count(&doubtsTotal, n, db, user, status.Doubt(kind).String())
	}
	e.count(&servedTotal, t.ClientsServed, db, user)
}

// shared shows the limits that are set.
func (e emitter) shared(l *status.SharedLimits, db, user string) {
	for _, limit := range []struct {
		m    *metric
		n    int
		name string
	}{
		{&limitBackends, l.DBBackends, "max_db_connections"},
		{&limitBackends, l.UserBackends, "max_user_connections"},
		{&limitClients, l.DBClients, "max_db_client_connections"},
		{&limitClients, l.UserClients, "max_user_client_connections"},
	} {
		if limit.n > 0 {
			e.value(limit.m, float64(limit.n), db, user, limit.name)
		}
	}
}

func (e emitter) prepared(p *status.Prepared, db, user string) {
	e.value(&texts, float64(p.Texts), db, user)
	e.value(&statements, float64(p.OnBackends), db, user)
	e.count(&parsesTotal, p.Passed, db, user, "passed")
	e.count(&parsesTotal, p.Saved, db, user, "saved")
	e.count(&parsesTotal, p.Repeated, db, user, "repeated")
	e.count(&preparedClosed, p.Closed, db, user)
	e.count(&preparedStale, p.Forgotten, db, user)
}

func (e emitter) listen(l *status.Listen, db, user string) {
	e.value(&listenUp, indicator(l.Connected), db, user)
	e.value(&listenClients, float64(l.Clients), db, user)
	e.value(&listenChannels, float64(len(l.Channels)+l.More), db, user)
	e.count(&listenTotal, l.Delivered, db, user)
	e.count(&listenAgain, l.Reconnections, db, user)
}

func (e emitter) questions(q *status.Questions, db, user string) {
	e.count(&questionsTotal, q.Asked-q.Refused, db, user, "answered")
	e.count(&questionsTotal, q.Refused, db, user, "refused")
	e.count(&unaskedTotal, q.Unasked, db, user)
	e.count(&learntTotal, q.Learnt, db, user)
	for kind, n := range q.Leaks {
		e.count(&leaksTotal, n, db, user, kind)
	}
}

func (e emitter) loop(name string, l status.Loop) {
	e.count(&loopPolls, l.Polls, name)
	e.count(&loopCalls, l.Reads, name, "read")
	e.count(&loopCalls, l.Writes, name, "write")
	e.count(&loopBytes, l.BytesRead, name, "read")
	e.count(&loopBytes, l.BytesWritten, name, "write")
}

func (e emitter) logins(l status.Logins) {
	e.value(&loginsNow, float64(l.Now))
	e.value(&maxLogins, float64(l.Max))
	e.count(&acceptedTotal, l.Accepted)
	e.count(&shedTotal, l.Shed)
	e.count(&cancelRequests, l.Cancels)
	for reason, n := range l.Failed {
		e.count(&loginsFailed, n, reason)
	}
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
