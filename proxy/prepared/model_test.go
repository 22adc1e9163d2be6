package prepared

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"weir/proxy/exchange"
	"weir/proxy/wire"
)

var (
	seedFlag     = flag.Uint64("seed", 1, "seed of the random programs; 0 draws one")
	programsFlag = flag.Int("programs", 3000, "number of random programs; the i-th has seed + i")
)

// server is a session of PostgreSQL, as far as named statements go, deliberately dumb.
type server struct {
	statements map[string]string // name to text
	skip       bool
}

// read carries out one message and returns the type of its answer, 0 if there is none, and an error's code.
func (v *server) read(t byte, name, text string) (answer byte, code string) {
	if t == wire.ClientSync {
		v.skip = false
		return wire.ServerReadyForQuery, ""
	}
	if v.skip {
		return 0, ""
	}
	if name == "" && (t == wire.ClientParse || t == wire.ClientQuery) {
		delete(v.statements, "") // whatever becomes of the message
	}
	_, known := v.statements[name]
	switch {
	case t == wire.ClientQuery:
		return wire.ServerReadyForQuery, ""
	case t == wire.ClientParse && strings.HasPrefix(text, "bad"):
		code = "42601"
	case t == wire.ClientParse && known:
		code = "42P05"
	case t == wire.ClientParse:
		v.statements[name] = text
		return wire.ServerParseComplete, ""
	case t == wire.ClientClose:
		delete(v.statements, name)
		return wire.ServerCloseComplete, ""
	case t == wire.ClientExecute && name == "": // of no portal: any error that has nothing to do with statements
		code = "34000"
	case !known:
		code = "26000"
	case t == wire.ClientBind:
		return wire.ServerBindComplete, v.statements[name]
	default:
		return wire.ServerNoData, v.statements[name]
	}
	v.skip = true
	return wire.ServerErrorResponse, code
}

// said is an answer as a client sees it. Of Bind and Describe it has the text, which shows whether the right statement was found.
func said(answer byte, detail string) string { return fmt.Sprintf("%c%s", answer, detail) }

// ask is one message of a client's.
type ask struct {
	t          byte
	name, text string
}

func (a ask) String() string { return fmt.Sprintf("%c %s %s", a.t, a.name, a.text) }

// user is a client: what it has through weir, and a session of its own to compare with.
type user struct {
	names  Names
	lane   int
	own    server
	expect []string // that session's answers
	got    []string
}

// rig is a pool: a backend, its books, and the messages between them that have not been read yet.
type rig struct {
	table   *Table // of the lane on which the backend is
	book    Book
	account exchange.Exchange
	backend server
	stream  []byte // to the backend
	user    *user  // who has the lease
	script  []string
}

// send does what the relay does with one message.
func (r *rig) send(a ask) {
	n := &r.user.names
	skipping := r.account.Skipping()
	uses := a.t == wire.ClientBind || a.t == wire.ClientDescribe
	for !skipping && (a.name != "" && r.book.Undecided([]byte(a.name), uses) || a.name == "" && uses && r.book.UndecidedUnnamed()) {
		r.step()
		skipping = r.account.Skipping()
	}
	name := a.name
	known := n.Statement([]byte(name))
	switch {
	case skipping || name != "" || a.t == wire.ClientExecute || a.t == wire.ClientSync:
	case a.t == wire.ClientClose:
		r.stream = wire.AppendClose(r.stream, 'S', "")
		r.book.CloseUnnamed(&r.account, n)
		return
	case a.t == wire.ClientQuery:
		r.stream = wire.AppendQuery(r.stream, "")
		r.book.Query(&r.account, n)
		return
	case a.t == wire.ClientParse:
		r.stream = wire.AppendParse(r.stream, "", a.text, nil)
		r.book.ParseUnnamed(&r.account, n, r.table, Text{Body: append([]byte(a.text), 0, 0, 0)})
		return
	default:
		r.stream, _ = r.book.EnsureUnnamed(r.stream, &r.account, n)
	}
	switch {
	case a.t == wire.ClientParse && name != "" && !skipping:
		body := append([]byte(a.text), 0, 0, 0)
		if r.stream, name = r.book.Parse(r.stream, &r.account, n, r.table, []byte(name), Text{Body: body}); name != "" {
			r.stream = wire.AppendParse(r.stream, name, a.text, nil)
		}
		return
	case a.t == wire.ClientClose && !skipping && known != nil:
		r.stream = r.book.Close(r.stream, &r.account, n, []byte(name))
		return
	case uses && !skipping && known != nil:
		r.stream = r.book.Ensure(r.stream, &r.account, []byte(name), known)
		name = known.Name()
	}
	switch a.t {
	case wire.ClientSync:
		r.stream = wire.AppendSync(r.stream)
	case wire.ClientQuery:
		r.stream = wire.AppendQuery(r.stream, "")
	case wire.ClientParse:
		r.stream = wire.AppendParse(r.stream, name, a.text, nil)
	default: // the backend of this test reads a Bind and an Execute as if they were like a Describe
		at := len(r.stream)
		r.stream = wire.AppendDescribe(r.stream, 'S', name)
		r.stream[at] = a.t
	}
	r.account.Client(a.t)
	if a.t == wire.ClientSync {
		r.book.Synced()
	}
}

