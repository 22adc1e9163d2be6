package console

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"weir/proxy/status"
)

// figure is one of the numbers that STATS has totals and averages of.
type figure uint8

const (
	assignments figure = iota
	transactions
	queries
	received
	sent
	transactionTime
	queryTime
	waitTime
	clientParses
	serverParses
	binds
	logins
	figures
)

// totals are in the order of the figures; times are in microseconds.
type totals [figures]uint64

func totalsOf(p *status.Pool) totals {
	t, s := &p.Totals, &p.Prepared
	us := func(d time.Duration) uint64 { return uint64(max(d, 0) / time.Microsecond) }
	return totals{
		assignments: t.Leases, transactions: t.Transactions, queries: t.Queries, received: t.ClientBytesIn, sent: t.ClientBytesOut,
		transactionTime: us(p.Transact.Sum), queryTime: us(p.Query.Sum), waitTime: us(p.Wait.Sum),
		clientParses: s.Passed + s.Saved, serverParses: s.Passed + s.Repeated, binds: s.Binds, logins: t.ClientsServed,
	}
}

func (t *totals) add(o totals) {
	for i, n := range o {
		t[i] += n
	}
}

// since is what has come since an earlier look. A number that has become smaller is one that was counted anew, of a database that was away.
func (t totals) since(earlier totals) totals {
	for i := range t {
		t[i] -= min(earlier[i], t[i])
	}
	return t
}

// averages are what passed in that time: counts per second, times per transaction, query or assignment.
func (t totals) averages(over time.Duration) totals {
	a := totals{}
	for i, n := range t {
		if us := uint64(over / time.Microsecond); us > 0 {
			a[i] = n * uint64(time.Second/time.Microsecond) / us
		}
	}
	for of, per := range map[figure]figure{transactionTime: transactions, queryTime: queries, waitTime: assignments} {
		a[of] = 0
		if t[per] > 0 {
			a[of] = t[of] / t[per]
		}
	}
	return a
}

// sample is a look at all databases: those that have pools, and what is left of others. "" are those of which the name is gone.
type sample struct {
	at        time.Time
	databases map[string]totals
	console   totals
	all       totals
}

func sampleOf(s *status.Snapshot, console Usage) sample {
	c := sample{at: s.At, databases: map[string]totals{}, console: totalsOfConsole(console)}
	for _, pools := range [][]status.Pool{s.Pools, s.Bygone} {
		for i := range pools {
			t, of := totalsOf(&pools[i]), c.databases[pools[i].Database]
			of.add(t)
			c.databases[pools[i].Database] = of
			c.all.add(t)
		}
	}
	c.all.add(c.console)
	return c
}

// Stats remembers earlier looks, so that there are averages. Its methods may be called on any goroutine.
type Stats struct {
	mu           sync.Mutex
	older, newer sample
}

// NewStats begins at a time when nothing had been counted.
func NewStats(began time.Time) *Stats {
	none := sample{at: began}
	return &Stats{older: none, newer: none}
}

// Sample is called once each stats_period. It returns what has been done since the last time, in all pools and on the console.
func (s *Stats) Sample(now *status.Snapshot, console Usage) Activity {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.older, s.newer = s.newer, sampleOf(now, console)
	return Activity{s.newer.all.since(s.older.all).averages(s.newer.at.Sub(s.older.at))}
}

// Activity are the averages of one stats_period: counts per second, times per transaction, query or assignment.
type Activity struct{ averages totals }

// String is the line that PgBouncer writes into its log.
func (a Activity) String() string {
	n := a.averages
	return fmt.Sprintf("stats: %d xacts/s, %d queries/s, %d client parses/s, %d server parses/s, %d binds/s, %d client logins/s, "+
		"in %d B/s, out %d B/s, xact %d us, query %d us, wait %d us",
		n[transactions], n[queries], n[clientParses], n[serverParses], n[binds], n[logins],
		n[received], n[sent], n[transactionTime], n[queryTime], n[waitTime])
}

// Attributes are the same for weir's own log.
func (a Activity) Attributes() []any {
	n := a.averages
	us := func(of figure) time.Duration { return time.Duration(n[of]) * time.Microsecond }
	return []any{
		"transactions_per_s", n[transactions], "queries_per_s", n[queries], "logins_per_s", n[logins], "binds_per_s", n[binds],
		"client_parses_per_s", n[clientParses], "server_parses_per_s", n[serverParses], "bytes_in_per_s", n[received], "bytes_out_per_s", n[sent],
		"transaction", us(transactionTime), "query", us(queryTime), "wait", us(waitTime),
	}
}

// row is a database's figures.
type row struct {
	database       string
	total, average totals
}

// rows are the databases by their names, the console as the last, and the sum of all.
func (s *Stats) rows(now *status.Snapshot, console Usage) (all []row, sum row) {
	s.mu.Lock()
	older := s.older
	s.mu.Unlock()
	current := sampleOf(now, console)
	over := current.at.Sub(older.at)
	rowOf := func(database string, now, before totals) row {
		return row{database, now, now.since(before).averages(over)}
	}
	for _, database := range slices.Sorted(maps.Keys(current.databases)) {
		if database != "" {
			all = append(all, rowOf(database, current.databases[database], older.databases[database]))
		}
	}
	return append(all, rowOf(consolePool, current.console, older.console)), rowOf("", current.all, older.all)
}

// totalsOfConsole counts each query of the console as a transaction of its own, as PgBouncer does.
func totalsOfConsole(u Usage) totals {
	us := uint64(max(u.QueryTime, 0) / time.Microsecond)
	return totals{
		transactions: u.Queries, queries: u.Queries, received: u.Received, sent: u.Sent, transactionTime: us, queryTime: us, logins: u.Logins,
	}
}
