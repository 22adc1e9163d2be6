package conversation

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"weir/proxy/pgerror"
	"weir/proxy/wire"
)

// TestScripts runs testdata. Each conversation is held once as it is written, where a block of messages is one read, and then again with
// the bytes of each stream cut in two at each position, and one by one: how the bytes arrive must not be seen. The dialect:
//
//	pool                  a new pool with backends s1 and s2 and clients c1 and c2. Arguments: mode=session, shares=false, max=1
//	                      (max_prepared_statements), audit=learn, texts=1000 (max_prepared_bytes), reset=DISCARD_ALL, listener=false, ahead (settings go ahead where they may); with cuts=client only what
//	                      clients send is cut, because how many answers come at once matters. Below it lines such as
//	                      "c3 TimeZone=Asia/Tokyo", clients that asked for settings
//	client c1             it sends the messages below. A client that needs a backend is given the first idle one, or that of on=s2
//	server s1             it sends the messages below
//	rest c1, rest s1      what first=N, an argument of the two before, has held back but for N bytes
//	leave c1, lose s1     its connection ends
//	deny, allow           clients that need a backend are refused; are served again
//	deny-one              the next client that needs a backend is refused the first of its requests, and served those after it
//	notify a "x"          the listener connection is sent a notification; lose-listener: it is lost, and made again
//	tell c1               weir says something of its own to the client; with "last" it closes the client
//
// Messages are as dialect_test.go has them. What each step brings about is printed by connection, then what happened, then the states
// that have changed.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var sections []*section
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s, err := parseStep(d)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			if s.cmd == "pool" {
				sections = append(sections, &section{pos: d.Pos})
			}
			if len(sections) == 0 {
				d.Fatalf(t, "no pool")
			}
			x := sections[len(sections)-1]
			return x.add(s)
		})
		runs := 0
		for _, x := range sections {
			for name, cut := range x.cuts() {
				runs++
				if step, got, want := x.replay(cut); got != want {
					t.Fatalf("%s: with %s, %s %s gives\n%s\ninstead of\n%s", x.pos, name, step.cmd, step.who, got, want)
				}
			}
		}
		t.Logf("%d conversations, held %d times", len(sections), runs)
	})
}

// step is a command of a script.
type step struct {
	cmd   string
	who   string
	bytes []byte
	first int // how many of the bytes are sent at once; -1: all
	on    string
	last  bool
	pool  func() *stage
	cuts  string // whose streams are cut; "" all
}

// section is a conversation: what begins with a pool.
type section struct {
	pos   string
	steps []step
	said  []string // what each step has brought about
	stage *stage
}

// cut says in which pieces bytes arrive that begin at offset of a stream.
type cut func(who string, offset int, p []byte) [][]byte

func whole(_ string, _ int, p []byte) [][]byte { return [][]byte{p} }

// bytewise gives one byte at a time, but for the middle of what is long.
func bytewise(_ string, _ int, p []byte) (pieces [][]byte) {
	for i, n := 0, 0; i < len(p); i += n {
		n = 1
		if i > 1000 && i+1300 < len(p) {
			n = 301
		}
		pieces = append(pieces, p[i:i+n])
	}
	return pieces
}

// at cuts one stream at one position.
func at(stream string, position int) cut {
	return func(who string, offset int, p []byte) [][]byte {
		if n := position - offset; who == stream && n > 0 && n < len(p) {
			return [][]byte{p[:n], p[n:]}
		}
		return [][]byte{p}
	}
}

func (x *section) add(s step) string {
	if s.cmd == "pool" {
		x.stage = s.pool()
	}
	x.steps = append(x.steps, s)
	out := x.stage.play(s, whole)
	x.said = append(x.said, out)
	return out
}

// replay plays the section again and returns the first step that says something else.
func (x *section) replay(c cut) (differs step, got, want string) {
	stage := x.steps[0].pool()
	for i, s := range x.steps {
		if got := stage.play(s, c); got != x.said[i] {
			return s, got, x.said[i]
		}
	}
	return step{}, "", ""
}

