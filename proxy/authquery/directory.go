// Package authquery looks users up in databases: what is stored as their password, with a query that the operator gives.
//
// Logins wait for it apart from the loops. It keeps what it has found for a while, asks one question once however many wait
// for the answer, and has few connections. How long an answer takes does not tell whether it was kept: see pace.go.
//
// Owner: a Directory's methods may be called from any goroutine. The package may import config (for
// Secret) and backend, which asks.
package authquery

import (
	"context"
	"errors"
	"sync"
	"time"

	"weir/config"
)

const (
	// lookupTimeout bounds a lookup: the wait for a connection, its login, and the query.
	lookupTimeout = 10 * time.Second
	// refreshAfter is how old an answer must be before a failed login makes it out of date: guessing passwords must not cost
	// the server a query a guess.
	refreshAfter = time.Second
	// troublePause is how long no connection is tried after one could not be had; lookups in that time get its error.
	troublePause = time.Second
	// userBytesMax bounds a name. PostgreSQL's own end after 63 bytes.
	userBytesMax = 255
	// troublesMax bounds the sources that are remembered to fail. With [databases."*"] strangers may name any.
	troublesMax = 1000
)

// errClosed is a lookup after Close.
var errClosed = errors.New("auth_query: weir stops")

// ErrNoDatabase is for a Connect whose server does not have the database. In it there are no users; whether there is such a
// database is not for strangers to know.
var ErrNoDatabase = errors.New("there is no such database")

// Source is where a query runs.
type Source struct {
	Database string // as [databases] calls it
	At       string // where that is: what is known of one place means nothing at another
	User     string // that weir logs in as
	Query    string
	// Guarded has the query run only where no ordinary role can have made what it names. See guard.go.
	Guarded bool
}

// Reason says why a user is looked up.
type Reason uint8

// The reasons.
const (
	ForLogin    Reason = iota // a client claims to be the user
	ForFailure                // a login has just failed against the last answer: unless that is fresh, the user is looked up anew
	ForFamiliar               // a client claims to be the user from where the user has logged in: a kept answer need not take its time
)

// Answer is what was found.
type Answer struct {
	Known  bool
	Stored config.Secret // not set: there is no password, so no login with one succeeds
	Why    string        // for the log: why no user can be known here; or empty
}

// Options are fixed. Their functions may be called on any goroutine.
type Options struct {
	// Lifetime is for how long an answer is used. 0, and nil: only by those who ask while it is being looked up.
	Lifetime func() time.Duration
	// Connect logs in to a source.
	Connect func(ctx context.Context, s Source) (Conn, error)
}

// Directory is all lookups of a weir.
type Directory struct {
	opt   Options
	conns *connections
	tasks sync.WaitGroup // lookups under way
	ctx   context.Context
	stop  context.CancelFunc

	mu       sync.Mutex
	closed   bool
	answers  answers
	flights  map[question]*flight
	troubles map[Source]trouble
	pace     pace
	totals   Totals
}

// Totals count lookups by what came of them.
type Totals struct {
	Kept    uint64 // answered from memory
	Found   uint64 // asked of a server, which knows the user
	Unknown uint64 // asked of a server, which does not, or which has no such database
	Failed  uint64 // the lookup had no answer, now or just before
}

// Totals are those since the start.
func (d *Directory) Totals() Totals {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.totals
}

// question is what is asked once.
type question struct {
	Source
	user string
}

// flight is a lookup under way. answer and err are set before done is closed.
type flight struct {
	done   chan struct{}
	answer Answer
	err    error
}

type trouble struct {
	until time.Time
	err   error
}

// New returns a Directory without connections; Close ends it.
func New(opt Options) *Directory {
	if opt.Lifetime == nil {
		opt.Lifetime = func() time.Duration { return 0 }
	}
	d := &Directory{
		opt: opt, conns: newConnections(opt.Connect), answers: newAnswers(),
		flights: map[question]*flight{}, troubles: map[Source]trouble{},
	}
	d.ctx, d.stop = context.WithCancel(context.Background())
	return d
}

// Close ends lookups under way and closes all connections.
func (d *Directory) Close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.stop()
	d.tasks.Wait()
	d.conns.close()
}

