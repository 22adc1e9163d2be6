package notify

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"weir/proxy/wire"
)

// world is a model of PostgreSQL's queue of notifications: each session sees, in the order of the commits, what is notified on the channels
// that it listens to at that moment. What a session is sent arrives whenever the test lets it.
type world struct {
	t        *testing.T
	random   *rand.Rand
	at       int64
	hubs     []*hub
	line     *Line    // nil: no connection
	listener *session // nil: no connection
	text     [][]byte // sent to the listener and not carried out yet
	clients  []*listening
	said     int
	lines    int // that have been made
}

// hub is a Hub, and what is on its way between it and the line: it may take any time, but keeps its order.
type hub struct {
	*Hub
	member *Member  // nil: it has not joined
	toLine []func() // what it asks of the line
	toHub  []func()
}

// session is a session of the server.
type session struct {
	channels map[string]bool
	arriving []byte // what it has sent, and weir has not read
}

// listening is a client, and what a session of its own would have been sent.
type listening struct {
	hub     *hub
	sub     *Subscriber
	backend *session // nil while it is handed over
	wants   map[string]bool
	want    []string
	got     []string
	told    int
}

func newWorld(t *testing.T, seed uint64, hubs, clients int) *world {
	w := &world{t: t, random: rand.New(rand.NewPCG(seed, 0)), at: 1}
	for i := range hubs {
		w.hubs = append(w.hubs, &hub{Hub: New(fmt.Sprint("mark", i))})
	}
	for i := range clients {
		c := &listening{hub: w.hubs[i%hubs], backend: &session{channels: map[string]bool{}}, wants: map[string]bool{}}
		c.sub = c.hub.Subscribe(uint32(i))
		w.clients = append(w.clients, c)
	}
	return w
}

var channelNames = []string{"a", "b", `c "c"`}

func (w *world) channel() string { return channelNames[w.random.IntN(len(channelNames))] }

// notify commits a notification.
func (w *world) notify(channel, payload string) {
	message := wire.AppendNotification(nil, 7, channel, payload)
	show := func(s *session) {
		if s != nil && s.channels[channel] {
			s.arriving = append(s.arriving, message...)
		}
	}
	show(w.listener)
	for _, c := range w.clients {
		show(c.backend)
		if c.wants[channel] {
			c.want = append(c.want, payload)
		}
	}
}

// step lets something happen.
func (w *world) step(loses bool) {
	w.at += millisecond
	c := w.clients[w.random.IntN(len(w.clients))]
	switch w.random.IntN(16) {
	case 0, 1, 2:
		w.said++
		w.notify(w.channel(), fmt.Sprint(w.said))
	case 3:
		w.carryOut()
	case 4, 5:
		w.arrive()
	case 6:
		if c.backend != nil {
			w.readBackend(c, w.random.IntN(len(c.backend.arriving)+1))
		}
	case 7:
		if c.backend != nil && w.random.IntN(3) > 0 {
			channel := w.channel()
			c.backend.channels[channel], c.wants[channel] = true, true
		} else if c.backend != nil {
			clear(c.backend.channels)
			clear(c.wants)
		}
	case 8, 9:
		w.handOver(c)
	case 10:
		w.takeOn(c)
	case 11:
		if loses && w.listener != nil && w.random.IntN(10) == 0 {
			w.lose()
		}
	default:
		w.pass(w.hubs[w.random.IntN(len(w.hubs))], 1)
	}
	w.act()
}

// lose ends the connection.
func (w *world) lose() {
	w.line, w.listener, w.text = nil, nil, nil
	for _, h := range w.hubs {
		if m := h.member; m != nil {
			h.member = nil
			h.toHub = append(h.toHub, func() { h.Lost(w.at) })
		}
	}
}

// pass lets at most n things arrive that are on their way between a hub and the line, each way.
func (w *world) pass(h *hub, n int) {
	for ; n > 0 && len(h.toLine) > 0; n-- {
		do := h.toLine[0]
		h.toLine = h.toLine[1:]
		do()
		w.lineActs()
	}
	for n = max(n, 1); n > 0 && len(h.toHub) > 0; n-- {
		do := h.toHub[0]
		h.toHub = h.toHub[1:]
		do()
		w.act()
	}
}

// act does what the hubs say.
func (w *world) act() {
	for _, h := range w.hubs {
		w.actFor(h)
	}
	w.deliver()
}

