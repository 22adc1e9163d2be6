package conversation

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"weir/proxy/wire"
)

var (
	seedFlag     = flag.Uint64("seed", 1, "seed of the random programs; 0 draws one")
	programsFlag = flag.Int("programs", 3000, "number of random programs; the i-th has seed + i")
)

// world is a pool whose servers are models, and the clients' sessions of their own to compare with.
type world struct {
	*rig
	rnd    *rand.Rand
	models map[string]*postgres // of the servers
	own    map[string]*postgres // what each client would have by itself
	// altered are the clients that have changed a setting which texts depend on.
	altered map[string]bool
	zones   map[string]string
	// recalled are what each client was told of sequences, by weir and by a session of its own.
	recalled map[string]*[2][]string
	failed   map[string]bool // those that were in a failed transaction when all was compared last
	script   []string
	sent     int
}

func newWorld(rnd *rand.Rand) *world {
	rules := Rules{Shares: true, MaxStatements: 1 + rnd.IntN(4), Audit: AuditLearn + Audit(rnd.IntN(2))}
	w := &world{
		rig: newRig(rules), rnd: rnd, models: map[string]*postgres{}, own: map[string]*postgres{}, altered: map[string]bool{}, failed: map[string]bool{}, zones: map[string]string{},
		recalled: map[string]*[2][]string{},
	}
	w.shared.recalls = rnd.IntN(2) == 0 // the first use of a pool may be refused, so either all know of it or none do
	w.shared.Marker = ""                // there is no listener connection: LISTEN pins
	w.deliver = func(to string, p []byte) {
		if v := w.models[to]; v != nil {
			v.in = append(v.in, p...)
			return
		}
		c := w.clients[slices.IndexFunc(w.clients, func(c *rigClient) bool { return c.name == to })]
		c.got = append(c.got, p...)
	}
	w.asks, w.ahead = true, rnd.IntN(4) > 0
	w.event = func(who, what string) { w.script = append(w.script, "\t"+who+" "+what) }
	for range 2 {
		w.models[w.addServer().name] = w.newModel()
	}
	w.join("")
	w.join("TimeZone=Asia/Tokyo")
	return w
}

// newModel is a server, which refuses some of the switches that go ahead.
func (w *world) newModel() *postgres {
	v := newPostgres("UTC")
	v.refuses = func() bool { return w.rnd.IntN(8) == 0 }
	return v
}

// join lets another client come.
func (w *world) join(setting string) {
	w.sent++
	name := fmt.Sprintf("c%d", w.sent)
	zone := "UTC"
	var settings []string
	if setting != "" {
		settings = append(settings, setting)
		_, zone, _ = strings.Cut(setting, "=")
	}
	c := w.addClient(name, parseSettings(settings)...)
	c.talk.Told = slices.Clone(rigParams)
	w.own[name], w.zones[name] = newPostgres(zone), setting
}

// replace has a client leave in the middle of whatever it does, and another with the same settings come.
func (w *world) replace(c *rigClient) {
	setting := w.zones[c.name]
	c.leave()
	w.settle()
	delete(w.own, c.name)
	for _, s := range w.servers {
		if s.gone { // it was in the middle of a message, or of a run without a Sync
			*s = rigServer{rig: w.rig, name: s.name, talk: NewServer(&w.shared, rigParams)}
			w.models[s.name] = w.newModel()
		}
	}
	w.join(setting)
}

