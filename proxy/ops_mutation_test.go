package proxy_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"

	"weir/internal/pgserver"
	"weir/proxy/status"
)

var (
	mutationsFlag = flag.Int("mutations", 180, "number of mutated streams of clients, and a third as many of servers; the i-th has mutation-seed + i")
	mutationSeed  = flag.Uint64("mutation-seed", 1, "of the first mutated stream; 0 is the clock's choice")
)

func firstMutation(t *testing.T) uint64 {
	seed := *mutationSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-mutation-seed=%d", seed)
	return seed
}

// frames cuts a stream into its messages; what is no whole message at its end is the last one.
func frames(stream []byte) (all [][]byte) {
	for len(stream) >= 5 {
		n := 1 + int(binary.BigEndian.Uint32(stream[1:]))
		if n < 5 || n > len(stream) {
			break
		}
		all, stream = append(all, slices.Clone(stream[:n])), stream[n:]
	}
	if len(stream) > 0 {
		all = append(all, slices.Clone(stream))
	}
	return all
}

// damage changes one message, and possibly the one behind it, in a random way; they come as two slices, and what goes in their
// place is returned. precious must not come twice or too early.
func damage(r *rand.Rand, message, next []byte, precious func([]byte) bool) []byte {
	both := func() []byte { return slices.Concat(message, next) }
	movable := !precious(message) && (len(next) == 0 || !precious(next))
	switch kind := r.IntN(10); {
	case kind == 0: // lost
		return next
	case kind == 1 && movable: // sent twice
		return slices.Concat(message, message, next)
	case kind == 2 && movable: // out of order
		return slices.Concat(next, message)
	case kind == 3: // a length that is not the message's
		wrong := []uint32{0, 3, 4, 5, uint32(len(message)), uint32(len(message) + 7), 1 << 20, 1 << 30, 1 << 31, 1<<32 - 1}
		if len(message) >= 5 {
			binary.BigEndian.PutUint32(message[1:], wrong[r.IntN(len(wrong))])
		}
		return both()
	case kind == 4 && movable: // another type
		message[0] = byte(r.IntN(256))
		return both()
	case kind == 5: // a body cut short, with the length that it has now
		if len(message) > 5 {
			message = message[:5+r.IntN(len(message)-5)]
			binary.BigEndian.PutUint32(message[1:], uint32(len(message)-1))
		}
		return both()
	case kind == 6: // bytes that are none of anybody's
		junk := make([]byte, 1+r.IntN(40))
		for i := range junk {
			junk[i] = byte(r.IntN(256))
		}
		return slices.Concat(junk, message, next)
	default: // bits
		for range 1 + r.IntN(3) {
			message[r.IntN(len(message))] ^= 1 << r.IntN(8)
		}
		return both()
	}
}

// mutate damages a stream in up to three places, or cuts it off.
func mutate(r *rand.Rand, stream []byte) []byte {
	for range 1 + r.IntN(3) {
		all := frames(stream)
		if len(all) == 0 {
			break
		}
		i := r.IntN(len(all))
		next := []byte(nil)
		end := i + 1
		if end < len(all) {
			next = all[end]
			end++
		}
		changed := damage(r, all[i], next, func([]byte) bool { return false })
		stream = slices.Concat(slices.Concat(all[:i]...), changed, slices.Concat(all[end:]...))
	}
	if r.IntN(4) == 0 && len(stream) > 0 {
		stream = stream[:r.IntN(len(stream))]
	}
	return stream
}

// bystander asks for its own marks over and over, in three ways, and finds out whether it ever gets anything else.
type bystander struct {
	t        *testing.T
	w        *weirUnderTest
	d        *pgserver.Database
	name     string
	asked    int
	anew     int // times that it had to log in again
	c        *wireClient
	prepared bool
}

