package prepared

import (
	"strconv"
	"sync"
	"sync/atomic"
)

// Texts gives the statements of a pool their names on backends, the same on all of its lanes: a backend that goes from one lane to another keeps
// what it has prepared. Each lane has a Table; its look-ups come here only for what it does not have. The zero value is ready. Any goroutine.
type Texts struct {
	mu     sync.Mutex
	called map[string]*called // by the key that tables have
	last   uint64

	forgotten atomic.Uint64 // how often Forget was called
	numbers   atomic.Uint64
}

// Number returns a number, from 1, that it has not returned before: for what no two lanes may call the same.
func (x *Texts) Number() uint64 { return x.numbers.Add(1) }

// called is what a text is called on backends.
type called struct {
	name  string
	users int // tables that have it, and backends on their way; guarded by Texts.mu
}

// retain returns what the text of that key is called, with a reference for the caller.
func (x *Texts) retain(key string) *called {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.called[key]
	if c == nil {
		c = &called{name: x.next()}
		if x.called == nil {
			x.called = map[string]*called{}
		}
		x.called[key] = c
	}
	c.users++
	return c
}

// keep takes one more reference. It reports whether the text is still called so.
func (x *Texts) keep(key string, c *called) (current bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c.users++
	return x.called[key] == c
}

func (x *Texts) release(key string, c *called) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if c.users--; c.users == 0 && x.called[key] == c {
		delete(x.called, key)
	}
}

// own returns a name that no text has.
func (x *Texts) own() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.next()
}

func (x *Texts) next() string {
	x.last++
	return prefix + strconv.FormatUint(x.last, 36)
}

// forget has all texts called otherwise from now on.
func (x *Texts) forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	clear(x.called)
	x.forgotten.Add(1)
}

// Luggage is what a backend holds, while it is on its way from one lane to another. It is to be unpacked once, by Arrive or Drop.
type Luggage struct {
	texts   *Texts
	carried []carried // the one used longest ago first
	lost    bool      // see Book.Lost
}

// carried is a statement of the lane that the backend comes from; its references and its table are of no account.
type carried struct{ Statement }

// Depart packs what the backend holds, which the lane's table does not know of any more. Nothing may be under way.
func (b *Book) Depart(t *Table) Luggage {
	l := Luggage{texts: t.pool(), lost: b.lost}
	if b.held.len() > 0 {
		for i := b.held.entries[0].prev; i != 0; i = b.held.entries[i].prev {
			s := b.held.entries[i].s
			if s.called != nil {
				l.texts.keep(s.key, s.called)
			}
			l.carried = append(l.carried, carried{*s})
			l.lost = l.lost || b.held.entries[i].misread
		}
	}
	b.Discard()
	b.slot.known = false // what it holds is the text of a client of this lane
	return l
}

// Arrive unpacks it on another lane.
func (b *Book) Arrive(t *Table, l Luggage) {
	for _, c := range l.carried {
		s := t.adopt(c)
		b.held.add(s)
		s.release()
	}
	b.lost = l.lost
	l.Drop()
}

// Drop is for a backend that has not arrived.
func (l Luggage) Drop() {
	for _, c := range l.carried {
		if c.called != nil {
			l.texts.release(c.key, c.called)
		}
	}
}

// adopt returns the table's statement of a text that a backend has brought, with a reference for the caller. One whose text is called otherwise
// by now is for those only who have it already.
func (t *Table) adopt(c carried) *Statement {
	t.follow()
	s := c.Statement
	if there := t.named[s.name]; there != nil {
		if there.refs == 0 {
			t.resting.remove(there)
		}
		return there.retain()
	}
	s.table, s.refs, s.next, s.prev = t, 1, nil, nil
	if s.called == nil {
		return t.enter(&s)
	}
	if !t.pool().keep(s.key, s.called) {
		t.pool().release(s.key, s.called)
		s.key, s.called = "", nil
	}
	return t.enter(&s)
}

// enter makes the table know a statement: by its key, if it may be shared, and by its name.
func (t *Table) enter(s *Statement) *Statement {
	if t.statements == nil {
		t.statements, t.named = map[string]*Statement{}, map[string]*Statement{}
	}
	if s.key != "" {
		t.statements[s.key] = s
	}
	t.named[s.name] = s
	return s
}

// leave has the table forget the key of a statement, and its name if nobody has the statement.
func (t *Table) leave(s *Statement) {
	delete(t.statements, s.key)
	t.pool().release(s.key, s.called)
	s.key, s.called, s.next, s.prev = "", nil, nil, nil
	if s.refs == 0 {
		delete(t.named, s.name)
	}
}

// pool is where the table's names come from.
func (t *Table) pool() *Texts {
	if t.Texts == nil {
		t.Texts = new(Texts)
	}
	return t.Texts
}

// follow forgets what another lane has had forgotten.
func (t *Table) follow() {
	if n := t.pool().forgotten.Load(); n != t.forgotten {
		t.forgotten = n
		t.Totals.Forgotten += uint64(t.Len())
		t.detach()
	}
}

// detach has no text shared any more that the table has. The statements that clients and backends have stay theirs.
func (t *Table) detach() {
	for _, s := range t.statements {
		t.leave(s)
	}
	t.resting = resting{}
}

// Close gives up the names that the table has, when its lane ends.
func (t *Table) Close() { t.detach() }
