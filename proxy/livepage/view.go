package livepage

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"

	"weir/proxy/status"
)

// How much is shown: a page is read by people.
const (
	rowsMax   = 100
	rateSpan  = 10 * time.Second // of rates
	spanShown = time.Minute      // of percentiles and counts of errors
)

// View is what there is to show, as numbers: times are in seconds. /live.json is one.
type View struct {
	At       time.Time `json:"at"`
	Started  time.Time `json:"started"`
	Uptime   float64   `json:"uptime_seconds"`
	Troubles []Trouble `json:"troubles"` // the worst first

	Clients    Clients      `json:"clients"`
	Backends   Backends     `json:"backends"`
	OldestWait float64      `json:"oldest_wait_seconds"`
	Rates      Rates        `json:"rates"`
	History    []Moment     `json:"history"` // of the whole, the oldest first
	Pools      []Pool       `json:"pools"`   // those that hurt first
	PoolsMore  int          `json:"pools_left_out"`
	Waits      []Wait       `json:"waits"` // the longest first
	Pins       []Pin        `json:"pins"`  // likewise
	PinsMore   int          `json:"pins_left_out"`
	Errors     []Error      `json:"errors"` // since the start, the most frequent first
	Logins     Logins       `json:"logins"`
	Session    SessionState `json:"session_state"`
	Hosts      []Host       `json:"hosts"`       // those in trouble first
	Failures   []Failure    `json:"last_errors"` // the latest first
	Listeners  []string     `json:"listeners"`
	Replicas   int          `json:"replication_connections"`
}

// Clients are counted by what they do.
type Clients struct {
	Max     int `json:"max,omitempty"` // max_client_conn
	All     int `json:"all"`
	Waiting int `json:"waiting"`
	Active  int `json:"active"`
	Idle    int `json:"idle"`
	Login   int `json:"login"`
	Closing int `json:"closing"`
}

func (c *Clients) add(o *Clients) {
	c.All += o.All
	c.Waiting += o.Waiting
	c.Active += o.Active
	c.Idle += o.Idle
	c.Login += o.Login
	c.Closing += o.Closing
}

func clientsOf(n *[status.ClientStates]int) (c Clients) {
	for _, in := range n {
		c.All += in
	}
	c.Waiting, c.Active, c.Idle = n[status.ClientWaiting], n[status.ClientActive], n[status.ClientIdle]
	c.Login, c.Closing = n[status.ClientLogin], n[status.ClientClosing]
	return c
}

// Backends are counted by what they do.
type Backends struct {
	Size     int `json:"size"` // pool_size
	Reserve  int `json:"reserve"`
	All      int `json:"all"`
	Active   int `json:"active"`
	Idle     int `json:"idle"`
	Dialling int `json:"dialling"`
	Cleaning int `json:"cleaning"`
	Held     int `json:"held"`
	InTx     int `json:"idle_in_transaction"`
	Pinned   int `json:"pinned"`
}

func (b *Backends) add(o *Backends) {
	b.Size += o.Size
	b.Reserve += o.Reserve
	b.All += o.All
	b.Active += o.Active
	b.Idle += o.Idle
	b.Dialling += o.Dialling
	b.Cleaning += o.Cleaning
	b.Held += o.Held
	b.InTx += o.InTx
	b.Pinned += o.Pinned
}

func backendsOf(p *status.Pool) Backends {
	b := Backends{Size: p.Size, Reserve: p.ReserveSize, InTx: p.InTx, Pinned: p.Pinned}
	for _, in := range p.Backends {
		b.All += in
	}
	n := &p.Backends
	b.Active, b.Idle, b.Dialling = n[status.BackendActive], n[status.BackendIdle], n[status.BackendDialling]
	b.Cleaning, b.Held = n[status.BackendCleaning], n[status.BackendHeld]
	return b
}

// Rates are of the last 10 seconds, percentiles and failures of the last minute.
type Rates struct {
	Queries      float64 `json:"queries_per_second"`
	Transactions float64 `json:"transactions_per_second"`
	Query        Times   `json:"query_seconds"`
	Wait         Times   `json:"wait_seconds"`
	Errors       uint32  `json:"errors"`
	WaitsFailed  uint32  `json:"waits_failed"`
}

// Times are percentiles; nil where there was nothing to measure.
type Times struct {
	P50 *float64 `json:"p50"`
	P95 *float64 `json:"p95"`
	P99 *float64 `json:"p99"`
}

func timesOf(c *counts) (t Times) {
	for _, q := range []struct {
		of float64
		to **float64
	}{{.5, &t.P50}, {.95, &t.P95}, {.99, &t.P99}} {
		if d, ok := c.quantile(q.of); ok {
			seconds := d.Seconds()
			*q.to = &seconds
		}
	}
	return t
}