func (w *world) actFor(h *hub) {
	for {
		do, changes := h.Next(w.at)
		switch do {
		case Nothing:
			return
		case Dial:
			h.toLine = append(h.toLine, func() { w.join(h) })
		case Send:
			h.toLine = append(h.toLine, func() {
				if h.member != nil {
					w.line.Ask(h.member, changes)
				}
			})
		case Leave:
			h.toLine = append(h.toLine, func() { w.leave(h) })
		case GiveUp:
			w.t.Fatal("the connection is given up, although it answers")
		}
	}
}

func (w *world) join(h *hub) {
	if w.line == nil && w.random.IntN(4) == 0 {
		h.toHub = append(h.toHub, func() { h.Failed(w.at) })
		return
	}
	if w.line == nil {
		w.line, w.listener = NewLine(), &session{channels: map[string]bool{}}
		w.lines++
	}
	h.member = &Member{}
	w.line.Join(h.member)
	h.toHub = append(h.toHub, h.Dialled)
}

func (w *world) leave(h *hub) {
	if h.member == nil {
		return
	}
	w.line.Leave(h.member)
	if h.member = nil; len(w.line.members) == 0 {
		w.line, w.listener, w.text = nil, nil, nil
	}
}

// lineActs sends what the line has to say, both ways.
func (w *world) lineActs() {
	if w.line == nil {
		return
	}
	if text := w.line.Next(); text != nil {
		w.text = append(w.text, text)
	}
	for _, h := range w.hubs {
		if h.member == nil {
			continue
		}
		if p := h.member.TakeHeard(); p != nil {
			h.toHub = append(h.toHub, func() { h.Heard(w.at, p) })
		}
	}
}

// carryOut has the server carry out what the listener was sent.
func (w *world) carryOut() {
	if w.listener == nil || len(w.text) == 0 {
		return
	}
	apply(w.t, w.listener.channels, string(w.text[0]))
	w.text = w.text[1:]
	w.listener.arriving = wire.AppendReadyForQuery(wire.AppendCommandComplete(w.listener.arriving, "LISTEN"), wire.TxIdle)
}

// arrive lets the line read some of what the listener has sent.
func (w *world) arrive() {
	if w.listener == nil {
		return
	}
	w.read(w.random.IntN(len(w.listener.arriving) + 1))
}

func (w *world) read(n int) {
	took, err := w.line.FromServer(slices.Clone(w.listener.arriving[:n]))
	if err != nil {
		w.t.Fatal(err)
	}
	w.listener.arriving = w.listener.arriving[took:]
	w.lineActs()
}

// readBackend lets conversation read at least n bytes of what a client's backend has sent.
func (w *world) readBackend(c *listening, n int) {
	for p := c.backend.arriving; len(p) > 0 && n > 0; p = c.backend.arriving {
		total := wire.PeekFrame(p).Total()
		_, channel, payload, _ := wire.PeekNotification(p[wire.HeaderLen:total])
		if string(channel) == c.hub.Marker {
			c.sub.MarkedByBackend(payload)
		} else if c.sub.FromBackend(channel, p[:total]) {
			w.write(c, p[:total])
		}
		w.deliver()
		c.backend.arriving, n = p[total:], n-total
	}
}

// handOver has the listener connection listen for a client, as far as that is possible now.
func (w *world) handOver(c *listening) {
	if c.backend == nil || !c.sub.Settled() {
		return
	}
	w.readBackend(c, len(c.backend.arriving)) // the answer to what it listens to comes after that
	names := slices.Collect(func(yield func(string) bool) {
		for name := range c.backend.channels {
			if !yield(name) {
				return
			}
		}
	})
	if len(names) == 0 {
		c.hub.Release(c.sub)
		return
	}
	if !c.hub.Reserve(c.sub, names) {
		return
	}
	c.hub.Begin(c.sub, w.at)
	c.backend.channels[c.hub.Marker] = true
	w.notify(c.hub.Marker, strconv.FormatUint(c.sub.Token(), 10))
	w.readBackend(c, len(c.backend.arriving))
	if c.sub.Native() {
		w.t.Fatal("the backend has shown the mark, and is still needed")
	}
	c.backend = nil
}

// takeOn has a backend listen for a client.
func (w *world) takeOn(c *listening) {
	if c.backend != nil || !c.sub.Settled() {
		return
	}
	c.backend = &session{channels: map[string]bool{}}
	c.hub.Begin(c.sub, w.at)
	c.backend.channels[c.hub.Marker] = true
	apply(w.t, c.backend.channels, string(c.sub.AppendListens(nil)))
	w.notify(c.hub.Marker, strconv.FormatUint(c.sub.Token(), 10))
	delete(c.backend.channels, c.hub.Marker)
	w.readBackend(c, len(c.backend.arriving))
	if !c.sub.Native() {
		w.t.Fatal("the backend has shown the mark, and is not the source")
	}
}