// ask asks once. An error means that the connection, or the server, is gone.
func (b *bystander) ask() error {
	if b.c == nil {
		c, err := tryDial(b.t, b.w.Addr, b.d.Server.Superuser(), b.d.Name)
		if err != nil {
			return err
		}
		b.c, b.prepared = c, false
	}
	b.asked++
	mark := fmt.Sprintf("%s-%d", b.name, b.asked)
	bind := &pgproto3.Bind{Parameters: [][]byte{[]byte(mark)}}
	messages := []pgproto3.FrontendMessage{&pgproto3.Query{String: "select '" + mark + "'"}}
	switch b.asked % 3 {
	case 1:
		messages = []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "select $1::text"}, bind, &pgproto3.Execute{}, &pgproto3.Sync{}}
	case 2:
		bind.PreparedStatement = "own"
		messages = []pgproto3.FrontendMessage{bind, &pgproto3.Execute{}, &pgproto3.Sync{}}
		if !b.prepared {
			messages = slices.Insert(messages, 0, pgproto3.FrontendMessage(&pgproto3.Parse{Name: "own", Query: "select $1::text, 'own'"}))
			b.prepared = true
		}
	}
	var p []byte
	for _, m := range messages {
		p, _ = m.Encode(p)
	}
	if err := b.c.TrySendBytes(p); err != nil {
		return err
	}
	a, err := b.c.TryAnswer()
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		b.t.Errorf("%s: no answer to question %d", b.name, b.asked)
	}
	if err == nil {
		err = a.Err()
	}
	for _, row := range a.Rows {
		if row[0] != mark {
			b.t.Errorf("%s asked for %q and got %q", b.name, mark, row)
		}
	}
	if err == nil && len(a.Rows) != 1 {
		b.t.Errorf("%s: %d rows for question %d", b.name, len(a.Rows), b.asked)
	}
	return err
}

func (b *bystander) leave() {
	if b.c != nil {
		b.c.Vanish()
		b.c = nil
	}
}

