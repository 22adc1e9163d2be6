package prepared

import (
	"strconv"

	"weir/proxy/wire"
)

// Account numbers the answers that messages of the extended protocol make due, as proxy/exchange counts them.
type Account interface {
	Client(t byte)
	Asked() uint64    // the number of the answer that the last message is due
	Answered() uint64 // the number of the last answer that has come or will not come
	Quiet() bool      // no transaction is open where the server reads the next message
}

// Verdict is what becomes of a ParseComplete or a CloseComplete.
type Verdict uint8

// What a Verdict may be.
const (
	Unknown         Verdict = iota // it answers a message that the Book has not written
	Pass                           // to the client as it is
	Swallow                        // it answers a message of weir's own
	AsParseComplete                // the client is waiting for a ParseComplete
	Impossible                     // the server has accepted what it must refuse
)

// change is what a message under way changes in Names and in the statements held. It is entered when the message is sent, so that the
// client's next messages find it, and taken back if the server throws the message away.
type change uint8

const (
	prepares   change = iota // weir's Parse: the backend holds s
	defines                  // the client's Parse: the backend holds s, and the name means s
	shares                   // something cheaper in place of the client's Parse, because the backend holds s: the name means s
	forgets                  // a Close of nothing in place of the client's Close: the name means nothing
	evicts                   // weir's Close: the backend no longer holds s
	duplicates               // the client's Parse of a name that means something, for the server to refuse
	assists                  // weir's own message about nothing that is kept
	describes                // the client's Describe: it will be told the columns of s, which no client was
	compares                 // weir's Describe: are the columns of s those that clients were told of?

	definesUnnamed  // the client's Parse of the unnamed statement, which ends the one before, even if it fails
	preparesUnnamed // weir's Parse of it
	endsUnnamed     // a Query, which ends it, even if it fails
	closesUnnamed   // the client's Close of it
)

func (c change) names() bool   { return c == defines || c == shares || c == forgets }
func (c change) holds() bool   { return c == prepares || c == defines || c == evicts }
func (c change) unnamed() bool { return c >= definesUnnamed }

// theirs reports whether it changes what the client's unnamed statement is.
func (c change) theirs() bool { return c.unnamed() && c != preparesUnnamed }

// mark is a message under way.
type mark struct {
	at      uint64 // its answer's number
	batch   uint32
	change  change
	name    string
	s, prev *Statement // prev is what name meant before
	had     bool       // the backend held s before
	unsure  bool       // the slot was not synced, for all that was known, when the message was sent
}

// nobody is a name that no statement on a backend has.
const nobody = "weir-nobody"

// Book is one backend's: the statements that it holds, and the messages about them that are under way. Its methods append
// messages to out and enter them into the account, in that order.
type Book struct {
	Max int // statements that the backend keeps

	held held
	lost bool // the server has been found not to have one of them: which others, only the server knows
	slot slot // of the unnamed statement

	marks []mark // oldest first, from head on
	head  int    // what stands in front has been answered
	batch uint32 // Syncs sent

	describing int // marks that describes or compares; see Columns
	comparing  bool
}

// Len is the number of statements that the backend holds.
func (b *Book) Len() int { return b.held.len() }

// Pending reports whether answers are under way that change something.
func (b *Book) Pending() bool { return b.head < len(b.marks) }

// Synced notes that a Sync has been sent: an error before it does not touch what comes after it.
func (b *Book) Synced() { b.batch++ }

// Parse is for a client's Parse of a name. The caller sends it under the name that is returned; there is none if what had to be sent has been
// appended.
func (b *Book) Parse(out []byte, a Account, n *Names, t *Table, name []byte, text Text) ([]byte, string) {
	if old := n.Statement(name); old != nil {
		return b.duplicate(out, a, n, name, old)
	}
	out = b.closeLost(out, a)
	s := t.Intern(text, n)
	last := b.last(s)
	sure := (last == nil || last.batch == b.batch) && !b.held.misread(s)
	if sure && b.held.use(s) {
		t.Totals.Saved++
		return b.share(out, a, n, string(name), s), ""
	}
	out = b.makeRoom(out, a, s, sure)
	b.held.add(s)
	t.Totals.Passed++
	b.name(a, wire.ClientParse, defines, n, string(name), s)
	return out, s.name
}