// cuts are the ways in which the section's streams are cut. Of long messages not every position is tried.
func (x *section) cuts() map[string]cut {
	cuts := map[string]cut{}
	if x.steps[0].cuts == "" {
		cuts["single bytes"] = bytewise
	}
	lengths := map[string]int{}
	for _, s := range x.steps {
		if s.cmd != "client" && s.cmd != "server" || x.steps[0].cuts != "" && s.cmd != x.steps[0].cuts {
			continue
		}
		for n := 1; n < len(s.bytes); n++ {
			if n < 200 || n > len(s.bytes)-20 || len(s.bytes) < 1000 || n > InspectLen-8 && n < InspectLen+8 || n%4001 == 0 {
				position := lengths[s.who] + n
				cuts[fmt.Sprintf("a cut at byte %d of %s", position, s.who)] = at(s.who, position)
			}
		}
		lengths[s.who] += len(s.bytes)
	}
	for who := range lengths {
		cuts["single bytes of "+who] = func(w string, offset int, p []byte) [][]byte {
			if w == who {
				return bytewise(w, offset, p)
			}
			return [][]byte{p}
		}
	}
	return cuts
}

// stage is a section under way.
type stage struct {
	*rig
	events  map[string][]string
	states  map[string]string
	offsets map[string]int
	rest    map[string][]byte
	under   map[string]under
}

func (x *stage) client(name string) *rigClient {
	return x.clients[slices.IndexFunc(x.clients, func(c *rigClient) bool { return c.name == name })]
}

func (x *stage) server(name string) *rigServer {
	return x.servers[slices.IndexFunc(x.servers, func(s *rigServer) bool { return s.name == name })]
}

// play carries out one step.
func (x *stage) play(s step, c cut) string {
	switch s.cmd {
	case "client":
		if s.on != "" {
			x.client(s.who).want = x.server(s.on)
		}
		x.bring(s, c)
	case "server", "rest":
		x.bring(s, c)
	case "notify":
		x.listenerHears(s.bytes)
	case "lose-listener":
		x.loseListener()
	case "leave":
		x.client(s.who).leave()
	case "lose":
		x.server(s.who).lose()
	case "deny", "allow":
		x.deny = s.cmd == "deny"
	case "deny-one":
		x.denyOne = true
	case "tell":
		x.client(s.who).tell(wire.AppendErrorResponse(nil, pgerror.BackendLost), s.last)
	}
	x.settle()
	for _, c := range x.clients { // what a client has sent is read as soon as that is possible
		c.read()
	}
	return x.print()
}

// bring gives bytes to whom they are for, in pieces.
func (x *stage) bring(s step, c cut) {
	p := s.bytes
	if s.cmd == "rest" {
		p = x.rest[s.who]
	} else if s.first >= 0 {
		p, x.rest[s.who] = p[:s.first], p[s.first:]
	}
	pieces := c(s.who, x.offsets[s.who], p)
	x.offsets[s.who] += len(p)
	for _, piece := range pieces {
		if s.who[0] == 's' {
			x.server(s.who).read(append([]byte(nil), piece...))
			for _, c := range x.clients {
				c.read()
			}
			continue
		}
		x.client(s.who).input = append(x.client(s.who).input, append([]byte(nil), piece...))
		x.client(s.who).read()
	}
}

func (x *stage) print() string {
	var out strings.Builder
	for _, s := range x.servers {
		x.under[s.name] = printMessages(&out, s.name, clientTypes, s.got, x.under[s.name])
		s.got = nil
	}
	for _, c := range x.clients {
		x.under[c.name] = printMessages(&out, c.name, serverTypes, c.got, x.under[c.name])
		c.got = nil
	}
	for _, who := range slices.Sorted(maps.Keys(x.events)) {
		for _, what := range x.events[who] {
			fmt.Fprintf(&out, "%s %s\n", who, what)
		}
	}
	clear(x.events)
	for _, s := range x.servers {
		x.printState(&out, s.name, s.String())
	}
	for _, c := range x.clients {
		x.printState(&out, c.name, c.String())
	}
	for _, fault := range x.faults {
		fmt.Fprintf(&out, "fault: %s\n", fault)
	}
	x.faults = nil
	return out.String()
}