// insist asks until there is an answer, logging in anew where it has to.
func (b *bystander) insist() {
	deadline := time.Now().Add(patience)
	for {
		err := b.ask()
		if err == nil {
			return
		}
		b.leave()
		b.anew++
		if time.Now().After(deadline) {
			b.t.Errorf("%s: %v", b.name, err)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// expectAtRest waits until nobody is connected and nothing is under way, save for backends in these states.
func expectAtRest(t *testing.T, w *weirUnderTest, save ...status.BackendState) {
	t.Helper()
	eventually(t, func() string {
		s := w.Proxy.Snapshot()
		for _, p := range s.Pools {
			for _, state := range append(save, status.BackendIdle) {
				p.Backends[state] = 0
			}
			if p.Clients != [status.ClientStates]int{} || p.Backends != [status.BackendStates]int{} || p.ParkedBytes != 0 || p.Pinned != 0 {
				return fmt.Sprintf("clients %v, backends %v, %d bytes parked, %d pinned", p.Clients, p.Backends, p.ParkedBytes, p.Pinned)
			}
		}
		if s.Limits.Clients != 0 || s.Logins.Now != 0 {
			return fmt.Sprintf("%d clients, %d logins", s.Limits.Clients, s.Logins.Now)
		}
		return ""
	})
}

// TestMutatedClientStreams sends conversations of which some messages are damaged, in every state that those lead to, and ends
// them in every way. Weir does not fall, every connection comes to its end, others on the same backends see nothing of it, and
// nothing is left behind.
func TestMutatedClientStreams(t *testing.T) {
	d := privateServer(t, pgserver.Options{}) // PostgreSQL itself may crash: see program.bound
	d.Exec(t, "create table w (a int)")
	w := start(t, d, "[pool]\npool_size = 2\n[timeouts]\nserver_login_retry = \"100ms\"")
	careful := ask(t, direct(t, d), "select current_setting('server_version_num')::int >= 180000") == "t"
	seed := firstMutation(t)

	bystanders := []*bystander{{t: t, w: w, d: d, name: "ann"}, {t: t, w: w, d: d, name: "bob"}}
	var asking, workers sync.WaitGroup
	var over atomic.Bool
	for _, b := range bystanders {
		asking.Go(func() {
			for !over.Load() && !t.Failed() {
				b.insist()
			}
			b.leave()
		})
	}
	const clients = 3
	for first := range clients {
		workers.Go(func() {
			for i := first; i < *mutationsFlag && !t.Failed(); i += clients {
				p := newProgram(seed+uint64(i), careful)
				if err := p.misbehave(t, w.Addr, d); err != nil {
					t.Errorf("-mutation-seed=%d: %v\n%s", p.seed, err, p)
				}
			}
		})
	}
	workers.Wait()
	over.Store(true)
	asking.Wait()
	crashed := strings.Contains(d.Server.Log(), "was terminated by signal")
	for _, b := range bystanders {
		if b.anew > 0 && !crashed {
			t.Errorf("%s had to log in again %d times", b.name, b.anew)
		}
		if b.asked == 0 {
			t.Errorf("%s never asked", b.name)
		}
	}
	expectAtRest(t, w)
	t.Logf("%d and %d questions beside the streams; PostgreSQL crashed: %v", bystanders[0].asked, bystanders[1].asked, crashed)
}

// misbehave sends the conversation to weir, mutated, and leaves. Its error is a connection that does not end.
func (p *program) misbehave(t *testing.T, addr string, d *pgserver.Database) error {
	c, err := tryDial(t, addr, d.Server.Superuser(), d.Name, "application_name", p.pick("a", "b"))
	if err != nil {
		return nil // the server has crashed; the bystanders see to it that it comes back
	}
	defer c.Vanish()
	var stream []byte
	for _, lines := range p.rounds {
		b, err := parseMessages(strings.Join(lines, "\n"))
		if err != nil {
			return err
		}
		stream = append(stream, b...)
	}
	stream = mutate(p.rand, stream)
	heard := make(chan error, 1)
	go func() {
		_ = c.conn.SetReadDeadline(time.Now().Add(patience))
		_, err := io.Copy(io.Discard, c.conn)
		heard <- err
	}()
	send(context.Background(), c, stream, p.rand.IntN(4), p.rand)
	switch p.rand.IntN(3) {
	case 0:
		c.reset()
	case 1:
		c.Vanish()
	default:
		if c.conn.CloseWrite() == nil {
			if err, ok := errors.AsType[net.Error](<-heard); ok && err.Timeout() {
				return errors.New("the connection does not end although its client has")
			}
		}
	}
	return nil
}

// mutatingBox stands between weir and PostgreSQL and damages messages of the server's.
type mutatingBox struct {
	addr   string
	target string
	mu     sync.Mutex
	rand   *rand.Rand
	after  int // messages until the next is damaged; negative: none is
	hits   int
}

func newMutatingBox(t *testing.T, target string) *mutatingBox {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &mutatingBox{addr: ln.Addr().String(), target: target, after: -1}
	var all sync.WaitGroup
	t.Cleanup(func() {
		_ = ln.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			weir, err := ln.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				_ = weir.Close()
				continue
			}
			closeBoth := func() { _, _ = weir.Close(), server.Close() }
			all.Go(func() {
				_, _ = io.Copy(server, weir)
				closeBoth()
			})
			all.Go(func() {
				b.relay(weir, server)
				closeBoth()
			})
		}
	})
	return b
}

// arm has one of the next messages damaged.
func (b *mutatingBox) arm(r *rand.Rand) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rand, b.after = r, r.IntN(30)
}

func (b *mutatingBox) disarm() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.after = -1
}

// relay passes on what the server says, read by read.
func (b *mutatingBox) relay(weir, server net.Conn) {
	var held []byte
	buf := make([]byte, 32<<10)
	for {
		n, err := server.Read(buf)
		held = append(held, buf[:n]...)
		whole := frames(held)
		held = nil
		if last := len(whole) - 1; last >= 0 && !complete5(whole[last]) && err == nil {
			whole, held = whole[:last], whole[last]
		}
		if _, failed := weir.Write(b.judge(whole)); failed != nil || err != nil {
			return
		}
	}
}

// complete5 reports whether a message is all there.
func complete5(m []byte) bool {
	return len(m) >= 5 && len(m) == 1+int(binary.BigEndian.Uint32(m[1:]))
}