// asks are what a client sends, as it often makes sense together.
var asks = []string{
	`Query "select 1"`, `Query "select 2"`, `Query "bad"`, `Query "select fails"`, `Query ""`,
	`Query "select nextval DRAWN"`, `Query "select lastval"`, `Parse "" "select lastval";Bind "" "";Execute "";Sync`, `Bind "" last;Execute "";Sync`,
	`Parse last "select lastval";Bind "" last;Execute "";Sync`, `Query "select nextval DRAWN";Query "select lastval"`,
	`Query "select hides"`, `Query "select locks"`, `Parse NAME "select hides";Bind "" NAME;Execute "";Sync`,
	`Query "begin"`, `Query "commit"`, `Query "rollback"`, `Query "commit"`,
	`Query "set timezone = 'A'"`, `Query "set local timezone = 'B'"`, `Query "select pg_advisory_lock(1)"`, `Query "listen a"`,
	`Query "discard all"`, `Query "discard all"`, `Query "deallocate all"`, `Query "deallocate NAME"`, `Query "deallocate NAME"`,
	`Parse NAME "select TEXT";Sync`, `Parse NAME "select TEXT";Bind "" NAME;Execute "";Sync`, `Bind "" NAME;Execute "";Sync`,
	`Bind "" NAME;Describe P "";Execute "";Sync`, `Describe S NAME;Sync`, `Close S NAME;Sync`, `Close S NAME;Parse NAME "select TEXT";Sync`,
	`Parse "" "select TEXT";Bind "" "";Execute "";Sync`, `Bind "" "";Execute "";Sync`, `Bind "" "";Execute "";Sync`, `Close S "";Sync`,
	`Parse "" "select TEXT";Sync`, `Parse "" "select TEXT";Describe S "";Sync`, `Parse NAME "bad";Bind "" NAME;Sync`, `Parse "" "bad";Sync`,
	`Parse "" "select TEXT";Bind "" "";Execute "";Parse "" "select TEXT";Bind "" "";Execute "";Sync`,
	`Parse "" "begin";Bind "" "";Execute "";Sync`, `Parse "" "commit";Bind "" "";Execute "";Sync`, `Parse NAME "rollback";Bind "" NAME;Execute "";Sync`,
	`Parse "" "discard all";Bind "" "";Execute "";Bind "" NAME;Execute "";Sync`, `Parse "" "discard all";Bind "" "";Execute "";Sync`,
	`Parse "" "set timezone = 'C'";Bind "" "";Execute "";Parse NAME "select TEXT";Sync`,
	`Parse "" "set local timezone = 'D'";Bind "" "";Execute "";Parse "" "select TEXT";Bind "" "";Execute "";Sync`,
	`Parse NAME "select pg_advisory_lock(1)";Bind p NAME;Bind "" NAME;Execute p;Sync`, `Bind p NAME;Bind "" NAME;Execute "";Sync`,
	`Parse "" "deallocate all";Bind "" "";Execute "";Bind "" NAME;Sync`, `Parse "" "deallocate NAME";Bind "" "";Execute "";Bind "" NAME;Sync;Close S "";Sync`,
	`Execute "";Sync`, `Sync`, `Flush`, `Bind "" NAME;Flush;Execute "";Sync`, `Parse NAME "select fails";Bind "" NAME;Execute "";Parse NAME "select TEXT";Sync`,
}

// ask has a client send something, whole or in pieces, without waiting for answers.
func (w *world) ask(c *rigClient) {
	script := asks[w.rnd.IntN(len(asks))]
	for !w.shared.recalls && strings.Contains(script, "last") {
		script = asks[w.rnd.IntN(len(asks))]
	}
	for strings.Contains(script, "NAME") {
		name := []string{"a", "b", "c"}[w.rnd.IntN(3)]
		if w.rnd.IntN(4) > 0 {
			script = strings.ReplaceAll(script, "NAME", name)
		}
		script = strings.Replace(script, "NAME", name, 1)
	}
	for strings.Contains(script, "DRAWN") {
		w.sent++
		script = strings.Replace(script, "DRAWN", fmt.Sprint(w.sent), 1)
	}
	for strings.Contains(script, "TEXT") {
		script = strings.Replace(script, "TEXT", []string{"1", "2", "'3'", "'4'", "fails"}[w.rnd.IntN(5)], 1)
	}
	w.send(c, script)
}

func (w *world) send(c *rigClient, script string) {
	w.script = append(w.script, c.name+": "+script)
	own := w.own[c.name]
	w.altered[c.name] = w.altered[c.name] || strings.Contains(script, "set ") || strings.Contains(script, "hides")
	for line := range strings.SplitSeq(script, ";") {
		p, err := clientMessage(line)
		if err != nil {
			panic(err)
		}
		own.in = append(own.in, p...)
		for own.step() {
		}
		for len(p) > 0 {
			n := len(p)
			if w.rnd.IntN(4) == 0 {
				n = 1 + w.rnd.IntN(len(p))
			}
			c.input = append(c.input, p[:n])
			p = p[n:]
		}
	}
	c.want = nil
	if s := w.servers[w.rnd.IntN(2)]; !s.busy {
		c.want = s
	}
	c.read()
}

// turn lets a server read messages, and weir some of its answers.
func (w *world) turn(s *rigServer) {
	v := w.models[s.name]
	for range 1 + w.rnd.IntN(4) {
		v.step()
	}
	if len(v.out) == 0 {
		return
	}
	n := len(v.out)
	if w.rnd.IntN(2) == 0 {
		n = 1 + w.rnd.IntN(n)
	}
	p := slices.Clone(v.out[:n])
	v.out = v.out[n:]
	s.read(p)
	for _, c := range w.clients {
		c.read()
	}
}