// Lookup finds a user. Errors are of the network, of the server, or of the query; the user may or may not exist then.
func (d *Directory) Lookup(ctx context.Context, s Source, user string, reason Reason) (Answer, error) {
	if len(user) > userBytesMax {
		return Answer{}, nil
	}
	q := question{s, user}
	d.mu.Lock()
	if a, ok := d.kept(q, reason); ok {
		d.totals.Kept++
		wait := d.pace.draw()
		d.mu.Unlock()
		if reason == ForFamiliar {
			return a, nil
		}
		return a, sleep(ctx, wait)
	}
	f, err := d.join(q)
	d.mu.Unlock()
	if open, ok := errors.AsType[*openToOthers](err); ok {
		return Answer{Why: open.Error()}, nil
	}
	if err != nil {
		return Answer{}, err
	}
	select {
	case <-f.done:
		return f.answer, f.err
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
}

// kept returns an answer that may still be used.
func (d *Directory) kept(q question, reason Reason) (Answer, bool) {
	a, at, ok := d.answers.find(q)
	age := time.Since(at)
	if !ok || age >= d.opt.Lifetime() || reason == ForFailure && age >= refreshAfter {
		return Answer{}, false
	}
	return a, true
}

// join returns the flight that looks q up, and begins it if need be.
func (d *Directory) join(q question) (*flight, error) {
	if f := d.flights[q]; f != nil {
		return f, nil
	}
	if d.closed {
		return nil, errClosed
	}
	if t, ok := d.troubles[q.Source]; ok && time.Now().Before(t.until) {
		d.totals.Failed++
		return nil, t.err
	}
	f := &flight{done: make(chan struct{})}
	d.flights[q] = f
	d.tasks.Go(func() { d.fly(q, f) })
	return f, nil
}

// fly looks q up and lets all who wait go on.
func (d *Directory) fly(q question, f *flight) {
	ctx, cancel := context.WithTimeout(d.ctx, lookupTimeout)
	defer cancel()
	begun := time.Now()
	f.answer, f.err = d.conns.ask(ctx, q)
	d.mu.Lock()
	delete(d.flights, q)
	switch connecting, open := (*connectError)(nil), (*openToOthers)(nil); {
	case errors.As(f.err, &open):
		d.inTrouble(q.Source, open)
		f.answer.Why, f.err = open.Error(), nil
	case errors.Is(f.err, ErrNoDatabase):
		// Nothing was asked, so how long it took is no measure of a lookup.
		f.err = nil
		d.answers.keep(q, f.answer, time.Now())
	case f.err == nil:
		d.answers.keep(q, f.answer, time.Now())
		d.pace.note(time.Since(begun))
		delete(d.troubles, q.Source)
	case errors.As(f.err, &connecting):
		d.inTrouble(q.Source, f.err)
	}
	switch {
	case f.err != nil:
		d.totals.Failed++
	case f.answer.Known:
		d.totals.Found++
	default:
		d.totals.Unknown++
	}
	d.mu.Unlock()
	close(f.done)
}

// inTrouble has those who come within troublePause fail at once.
func (d *Directory) inTrouble(s Source, err error) {
	now := time.Now()
	if len(d.troubles) >= troublesMax {
		for other, t := range d.troubles {
			if now.After(t.until) {
				delete(d.troubles, other)
			}
		}
		if len(d.troubles) >= troublesMax {
			return
		}
	}
	d.troubles[s] = trouble{now.Add(troublePause), err}
}

// Pace waits for as long as a lookup takes. It is for users that are known without one: their logins must not be told by their
// speed. As long as no lookup has shown how long that is, it makes one. The error is ctx's.
func (d *Directory) Pace(ctx context.Context, s Source, user string) error {
	d.mu.Lock()
	wait := d.pace.draw()
	var f *flight
	if d.pace.n == 0 && s.Database != "" && len(user) <= userBytesMax {
		f, _ = d.join(question{s, user}) // without one there is nothing to be measured for a stranger either
	}
	d.mu.Unlock()
	if f == nil {
		return sleep(ctx, wait)
	}
	t := time.NewTimer(paceMax)
	defer t.Stop()
	select {
	case <-f.done:
	case <-t.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}

func sleep(ctx context.Context, wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