// judge damages a message if its time has come. A ReadyForQuery that comes too early is the one lie that no pooler could find out.
func (b *mutatingBox) judge(messages [][]byte) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []byte
	for i := 0; i < len(messages); i++ {
		if b.after != 0 {
			b.after = max(b.after-1, -1)
			out = append(out, messages[i]...)
			continue
		}
		b.after = -1
		b.hits++
		var next []byte
		m := messages[i]
		if i+1 < len(messages) {
			i++
			next = messages[i]
		}
		out = append(out, damage(b.rand, m, next, func(m []byte) bool { return m[0] == 'Z' })...)
		if b.rand.IntN(8) == 0 {
			out = out[:b.rand.IntN(len(out)+1)] // and something is lost
		}
	}
	return out
}

// TestMutatedServerStreams damages what PostgreSQL says: at the login, in answers, amid COPY data, while weir changes settings or
// takes state back. Weir does not fall, nobody waits for ever, nobody gets what somebody else asked for, and as soon as the server
// makes sense again, so does everything else.
func TestMutatedServerStreams(t *testing.T) {
	d := privateServer(t, pgserver.Options{})
	d.Exec(t, "create table w (a int)")
	careful := ask(t, direct(t, d), "select current_setting('server_version_num')::int >= 180000") == "t"
	seed, streams := firstMutation(t), *mutationsFlag/3
	for first := 0; first < streams && !t.Failed(); first += serversPerWeir {
		t.Run("", func(t *testing.T) {
			mutatedServers(t, d, seed+uint64(first), min(serversPerWeir, streams-first), careful)
		})
	}
}

// serversPerWeir is how many conversations one weir has, so that its pool has always a backend that makes sense.
const serversPerWeir = 60

func mutatedServers(t *testing.T, d *pgserver.Database, seed uint64, streams int, careful bool) {
	box := newMutatingBox(t, d.Server.Addr())
	// Where the last answer to a client that has left is lost, its backend is waited for: there must be others.
	w := start(t, d, serverAt(box.addr)+inPlainText+"[pool]\npool_size = 80\n[timeouts]\nserver_login_retry = \"50ms\"\nserver_connect_timeout = \"2s\"\n")
	honest := &bystander{t: t, w: w, d: d, name: "honest"}
	for i := 0; i < streams && !t.Failed(); i++ {
		p := newProgram(seed+uint64(i), careful)
		box.arm(rand.New(rand.NewPCG(p.seed, 1))) // of its own: it is drawn from on another goroutine
		p.sufferFor(t, w.Addr, d, 100*time.Millisecond)
		box.disarm()
		honest.insist()
		if t.Failed() {
			t.Logf("-mutation-seed=%d\n%s", p.seed, p)
		}
		honest.leave()
	}
	expectAtRest(t, w, status.BackendCleaning)
	t.Logf("%d conversations, %d messages damaged, %d answers had to be asked for again", streams, box.hits, honest.anew)
	if box.hits == 0 && streams > 10 {
		t.Error("nothing was damaged")
	}
}

// atRest finds a ReadyForQuery behind all else.
var atRest = regexp.MustCompile(`Z\x00\x00\x00\x05[ITE]$`)

// sufferFor holds the conversation with weir, whatever comes of it, up to its last answer. If the server says nothing for so long,
// the client leaves.
func (p *program) sufferFor(t *testing.T, addr string, d *pgserver.Database, wait time.Duration) {
	conn := dialRaw(t, addr)
	c := newClient(t, conn)
	defer c.reset() // a client that only says no more would be waited with for an answer that does not come
	heard := make(chan struct{}, 1)
	go func() {
		defer close(heard)
		last := fmt.Appendf(nil, "end_of_round_%d", len(p.rounds)-1)
		var came []byte
		buf := make([]byte, 32<<10)
		for !bytes.Contains(came, last) || !atRest.Match(came) {
			_ = conn.SetReadDeadline(time.Now().Add(wait))
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			came = append(came, buf[:n]...)
		}
	}()
	c.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: map[string]string{
		"user": d.Server.Superuser(), "database": d.Name, "application_name": p.pick("a", "b"),
	}})
	for _, lines := range p.rounds {
		b, err := parseMessages(strings.Join(lines, "\n"))
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.SetWriteDeadline(time.Now().Add(wait))
		if _, err := conn.Write(b); err != nil {
			break
		}
	}
	<-heard
}