func (x *stage) printState(out *strings.Builder, who, state string) {
	if x.states[who] != state {
		fmt.Fprintf(out, "%s: %s\n", who, state)
		x.states[who] = state
	}
}

func parseStep(d *datadriven.TestData) (s step, err error) {
	s = step{cmd: d.Cmd, first: -1}
	lines := strings.Split(d.Input, "\n")
	if s.cmd == "pool" {
		s.pool, s.cuts, err = parsePool(d.CmdArgs, d.Input)
		return s, err
	}
	for _, arg := range d.CmdArgs {
		switch {
		case arg.Key == "on":
			s.on = arg.Vals[0]
		case arg.Key == "first":
			s.first, err = strconv.Atoi(arg.Vals[0])
		case arg.Key == "last":
			s.last = true
		default:
			s.who = arg.Key
		}
	}
	message := clientMessage
	switch s.cmd {
	case "server":
		message = serverMessage
	case "client":
	case "notify":
		w, _ := words(d.Input)
		s.bytes = wire.AppendNotification(nil, 7, w[0], w[1])
		return s, nil
	case "rest", "lose-listener", "leave", "lose", "deny", "allow", "deny-one", "tell":
		return s, err
	default:
		return s, fmt.Errorf("unknown command %s", s.cmd)
	}
	for _, line := range lines {
		times := 1
		if before, after, ok := strings.Cut(line, " times "); ok {
			if times, err = strconv.Atoi(before); err != nil {
				return s, err
			}
			line = after
		}
		p, err := message(line)
		if err != nil {
			return s, err
		}
		for range times {
			s.bytes = append(s.bytes, p...)
		}
	}
	return s, err
}

func parsePool(args []datadriven.CmdArg, input string) (begin func() *stage, cuts string, err error) {
	rules, asks, listener, ahead := Rules{Shares: true, MaxStatements: 10}, false, true, false
	for _, arg := range args {
		value := ""
		if len(arg.Vals) > 0 {
			value = arg.Vals[0]
		}
		switch arg.Key {
		case "cuts":
			cuts = value
		case "mode":
			rules.Mode = map[string]Mode{"transaction": Transaction, "session": Session, "statement": Statement}[value]
		case "shares":
			rules.Shares = value != "false"
		case "max":
			rules.MaxStatements, err = strconv.Atoi(value)
		case "texts":
			rules.TextsMax, err = strconv.Atoi(value)
		case "listener":
			listener = value != "false"
		case "asks":
			asks = true
		case "ahead":
			ahead = true
		case "audit":
			rules.Audit = map[string]Audit{"off": AuditOff, "learn": AuditLearn, "always": AuditAlways}[value]
		case "reset":
			rules.ResetQuery = strings.ReplaceAll(value, "_", " ")
		default:
			err = fmt.Errorf("unknown argument %s", arg.Key)
		}
		if err != nil {
			return nil, "", err
		}
	}
	begin = func() *stage {
		x := &stage{
			rig: newRig(rules), events: map[string][]string{}, states: map[string]string{}, offsets: map[string]int{}, rest: map[string][]byte{}, under: map[string]under{},
		}
		x.asks, x.ahead = asks, ahead
		x.event = func(who, what string) { x.events[who] = append(x.events[who], what) }
		if !listener {
			x.shared.Marker = ""
		}
		x.addServer()
		x.addServer()
		x.addClient("c1")
		x.addClient("c2")
		for line := range strings.SplitSeq(input, "\n") {
			if w, _ := words(line); len(w) > 0 {
				x.addClient(w[0], parseSettings(w[1:])...)
			}
		}
		for _, s := range x.servers {
			x.states[s.name] = s.String()
		}
		for _, c := range x.clients {
			x.states[c.name] = c.String()
		}
		return x
	}
	return begin, cuts, nil
}