// share sends something that is answered in the place of a Parse of what the backend holds already. The Parse would fail in a failed
// transaction: where there may be one, what is sent must do so, too.
func (b *Book) share(out []byte, a Account, n *Names, name string, s *Statement) []byte {
	out = wire.AppendClose(out, 'S', decoy)
	if a.Quiet() {
		b.name(a, wire.ClientClose, shares, n, name, s)
		return out
	}
	b.mark(a, wire.ClientClose, mark{change: assists})
	text := "SELECT"
	if s.endsTransaction() {
		text = "ROLLBACK"
	}
	b.name(a, wire.ClientParse, shares, n, name, s)
	return wire.AppendParse(out, decoy, text, nil)
}

// ParseOwn is for a client's Parse that is too long to be kept: it gets a statement of its own, which lives on this backend only. The
// statement is nil where the server is to refuse the Parse.
func (b *Book) ParseOwn(out []byte, a Account, n *Names, t *Table, name []byte) ([]byte, string, *Statement) {
	if old := n.Statement(name); old != nil {
		out, as := b.duplicate(out, a, n, name, old)
		return out, as, nil
	}
	s := t.own()
	out = b.makeRoom(out, a, s, true)
	b.held.add(s)
	t.Totals.Passed++
	b.name(a, wire.ClientParse, defines, n, string(name), s)
	return out, s.name, s
}

// duplicate is for a client's Parse of a name that means something: the server refuses it where it is sent under the name of
// that, or of a decoy where the backend does not hold that. It could not be prepared in a failed transaction.
func (b *Book) duplicate(out []byte, a Account, n *Names, name []byte, old *Statement) ([]byte, string) {
	old.table.Totals.Passed++
	as := old.name
	if !b.Holds(old) {
		as = taken
		out = b.decoy(out, a, as)
	}
	b.mark(a, wire.ClientParse, mark{change: duplicates})
	if as == taken {
		n.goes(spoken{string(name), as, a.Asked() + 1})
	}
	return out, as
}

// Undecided reports whether an answer that is still under way decides what the name means, so that the message at hand must wait for it.
// uses: the message is a Bind or a Describe; it may go at once after its statement's Parse, because the server refuses it if that
// has failed.
func (b *Book) Undecided(name []byte, uses bool) bool {
	var last *mark
	sole := true
	for i := b.head; i < len(b.marks); i++ {
		if m := &b.marks[i]; m.change.names() && m.name == string(name) {
			sole = last == nil
			last = m
		}
	}
	if last == nil || last.batch == b.batch {
		return false
	}
	return !uses || !sole || last.change != defines || !b.soleAbout(last)
}

// soleAbout reports whether nothing but m, the Parse of a new name, decides whether the backend holds its statement.
func (b *Book) soleAbout(m *mark) bool {
	for i := b.head; i < len(b.marks); i++ {
		if o := &b.marks[i]; o != m && o.s == m.s && o.change.holds() {
			return false
		}
	}
	return !m.had && m.prev == nil
}

// Ensure sees to it that the backend holds s, which the name means, when it reads what comes next. If the Parse that gave it the name
// is under way and fails, the server is to find nothing.
func (b *Book) Ensure(out []byte, a Account, name []byte, s *Statement) []byte {
	if s.Own() {
		return out
	}
	out = b.closeLost(out, a)
	sure := b.sure(name, s) && !b.held.differs(s)
	if sure && b.held.use(s) {
		return out
	}
	out = b.makeRoom(out, a, s, sure)
	out = appendParse(out, s.name, s.parse)
	s.table.Totals.Repeated++
	b.held.add(s)
	b.mark(a, wire.ClientParse, mark{change: prepares, s: s.retain()})
	return out
}

// sure reports whether it is certain that the backend holds s, or does not, where it reads a message that uses the name.
func (b *Book) sure(name []byte, s *Statement) bool {
	last := b.last(s)
	return last == nil || last.batch == b.batch || last.change == defines && last.name == string(name)
}

// Lacks reports whether Ensure would have to prepare s.
func (b *Book) Lacks(name []byte, s *Statement) bool {
	return !s.Own() && (b.lost || !b.sure(name, s) || !b.held.has(s) || b.held.differs(s))
}

// Holds reports whether the backend is sure to hold s where it reads the next message.
func (b *Book) Holds(s *Statement) bool {
	last := b.last(s)
	return s.Own() || !b.lost && (last == nil || last.batch == b.batch) && b.held.has(s) && !b.held.differs(s)
}