// step lets the backend read one message and the books take note of its answer.
func (r *rig) step() {
	f := wire.PeekFrame(r.stream)
	body := r.stream[wire.HeaderLen:f.Total()]
	r.stream = r.stream[f.Total():]
	var name, text []byte
	switch f.Type {
	case wire.ClientParse:
		name, text, _ = wire.PeekParse(body)
	case wire.ClientSync, wire.ClientQuery:
	default:
		_, name, _ = wire.PeekTarget(body)
	}
	answer, detail := r.backend.read(f.Type, string(name), string(text))
	var names *Names
	if r.user != nil {
		names = &r.user.names
	}
	switch answer {
	case 0:
		return
	case wire.ServerReadyForQuery:
		busy := r.account.Answered() + 1
		r.account.Ready(wire.TxIdle)
		r.book.Failed(&r.account, busy, names)
	case wire.ServerErrorResponse:
		busy := r.account.Answered() + 1
		r.account.Server(answer)
		r.book.Failed(&r.account, busy, names)
	default:
		r.account.Server(answer)
	}
	if answer == wire.ServerParseComplete || answer == wire.ServerCloseComplete {
		switch r.book.Complete(&r.account, answer, names) {
		case Swallow:
			return
		case AsParseComplete:
			answer = wire.ServerParseComplete
		case Impossible:
			detail = "impossible"
		}
	}
	if r.user != nil {
		r.user.got = append(r.user.got, said(answer, detail))
	}
}

// check compares the books of a backend that owes nothing with the backend.
func (r *rig) check() error {
	var has, holds []string
	for name, text := range r.backend.statements {
		if name == decoy || name == taken || name == "" {
			continue
		}
		has = append(has, name+" "+text)
	}
	for s := range r.book.held.at {
		text, _, _ := strings.Cut(s.parse, "\x00")
		holds = append(holds, s.name+" "+text)
	}
	slices.Sort(has)
	slices.Sort(holds)
	if !slices.Equal(has, holds) {
		return fmt.Errorf("the backend has %v, by the book it has %v", has, holds)
	}
	if r.account.Taint() != 0 || !r.account.Free() || r.book.Pending() {
		return fmt.Errorf("not settled: taint %d, pending %t", r.account.Taint(), r.book.Pending())
	}
	return nil
}

// lease is what one client does with the backend: batches that it sends without waiting for more than some of the answers.
func (r *rig) lease(rnd *rand.Rand, u *user) error {
	r.user = u
	r.book.Lease(&u.names)
	texts := []string{"one", "two", "three", "four", "bad"}
	for range 1 + rnd.IntN(4) {
		for range rnd.IntN(6) {
			a := ask{t: "PPBBBDCEQ"[rnd.IntN(9)], name: []string{"a", "b", "c", ""}[rnd.IntN(4)]}
			switch a.t {
			case wire.ClientParse:
				a.text = texts[rnd.IntN(len(texts))]
			case wire.ClientExecute, wire.ClientQuery:
				a.name = ""
			}
			r.ask(a)
			for rnd.IntN(3) == 0 && len(r.stream) > 0 {
				r.step()
			}
		}
		r.ask(ask{t: wire.ClientSync})
	}
	vanishes := rnd.IntN(8) == 0
	if vanishes {
		r.user = nil
	}
	for len(r.stream) > 0 {
		r.step()
	}
	r.book.Release(&u.names)
	if vanishes {
		u.names.Clear()
		*u = user{own: server{statements: map[string]string{}}}
	}
	u.names.Settled()
	if !slices.Equal(u.got, u.expect) {
		return fmt.Errorf("the client got   %v\nby itself it gets %v", u.got, u.expect)
	}
	u.got, u.expect = nil, nil
	if r.book.Len() > r.book.Max+thrownAway {
		return fmt.Errorf("%d statements held, want at most %d", r.book.Len(), r.book.Max)
	}
	return r.check()
}

// thrownAway is how many statements more than the bound a backend may hold for a while, because evictions were thrown away.
const thrownAway = 4

func (r *rig) ask(a ask) {
	r.script = append(r.script, a.String())
	answer, detail := r.user.own.read(a.t, a.name, a.text)
	if answer != 0 {
		r.user.expect = append(r.user.expect, said(answer, detail))
	}
	r.send(a)
}