// rest lets all that is under way come to its end, and compares.
func (w *world) rest() error {
	for busy := true; busy; {
		busy = false
		for _, c := range w.clients { // whoever waits for a certain backend may have either now
			if c.waiting {
				c.want = nil
				c.retry()
				c.rig.settle()
				c.read()
				busy = busy || !c.waiting
			}
		}
		for _, s := range w.servers {
			if v := w.models[s.name]; len(v.in) > 0 || len(v.out) > 0 {
				w.turn(s)
				busy = true
			}
		}
	}
	for _, c := range w.clients {
		if c.gone {
			continue
		}
		w.recalled[c.name] = &[2][]string{}
		got, want := w.heard(c, c.got, 0), w.heard(c, w.own[c.name].out, 1)
		if err := w.comparesRecalled(c); err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%s got\n%s\nby itself it gets\n%s\nit is %v, with %v", c.name, got, want, c, c.server)
		}
		c.got, w.own[c.name].out = nil, nil
		w.failed[c.name] = w.own[c.name].failed
	}
	return w.check()
}

// heard is what a client makes of its stream: all but reports of settings, which come when they come. A client that has altered its time
// zone may find that a statement from before has been prepared again after that; and which error is told in a failed transaction, where
// several are due, is not compared.
func (w *world) heard(c *rigClient, p []byte, from int) string {
	var out strings.Builder
	failed := w.failed[c.name]
	for len(p) >= wire.HeaderLen {
		n := wire.PeekFrame(p).Total()
		switch words := strings.Fields(string(p[min(n, 11):n])); {
		case p[0] == wire.ServerParameterStatus:
		case p[0] == wire.ServerDataRow && len(words) > 0 && words[0] == "recalls":
			w.recalled[c.name][from] = append(w.recalled[c.name][from], strings.Join(words, " "))
			fmt.Fprintln(&out, " gets what a sequence gave")
		case p[0] == wire.ServerDataRow && w.altered[c.name] && len(words) == 5:
			fmt.Fprintln(&out, " gets a row of", words[0], words[2:])
		case p[0] == wire.ServerErrorResponse && failed:
			fmt.Fprintln(&out, " gets an error in a failed transaction")
		default:
			printMessages(&out, "", serverTypes, p[:n], under{})
		}
		if p[0] == wire.ServerReadyForQuery {
			failed = p[n-1] == byte(wire.TxFailed)
		}
		p = p[n:]
	}
	return out.String()
}

// comparesRecalled has a client be told its own last value of a sequence, or none.
func (w *world) comparesRecalled(c *rigClient) error {
	r := w.recalled[c.name]
	for i, got := range r[0][:min(len(r[0]), len(r[1]))] {
		if want := r[1][i]; got != want && got != "recalls" {
			return fmt.Errorf("%s %s, by itself it %s", c.name, got, want)
		}
	}
	return nil
}

// check looks at servers that nobody has: nothing of a client must have stayed.
func (w *world) check() error {
	w.rig.check()
	if len(w.faults) > 0 {
		return fmt.Errorf("%s", strings.Join(w.faults, "; "))
	}
	for _, s := range w.servers {
		v := w.models[s.name]
		zone := "UTC"
		if set, ok := s.talk.Set().Value("timezone"); ok {
			zone = set
		}
		switch {
		case s.gone:
			return fmt.Errorf("%s is lost", s.name)
		case s.busy:
		case v.block || v.skip || v.locks > 0 || v.listens > 0 || v.settings["timezone"] != zone:
			return fmt.Errorf("%s is idle, and in the state of a client: %+v", s.name, v)
		}
	}
	return nil
}

// TestClientsFindWhatASessionOfTheirOwnWouldHave plays random programs of clients that share two servers, message by message and in
// pieces of any length, and compares what each client gets with a session of its own.
func TestClientsFindWhatASessionOfTheirOwnWouldHave(t *testing.T) {
	seed, programs := *seedFlag, *programsFlag
	if seed == 0 {
		seed = rand.Uint64()>>1 | 1
	}
	if testing.Short() {
		programs /= 10
	}
	t.Logf("-seed %d", seed)
	for i := range uint64(programs) {
		w := newWorld(rand.New(rand.NewPCG(seed+i, 5)))
		for range 12 {
			if err := w.round(); err != nil {
				t.Fatalf("-seed %d -programs 1: %v\n%s", seed+i, err, strings.Join(w.script, "\n"))
			}
		}
	}
}

// round has the clients send something, and the servers answer, in any order.
func (w *world) round() error {
	live := slices.DeleteFunc(slices.Clone(w.clients), func(c *rigClient) bool { return c.gone })
	for range 1 + w.rnd.IntN(5) {
		if c := live[w.rnd.IntN(2)]; !c.gone {
			w.ask(c)
		}
		for range w.rnd.IntN(4) {
			w.turn(w.servers[w.rnd.IntN(2)])
		}
	}
	for _, c := range live {
		if !c.gone && w.rnd.IntN(3) > 0 {
			w.send(c, "Sync")
		}
	}
	if w.rnd.IntN(6) == 0 {
		w.replace(live[w.rnd.IntN(2)])
	}
	return w.rest()
}