// makeRoom closes s, unless it is sure that the backend does not hold it, or else the statement used longest ago if there are
// too many.
func (b *Book) makeRoom(out []byte, a Account, s *Statement, sure bool) []byte {
	if !sure {
		return b.evict(out, a, s)
	}
	for b.held.len() >= max(b.Max, 1) { // more than one where Max has become smaller
		oldest := b.held.oldest()
		if oldest == nil {
			break
		}
		s.table.Totals.Closed++
		out = b.evict(out, a, oldest)
	}
	return out
}

func (b *Book) evict(out []byte, a Account, s *Statement) []byte {
	out = wire.AppendClose(out, 'S', s.name)
	b.mark(a, wire.ClientClose, mark{change: evicts, s: s.retain(), had: b.held.has(s)})
	b.held.remove(s)
	return out
}

// Close is for a client's Close of a name that means something.
func (b *Book) Close(out []byte, a Account, n *Names, name []byte) []byte {
	closed, s := nobody, n.Statement(name)
	if s.Own() {
		closed = s.name
	}
	onBackend := s.name
	out = wire.AppendClose(out, 'S', closed)
	b.name(a, wire.ClientClose, forgets, n, string(name), nil)
	n.goes(spoken{string(name), onBackend, a.Asked()})
	return out
}

// Decoy prepares a statement that a DEALLOCATE sent after it can name, in place of one that others share, and returns its name. nth
// tells apart those that one text needs.
func (b *Book) Decoy(out []byte, a Account, nth int) ([]byte, string) {
	name := decoy
	if nth > 0 {
		name += strconv.Itoa(nth)
	}
	return b.decoy(out, a, name), name
}

func (b *Book) decoy(out []byte, a Account, name string) []byte {
	out = wire.AppendClose(out, 'S', name)
	b.mark(a, wire.ClientClose, mark{change: assists})
	out = wire.AppendParse(out, name, "", nil)
	b.mark(a, wire.ClientParse, mark{change: assists})
	return out
}

// decoy is the name of what is prepared for show.
const decoy = "weir-decoy"

// taken is the name of a decoy that stands for a name of the client's. It is translated like those of statements, and longer than they get.
const taken = prefix + "nameofwhatisprepared"

// name enters a message that changes what a client's name means. The caller's reference to s is the name's.
func (b *Book) name(a Account, t byte, c change, n *Names, name string, s *Statement) {
	prev := n.set(name, s)
	b.mark(a, t, mark{change: c, name: name, s: s.retain(), prev: prev})
}

func (b *Book) mark(a Account, t byte, m mark) {
	a.Client(t)
	m.at, m.batch = a.Asked(), b.batch
	b.marks = append(b.marks, m)
}

// last is the latest message under way that decides whether the backend holds s.
func (b *Book) last(s *Statement) *mark {
	for i := len(b.marks) - 1; i >= b.head; i-- {
		if m := &b.marks[i]; m.s == s && m.change.holds() {
			return m
		}
	}
	return nil
}

// Complete is for a ParseComplete or a CloseComplete, t, after the account has taken note of it. n is nil when the client has left.
func (b *Book) Complete(a Account, t byte, n *Names) Verdict {
	answered := a.Answered()
	if answered > 0 {
		b.fail(answered-1, n)
	}
	if b.head == len(b.marks) || b.marks[b.head].at != answered {
		return Unknown
	}
	m := b.marks[b.head]
	m.s.release()
	m.prev.release()
	b.drop(1)
	switch {
	case m.change == prepares || m.change == evicts || m.change == assists || m.change == preparesUnnamed:
		return Swallow
	case m.change == shares && t == wire.ServerCloseComplete:
		return AsParseComplete
	case m.change == duplicates:
		return Impossible
	}
	return Pass
}

// Discard forgets what the backend holds and what is under way, as the backend does at its end.
func (b *Book) Discard() {
	b.Abandon(nil)
	b.held.clear()
	b.lost = false
	b.slot.hold(nil)
}

// Lost notes that the server has been found not to have what the Book says it holds: everything is closed before a statement is used next, and
// prepared anew when it is needed.
func (b *Book) Lost() { b.lost = true }

// closeLost closes everything after Lost. Only what cannot be prepared again is left.
func (b *Book) closeLost(out []byte, a Account) []byte {
	for b.lost {
		s := b.held.oldest()
		if b.lost = s != nil; b.lost {
			out = b.evict(out, a, s)
		}
	}
	return out
}

// Deallocated is for a CommandComplete that says that all of the session's statements are gone.
func (b *Book) Deallocated(n *Names) {
	b.held.clear()
	b.lost = false
	n.Deallocated()
}