// TestClientsFindWhatASessionOfTheirOwnWouldHave plays random programs of clients that take turns on a backend, and compares what
// they see with sessions of their own, and the book with the backend whenever that owes nothing.
func TestClientsFindWhatASessionOfTheirOwnWouldHave(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()>>1 | 1
	}
	t.Logf("-seed %d", seed)
	evicted, transfers := false, 0
	for i := range uint64(*programsFlag) {
		rnd := rand.New(rand.NewPCG(seed+i, 3))
		var texts Texts
		lanes := [2]Table{{Texts: &texts}, {Texts: &texts}}
		r := &rig{table: &lanes[0], book: Book{Max: 1 + rnd.IntN(4)}, backend: server{statements: map[string]string{}}}
		r.account.Reset()
		users := make([]*user, 2+rnd.IntN(3))
		for i := range users {
			users[i] = &user{lane: i % len(lanes), own: server{statements: map[string]string{}}}
		}
		for range 12 {
			u := users[rnd.IntN(len(users))]
			if to := &lanes[u.lane]; r.table != to {
				r.script = append(r.script, "transfer")
				luggage := r.book.Depart(r.table)
				if rnd.IntN(10) == 0 {
					r.table.Forget() // while it is on its way
				}
				r.table = to
				r.book.Arrive(to, luggage)
				transfers++
			}
			r.script = append(r.script, "lease")
			if err := r.lease(rnd, u); err != nil {
				t.Fatalf("-seed %d -programs 1: %v\n%s", seed+i, err, strings.Join(r.script, "\n"))
			}
			evicted = evicted || texts.last > uint64(r.book.Max)
			if rnd.IntN(20) == 0 {
				r.table.Forget()
			}
		}
		for _, u := range users {
			u.names.Clear()
		}
		r.book.Discard()
		left := 0
		for lane := range lanes {
			left += lanes[lane].Len()
			lanes[lane].Close()
		}
		if left += len(texts.called); left != 0 {
			t.Fatalf("-seed %d -programs 1: %d statements are left that nobody refers to\n%s", seed+i, left, strings.Join(r.script, "\n"))
		}
	}
	if !evicted {
		t.Error("nothing was ever evicted: the programs are too small")
	}
	if transfers < *programsFlag {
		t.Errorf("the backends have changed lanes only %d times", transfers)
	}
}

// TestTotalsTellWhatBecameOfStatements: what is closed for want of certainty only, and prepared again at once, made no room.
func TestTotalsTellWhatBecameOfStatements(t *testing.T) {
	r := &rig{table: new(Table), book: Book{Max: 1}, backend: server{statements: map[string]string{}}, user: &user{own: server{statements: map[string]string{}}}}
	r.account.Reset()
	for _, step := range []struct {
		asks string
		want Totals
	}{
		{"P a one,S", Totals{Passed: 1}},
		{"C a,P p one,S", Totals{Passed: 1, Saved: 1}},
		{"B p,S", Totals{Passed: 1, Saved: 1}},
		{"move", Totals{Passed: 1, Saved: 1}},
		{"B p,S,B p,S", Totals{Passed: 1, Saved: 1, Repeated: 2}}, // the second batch does not know yet what became of the first
		{"P q two,S", Totals{Passed: 2, Saved: 1, Repeated: 2, Closed: 1}},
		{"P q two,S", Totals{Passed: 3, Saved: 1, Repeated: 2, Closed: 1}}, // refused by the server
		{"forget", Totals{Passed: 3, Saved: 1, Repeated: 2, Closed: 1, Forgotten: 2}},
	} {
		switch step.asks {
		case "move":
			r.book.Discard()
			r.backend.statements = map[string]string{}
		case "forget":
			r.table.Forget()
		default:
			for text := range strings.SplitSeq(step.asks, ",") {
				words := append(strings.Fields(text), "", "")
				r.ask(ask{t: words[0][0], name: words[1], text: words[2]})
			}
		}
		for len(r.stream) > 0 {
			r.step()
		}
		r.user.names.Settled()
		if r.table.Totals != step.want {
			t.Fatalf("behind %q: %+v, want %+v", step.asks, r.table.Totals, step.want)
		}
	}
}

// TestManyNames goes beyond the length up to which names are searched one by one.
func TestManyNames(t *testing.T) {
	var n Names
	var table Table
	name := func(i int) []byte { return fmt.Appendf(nil, "s%d", i) }
	for i := range 3 * manyNames {
		n.set(string(name(i)), table.Intern(Text{Body: fmt.Appendf(nil, "select %d\x00\x00\x00", i)}, &n))
	}
	for i := 0; i < 3*manyNames; i += 2 {
		n.Drop(string(name(i)))
	}
	for i := range 3 * manyNames {
		s := n.Statement(name(i))
		if (s != nil) != (i%2 == 1) || s != nil && !strings.HasPrefix(s.parse, fmt.Sprintf("select %d\x00", i)) {
			t.Errorf("s%d: %v", i, s)
		}
	}
	n.Clear()
	if n.Len() != 0 || table.Len() != 0 {
		t.Errorf("%d names, %d statements", n.Len(), table.Len())
	}
}