func (w *world) deliver() {
	for _, h := range w.hubs {
		for _, s := range h.TakeDue() {
			w.write(w.clients[s.Client], s.TakeDue())
		}
		h.TakeStirred()
	}
}

func (w *world) write(c *listening, p []byte) {
	for len(p) > 0 {
		f := wire.PeekFrame(p)
		if f.Type == wire.ServerNotification {
			_, _, payload, _ := wire.PeekNotification(p[wire.HeaderLen:f.Total()])
			c.got = append(c.got, string(payload))
		} else {
			c.told++
		}
		p = p[f.Total():]
	}
}

// rest lets all arrive that is under way.
func (w *world) rest() {
	for range 20 {
		w.at += millisecond
		for _, h := range w.hubs {
			if !h.Connected() {
				w.at = max(w.at, h.Until())
			}
		}
		w.act()
		w.passAll()
		w.carryOut()
		if w.listener != nil {
			w.read(len(w.listener.arriving))
			w.passAll()
			w.deliver()
		}
		for _, c := range w.clients {
			if c.backend != nil {
				w.readBackend(c, len(c.backend.arriving))
			}
		}
		w.deliver()
	}
}

func (w *world) passAll() {
	for _, h := range w.hubs {
		for len(h.toLine)+len(h.toHub) > 0 {
			w.pass(h, 1)
		}
	}
}

// apply carries out a text of LISTENs and UNLISTENs.
func apply(t *testing.T, channels map[string]bool, text string) {
	t.Helper()
	for len(text) > 0 {
		listen := text[0] == 'L'
		from := len(`UNLISTEN "`)
		if listen {
			from = len(`LISTEN "`)
		}
		var name []byte
		i := from
		for ; text[i] != '"' || text[i+1] == '"'; i++ {
			if text[i] == '"' {
				i++
			}
			name = append(name, text[i])
		}
		if text[i+1] != ';' {
			t.Fatalf("%q", text)
		}
		if delete(channels, string(name)); listen {
			channels[string(name)] = true
		}
		text = text[i+2:]
	}
}

func TestEachClientGetsWhatASessionOfItsOwnWouldGet(t *testing.T) {
	most := 0
	for seed := range uint64(300) {
		w := newWorld(t, seed, 1+int(seed%3), 4)
		for range 1500 {
			w.step(false)
		}
		w.rest()
		for i, c := range w.clients {
			if !slices.Equal(c.got, c.want) {
				t.Fatalf("seed %d, client %d got\n%v\nwant\n%v", seed, i, c.got, c.want)
			}
			if c.told > 0 {
				t.Fatalf("seed %d: client %d was told that it may have missed something", seed, i)
			}
		}
		most = max(most, w.lines)
	}
	if most > 1 {
		t.Errorf("%d connections have been made one after the other, although none was lost", most)
	}
}

func TestWhoMissesSomethingIsToldAndNothingComesTwiceOrOutOfOrder(t *testing.T) {
	missed, told := 0, 0
	for seed := range uint64(300) {
		w := newWorld(t, seed, 1+int(seed%3), 4)
		for range 1500 {
			w.step(true)
		}
		w.rest()
		for i, c := range w.clients {
			rest := c.want
			for _, payload := range c.got {
				at := slices.Index(rest, payload)
				if at < 0 {
					t.Fatalf("seed %d: client %d got %q twice, out of order, or in vain", seed, i, payload)
				}
				rest = rest[at+1:]
			}
			told += c.told
			if len(c.got) < len(c.want) {
				missed++
				if c.told == 0 {
					t.Fatalf("seed %d: client %d got %d of %d and was not told", seed, i, len(c.got), len(c.want))
				}
			}
		}
	}
	if missed == 0 || told == 0 {
		t.Fatalf("%d clients have missed something, %d were told: the test tests nothing", missed, told)
	}
}

func TestNotificationsNameTheProcessThatClientsKnow(t *testing.T) {
	w := newWorld(t, 1, 1, 1)
	w.hubs[0].Pid = func(server uint32) uint32 { return server + 1000 }
	c := w.clients[0]
	c.backend.channels["a"] = true
	for c.backend != nil {
		w.handOver(c)
		w.rest()
	}
	w.notify("a", "x")
	if _, err := w.line.FromServer(w.listener.arriving); err != nil {
		t.Fatal(err)
	}
	h := w.hubs[0]
	h.Heard(w.at, h.member.TakeHeard())
	p := h.TakeDue()[0].TakeDue()
	if pid := binary.BigEndian.Uint32(p[wire.HeaderLen:]); pid != 1007 {
		t.Fatalf("the process is %d", pid)
	}
}