func ratesOf(s *series, at time.Time) Rates {
	now, minute := s.last(at, rateSpan), s.last(at, spanShown)
	if now.took < rateSpan/2 { // a step that has just begun
		now = s.last(at, rateSpan+s.step)
	}
	return Rates{
		Queries: now.perSecond(now.queries), Transactions: now.perSecond(now.transactions),
		Query: timesOf(&minute.query), Wait: timesOf(&minute.wait), Errors: minute.errors, WaitsFailed: minute.waitsFailed,
	}
}

// Moment is a point of the curves.
type Moment struct {
	Ago     float64  `json:"seconds_ago"`
	Queries *float64 `json:"queries_per_second"` // nil: not known
	P50     *float64 `json:"query_p50_seconds"`
	P99     *float64 `json:"query_p99_seconds"`
	Waiting int32    `json:"waiting"`
}

// Pool is a row.
type Pool struct {
	Database    string   `json:"database"`
	User        string   `json:"user"`
	Mode        string   `json:"mode"`
	Clients     Clients  `json:"clients"`
	Backends    Backends `json:"backends"`
	OldestWait  float64  `json:"oldest_wait_seconds"`
	OldestLease float64  `json:"oldest_lease_seconds"`
	Paused      bool     `json:"paused"`
	ServerDown  bool     `json:"server_down"`
	ServerError string   `json:"server_error"`
	Rates       *Rates   `json:"rates"` // nil: too many pools
}

// Name is what the log and errors call it.
func (p Pool) Name() string { return p.Database + "/" + p.User }

// Peer is a client.
type Peer struct {
	Client      uint32 `json:"client_pid"`
	Address     string `json:"address"`
	Application string `json:"application_name"`
	Backend     uint32 `json:"backend_pid,omitempty"`
}

// Wait is a pool that clients wait for.
type Wait struct {
	Pool      string  `json:"pool"`
	Clients   int     `json:"clients"`
	For       float64 `json:"oldest_seconds"`
	Who       Peer    `json:"who"`                 // has waited longest
	Behind    *Peer   `json:"behind"`              // has had its backend longest; nil: no client has one
	HeldFor   float64 `json:"behind_held_seconds"` // and for how long
	Bound     string  `json:"bound"`               // what keeps it from one more backend
	ServerOut bool    `json:"server_down"`
}

// Pin is a backend that stays with a client.
type Pin struct {
	Pool      string  `json:"pool"`
	Who       Peer    `json:"who"`
	Reasons   string  `json:"reasons"`
	For       float64 `json:"seconds"` // 0: not known
	Statement string  `json:"statement"`
}

// Error counts those of an SQLSTATE.
type Error struct {
	Code    string `json:"sqlstate"`
	Servers uint64 `json:"from_servers"`
	Weirs   uint64 `json:"from_weir"`
}

// Logins are those under way and those that failed.
type Logins struct {
	Now    int      `json:"now"`
	Max    int      `json:"max"`
	Total  uint64   `json:"succeeded"`
	Failed []Reason `json:"failed"`
	Shed   uint64   `json:"shed"`
}

// Reason is how often something happened, by its name.
type Reason struct {
	Name  string `json:"reason"`
	Count uint64 `json:"count"`
}

// SessionState is what weir has asked and learnt about sessions.
type SessionState struct {
	Asked   uint64   `json:"asked"`
	Refused uint64   `json:"refused"`
	Unasked uint64   `json:"unasked"`
	Learnt  uint64   `json:"learnt"`
	Leaks   []Reason `json:"leaks"`
}

// View is what there is to show. Texts of statements, which may hold anything, only if texts says so. False: no snapshot yet.
func (s *Sampler) View(texts bool) (View, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.fed {
		return View{}, false
	}
	now := &s.latest
	v := View{
		At: now.At, Started: now.Started, Uptime: now.At.Sub(now.Started).Seconds(), Rates: ratesOf(s.whole, now.At), History: s.moments(),
		Logins: Logins{
			Now: now.Logins.Now, Max: now.Logins.Max, Total: now.Logins.Succeeded, Failed: reasons(now.Logins.Failed), Shed: now.Logins.Shed,
		},
	}
	errors, leaks := map[string]*Error{}, map[string]uint64{}
	for i := range now.Pools {
		p := &now.Pools[i]
		v.addPool(p, s.pools[p.Number], now.At, texts)
	}
	for p := range sinceTheStart(now) {
		v.Session.add(&p.Questions, leaks)
		count(errors, p)
	}
	v.Clients.Max = now.Limits.MaxClients
	v.Session.Leaks = reasons(leaks)
	for _, r := range now.Replications {
		v.Replicas += r.Clients
	}
	v.Errors = sorted(errors)
	v.sort()
	v.Troubles = s.troubles(&v)
	v.cut()
	return v, true
}