// TestInternTellsApart what differs in text, types or scope only, and shares the rest.
func TestInternTellsApart(t *testing.T) {
	var table Table
	var n Names
	seen := map[string]bool{}
	for _, scope := range []string{"", "a", "\x01a"} {
		for _, body := range []string{"a\x00\x00\x00", "a\x00\x00\x01\x00\x00\x00\x17", "a\x00\x00\x01\x00\x00\x00\x19", "b\x00\x00\x00"} {
			s := table.Intern(Text{Body: []byte(body), Scope: scope}, &n)
			if seen[s.name] {
				t.Errorf("%q in scope %q shares with another", body, scope)
			}
			seen[s.name] = true
			if again := table.Intern(Text{Body: []byte(body), Scope: scope}, &n); again != s {
				t.Errorf("%q in scope %q is not shared", body, scope)
			}
			out := appendParse(nil, s.name, s.parse)
			if f := wire.PeekFrame(out); f.Total() != len(out) || !bytes.HasSuffix(out, []byte("\x00"+body)) || binary.BigEndian.Uint32(out[1:]) != uint32(len(out)-1) {
				t.Errorf("%q is prepared by %q", body, out)
			}
		}
	}
}

func TestUsingAHeldStatementAllocatesNothing(t *testing.T) {
	var (
		table   Table
		n       Names
		account exchange.Exchange
		book    = Book{Max: 10}
		out     []byte
	)
	account.Reset()
	for _, name := range []string{"a", "b"} {
		out, _ = book.Parse(out, &account, &n, &table, []byte(name), Text{Body: []byte("select '" + name + "'\x00\x00\x00")})
		account.Server(wire.ServerParseComplete)
		book.Complete(&account, wire.ServerParseComplete, &n)
	}
	name := []byte("a")
	if allocs := testing.AllocsPerRun(100, func() {
		for name[0] = 'a'; name[0] <= 'b'; name[0]++ {
			out = book.Ensure(out[:0], &account, name, n.Statement(name))
		}
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// What is doubted of a backend on one lane is doubted on the next.
func TestLossIsKnownOnTheNextLane(t *testing.T) {
	var texts Texts
	from, to := Table{Texts: &texts}, Table{Texts: &texts}
	var book Book
	one := Text{Body: []byte("select 1\x00\x00\x00")}
	book.held.add(from.Intern(one, new(Names)))
	luggage := func() Luggage { book.Lost(); return book.Depart(&from) }()
	book.Arrive(&to, luggage)
	if s := to.Intern(one, new(Names)); !book.held.has(s) || book.Holds(s) {
		t.Errorf("it is held %t, and for sure %t", book.held.has(s), book.Holds(s))
	}
}

// What settings decide of a text's meaning are its literals, and what stands beside =.
func TestTextsWithLiterals(t *testing.T) {
	var table Table
	for text, want := range map[string]bool{
		"select a, $1 from t where b = $2": false, "select a from t where b is null and c = 1": false, "": false,
		"select '1'": true, "select $$1$$": true, "select $a$1$a$": true, "select a from größe": true, `select U&"\0061"`: true,
		"select a from t where b=NULL": true, "select a from t where Null = b": true, "select null": false, "select a = nullif(1, 2)": true,
	} {
		if got := table.Intern(Text{Body: []byte(text + "\x00\x00\x00")}, new(Names)).Literal(); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

// An answer that is under way when a name's statement moves speaks of the one that it has meant before.
func TestWhatIsSaidOfAStatementThatHasMoved(t *testing.T) {
	var table Table
	n := new(Names)
	n.set("s", table.Intern(Text{Body: []byte("select '1'\x00\x00\x00"), Scope: "here"}, n))
	before := n.Statement([]byte("s")).Name()
	table.Move(n, []byte("s"), "elsewhere", 0)
	after := n.Statement([]byte("s")).Name()
	for _, onBackend := range []string{before, after} {
		if got := n.Name([]byte(onBackend), false, 1); before == after || got != "s" {
			t.Errorf("the client is told of %q for %s, one of %s and %s", got, onBackend, before, after)
		}
	}
	n.Settled()
	if got := n.Name([]byte(before), false, 1); got != "" {
		t.Errorf("when nothing is under way any more, %s is %q", before, got)
	}
}