func (v *View) addPool(p *status.Pool, own *series, at time.Time, texts bool) {
	row := Pool{
		Database: valid(p.Database), User: valid(p.User), Mode: p.Mode, Clients: clientsOf(&p.Clients), Backends: backendsOf(p),
		OldestWait: p.OldestWait.Seconds(), OldestLease: p.OldestLease.Seconds(), Paused: p.Paused, ServerDown: p.ServerDown, ServerError: valid(p.ServerError),
	}
	if own != nil {
		rates := ratesOf(own, at)
		row.Rates = &rates
	}
	v.Pools = append(v.Pools, row)
	v.Clients.add(&row.Clients)
	v.Backends.add(&row.Backends)
	v.OldestWait = max(v.OldestWait, row.OldestWait)
	if row.Clients.Waiting > 0 {
		w := Wait{
			Pool: row.Name(), Clients: row.Clients.Waiting, For: row.OldestWait, Who: peerOf(p.Waiter), Bound: boundText(p), ServerOut: p.ServerDown,
		}
		if p.Holder.Backend != 0 {
			holder := peerOf(p.Holder)
			w.Behind, w.HeldFor = &holder, row.OldestLease
		}
		v.Waits = append(v.Waits, w)
	}
	for _, pin := range p.Pins {
		v.Pins = append(v.Pins, pinOf(row.Name(), pin, at, texts))
	}
}

func peerOf(p status.Peer) Peer {
	return Peer{Client: p.Client, Address: valid(p.Address), Application: valid(p.Application), Backend: p.Backend}
}

func pinOf(pool string, p status.Pin, at time.Time, texts bool) Pin {
	shown := Pin{
		Pool: pool, Reasons: strings.Join(p.Reasons, ", "),
		Who: peerOf(status.Peer{Client: p.Client, Address: p.Peer, Application: p.Application, Backend: p.Backend}),
	}
	if !p.Since.IsZero() {
		shown.For = max(0, at.Sub(p.Since).Seconds())
	}
	if texts {
		shown.Statement = valid(p.Statement)
	}
	return shown
}

// valid makes text of what may be any bytes.
func valid(text string) string { return strings.ToValidUTF8(text, "?") }

func (s *SessionState) add(q *status.Questions, leaks map[string]uint64) {
	s.Asked += q.Asked
	s.Refused += q.Refused
	s.Unasked += q.Unasked
	s.Learnt += q.Learnt
	for kind, n := range q.Leaks {
		leaks[kind] += n
	}
}

// sinceTheStart has each pool, and what those have counted that are forgotten.
func sinceTheStart(s *status.Snapshot) iter.Seq[*status.Pool] {
	return func(yield func(*status.Pool) bool) {
		for _, pools := range [][]status.Pool{s.Pools, s.Bygone} {
			for i := range pools {
				if !yield(&pools[i]) {
					return
				}
			}
		}
	}
}

func count(errors map[string]*Error, p *status.Pool) {
	at := func(code string) *Error {
		if errors[code] == nil {
			errors[code] = &Error{Code: valid(code)}
		}
		return errors[code]
	}
	for _, e := range p.Errors {
		at(e.Code).Servers += e.Count
	}
	for _, e := range p.Own {
		at(e.Code).Weirs += e.Count
	}
}

// errorsShown bounds the list of errors.
const errorsShown = 12

func sorted(errors map[string]*Error) []Error {
	all := make([]Error, 0, len(errors))
	for _, e := range errors {
		all = append(all, *e)
	}
	slices.SortFunc(all, func(a, b Error) int {
		return cmp.Or(cmp.Compare(b.Servers+b.Weirs, a.Servers+a.Weirs), cmp.Compare(a.Code, b.Code))
	})
	return all[:min(len(all), errorsShown)]
}

func reasons(counts map[string]uint64) []Reason {
	all := make([]Reason, 0, len(counts))
	for name, n := range counts {
		if n > 0 {
			all = append(all, Reason{strings.ReplaceAll(name, "_", " "), n})
		}
	}
	slices.SortFunc(all, func(a, b Reason) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name)) })
	return all
}

// sort puts what hurts first.
func (v *View) sort() {
	slices.SortStableFunc(v.Pools, func(a, b Pool) int {
		return cmp.Or(before(a.ServerDown, b.ServerDown), cmp.Compare(b.OldestWait, a.OldestWait))
	})
	slices.SortStableFunc(v.Waits, func(a, b Wait) int { return cmp.Compare(b.For, a.For) })
	slices.SortStableFunc(v.Pins, func(a, b Pin) int { return cmp.Compare(b.For, a.For) })
}

// cut leaves out what is too much to read.
func (v *View) cut() {
	v.PoolsMore, v.PinsMore = max(0, len(v.Pools)-rowsMax), max(0, len(v.Pins)-rowsMax)
	v.Pools, v.Waits, v.Pins = v.Pools[:min(len(v.Pools), rowsMax)], v.Waits[:min(len(v.Waits), rowsMax)], v.Pins[:min(len(v.Pins), rowsMax)]
}

func before(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
