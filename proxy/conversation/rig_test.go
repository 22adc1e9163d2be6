package conversation

import (
	"fmt"
	"slices"
	"strings"

	"weir/proxy/pgerror"
	"weir/proxy/session"
	"weir/proxy/wire"
)

// rig plays package relay for the clients and backends of one pool, without sockets, pool and time: it does with each step what relay
// does. Whatever it finds broken ends up in faults.
type rig struct {
	shared   Shared
	settings session.Table
	clients  []*rigClient
	servers  []*rigServer
	deny     bool // a client that needs a backend is refused
	later    []func()
	toServer Flow
	toClient Flow
	faults   []string

	// deliver gets bytes that go to the server or to the client of that name; nil: they are kept in got.
	deliver func(to string, p []byte)
	event   func(who, what string)
}

func newRig(rules Rules) *rig {
	r := &rig{}
	r.shared = Shared{Rules: rules, Settings: &r.settings}
	return r
}

// rigClient is a client with its socket.
type rigClient struct {
	rig     *rig
	name    string
	talk    Client
	server  *rigServer
	want    *rigServer // the backend that it is to be given; nil: the first that is idle
	waiting bool
	last    bool // it is closed at the next boundary
	gone    bool
	input   [][]byte // reads that have not been made yet
	carry   []byte
	got     []byte
	walk    wire.Walk
}

// rigServer is a backend with its socket.
type rigServer struct {
	rig    *rig
	name   string
	talk   Server
	client *rigClient
	busy   bool // it is leased or being cleaned
	gone   bool
	carry  []byte
	got    []byte
	walk   wire.Walk
}

var rigParams = []session.Setting{
	{Name: "client_encoding", Value: "UTF8"}, {Name: "standard_conforming_strings", Value: "on"}, {Name: "TimeZone", Value: "UTC"},
}

func (r *rig) addServer() *rigServer {
	s := &rigServer{rig: r, name: fmt.Sprintf("s%d", len(r.servers)+1), talk: NewServer(&r.shared, rigParams)}
	r.servers = append(r.servers, s)
	return s
}

func (r *rig) addClient(name string, settings ...session.Setting) *rigClient {
	set, err := r.settings.Intern(settings)
	if err != nil {
		panic(err)
	}
	c := &rigClient{rig: r, name: name, talk: NewClient(set, &r.settings)}
	c.talk.Told = rigParams
	r.clients = append(r.clients, c)
	return c
}

func (r *rig) fault(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

func (r *rig) say(who, format string, args ...any) {
	if r.event != nil {
		r.event(who, fmt.Sprintf(format, args...))
	}
}

// settle does what was put off.
func (r *rig) settle() {
	for len(r.later) > 0 {
		f := r.later[0]
		r.later = r.later[1:]
		f()
	}
}

// write gives the client bytes, and holds the outlet to what they are.
func (c *rigClient) write(p []byte) {
	if c.gone || len(p) == 0 {
		return
	}
	c.walk.Pass(p)
	if c.rig.deliver != nil {
		c.rig.deliver(c.name, p)
		return
	}
	c.got = append(c.got, p...)
}

// send gives the server bytes.
func (s *rigServer) send(p []byte) {
	if s.gone || len(p) == 0 {
		return
	}
	s.walk.Pass(p)
	if s.rig.deliver != nil {
		s.rig.deliver(s.name, p)
		return
	}
	s.got = append(s.got, p...)
}

// obstructed reports whether the client is not read now.
func (c *rigClient) obstructed() bool {
	if c.gone || c.waiting || c.last {
		return true
	}
	if c.server == nil {
		return false
	}
	t := &c.server.talk
	return c.talk.Hold() != HoldNone || t.Probing() || t.Errand() != nil
}

// read makes the reads that are possible.
func (c *rigClient) read() {
	for len(c.input) > 0 && !c.obstructed() {
		p := append(c.carry, c.input[0]...)
		c.input, c.carry = c.input[1:], nil
		c.consume(p)
		c.rig.settle()
	}
}

func (c *rigClient) consume(p []byte) {
	for !c.gone {
		if c.talk.Refusing() {
			step := c.talk.Refuse(nil, p, nil)
			c.write(step.Answer)
			p = p[step.Took:]
			if c.talk.Refusing() {
				c.keep(p)
				return
			}
		}
		var server *Server
		if c.server != nil {
			server = &c.server.talk
		}
		step := c.talk.FromClient(server, p, &c.rig.toServer)
		if step.Vacate {
			c.rig.say(c.name, "idle backends are in its way")
		}
		if c.server != nil {
			c.server.send(c.rig.toServer.Bytes())
			c.checkAmid()
		}
		p = p[step.Took:]
		switch step.Need {
		case NeedBackend:
			if c.getBackend() {
				continue
			}
		case NeedEnd:
			c.rig.say(c.name, "says goodbye")
			c.leave()
			return
		case NeedRefusal:
			c.rig.say(c.name, "sends what no client sends: %q", step.Frame.Type)
			c.leave()
			return
		case NeedAnswer, NeedBytes:
		}
		c.keep(p)
		return
	}
}

func (c *rigClient) keep(p []byte) {
	if len(p) > 0 {
		c.carry = append([]byte(nil), p...)
	}
}

// checkAmid compares what the core says of a message forwarded in part with the stream.
func (c *rigClient) checkAmid() {
	if c.server == nil {
		return
	}
	if amid := c.server.walk.Lacks() > 0; amid != c.talk.Amid() {
		c.rig.fault("%s is amid a message: %t, the core says %t", c.server.name, amid, c.talk.Amid())
	}
}

// getBackend leases a backend. False: the client waits, or is refused, or its settings are applied first.
func (c *rigClient) getBackend() bool {
	c.waiting = true
	if c.rig.deny {
		c.rig.later = append(c.rig.later, func() { c.refuse(pgerror.BackendLost) })
		return false
	}
	s := c.want
	if s == nil {
		if i := slices.IndexFunc(c.rig.servers, func(s *rigServer) bool { return !s.busy && !s.gone }); i >= 0 {
			s = c.rig.servers[i]
		}
	}
	if s == nil || s.busy || s.gone {
		return false
	}
	c.waiting = false
	s.busy, s.client, c.server = true, c, s
	s.talk.Lease(&c.talk)
	if s.talk.Set() != c.talk.Set {
		s.start(Switch)
		return false
	}
	c.write(c.talk.AppendNews(nil, s.talk.Params()))
	return true
}

// refuse tells a client that it gets no backend.
func (c *rigClient) refuse(cause *pgerror.Error) {
	if c.gone {
		return
	}
	c.waiting = false
	p := c.carry
	c.carry = nil
	step := c.talk.Refuse(nil, p, cause)
	c.write(step.Answer)
	if rest := p[step.Took:]; len(rest) > 0 {
		c.consume(rest)
	}
}

// resume goes on with what was kept.
func (c *rigClient) resume() {
	p := c.carry
	c.carry = nil
	if p != nil || c.talk.Hold() != HoldNone {
		c.consume(p)
	}
}

func (c *rigClient) resumeHeld() {
	if c.gone || c.server == nil || c.server.talk.Probing() || c.server.talk.Errand() != nil {
		return
	}
	c.resume()
	if c.server != nil {
		c.server.reconsider()
	}
}

// tell says something of weir's own to the client; last: and then it is closed.
func (c *rigClient) tell(message []byte, last bool) {
	out := c.talk.Outlet()
	if out.Inside() {
		out.Queue(message)
		if c.last = last; last {
			out.End()
		}
		return
	}
	c.write(message)
	if last {
		c.leave()
	}
}

// leave is a client's end.
func (c *rigClient) leave() {
	if c.gone {
		return
	}
	c.gone = true
	if s := c.server; s != nil {
		c.server = nil
		cleaning := s.talk.Orphan()
		s.client = nil
		if s.talk.Errand() == nil || s.talk.Probing() {
			s.cleanBy(cleaning)
		}
	}
	c.talk.Leave(&c.rig.settings)
	c.rig.say(c.name, "is gone")
}

// read has the server's next bytes judged.
func (s *rigServer) read(p []byte) {
	if s.gone {
		return
	}
	s.consume(append(s.carry, p...))
	s.rig.settle()
}

func (s *rigServer) consume(p []byte) {
	s.carry = nil
	for !s.gone {
		ours := p
		if c := s.client; c != nil && c.last {
			ours = p[:min(len(p), int(c.talk.Outlet().Lacks()))]
		}
		step := s.talk.FromServer(ours, &s.rig.toClient)
		s.toClient(s.rig.toClient.Bytes())
		p = p[step.Took:]
		if c := s.client; step.Resume && c != nil {
			s.rig.later = append(s.rig.later, c.resumeHeld)
		}
		switch step.Event {
		case EventReady:
			if s.client != nil {
				s.follow()
			}
			continue
		case EventErrand:
			s.errandEnded(step.Outcome)
			continue
		case EventNonsense:
			s.rig.say(s.name, "%s: %s", step.Doubt, s.talk.Recent())
			s.lose()
			return
		case EventNone:
		}
		if len(ours) == step.Took && len(p) > 0 {
			continue
		}
		break
	}
	if len(p) > 0 && !s.gone {
		s.carry = append([]byte(nil), p...)
	}
	if s.client == nil && s.busy && !s.gone {
		s.clean()
	}
}

// toClient forwards bytes and lets weir's own words follow where they may.
func (s *rigServer) toClient(p []byte) {
	c := s.client
	if c == nil {
		if len(p) > 0 {
			s.rig.fault("%s has no client, and bytes for one: %q", s.name, p)
		}
		return
	}
	c.write(p)
	if got, want := c.walk.Lacks(), c.talk.Outlet().Lacks(); got != want {
		s.rig.fault("%s lacks %d of a message, its outlet says %d", c.name, got, want)
	}
	queued, last := c.talk.Outlet().Take()
	c.write(queued)
	if last {
		c.leave()
	}
}

func (s *rigServer) follow() {
	fate := s.talk.Fate()
	if fate != Stays {
		s.rig.say(s.name, "%v", fate)
	}
	switch fate {
	case Leaves:
		s.detach()
	case Asked:
		s.send(s.talk.StartProbe(nil))
	case Restored:
		s.start(Restore)
	case Forbidden:
		s.client.tell(wire.AppendErrorResponse(nil, pgerror.StatementModeTransaction), true)
	case Stays:
	}
}

func (s *rigServer) detach() {
	c := s.client
	s.talk.Part()
	s.client, c.server = nil, nil
}

func (s *rigServer) reconsider() {
	switch {
	case s.gone || !s.busy || s.talk.Errand() != nil:
	case s.client == nil:
		s.clean()
	default:
		s.follow()
		if s.client == nil {
			s.clean()
		}
	}
}

func (s *rigServer) start(e *Errand) { s.send(s.talk.Start(e, nil)) }

func (s *rigServer) errandEnded(o Outcome) {
	c := s.client
	s.rig.say(s.name, "%v", [...]string{"is cleaned", "is in its client's settings", "refuses its client's settings", "owes nothing", "is lost: broken"}[o])
	switch o {
	case OutcomeClean:
	case OutcomeApplied:
		c.write(c.talk.AppendNews(nil, s.talk.Params()))
		c.resume()
		s.rig.later = append(s.rig.later, s.reconsider)
	case OutcomeRefused:
		if c != nil {
			s.detach()
			c.leave()
		}
	case OutcomeAnswered:
		if s.client == nil {
			break
		}
		if s.follow(); s.client != nil {
			s.rig.later = append(s.rig.later, s.client.resumeHeld)
		}
	case OutcomeBroken:
		s.lose()
	}
}

func (s *rigServer) clean() { s.cleanBy(s.talk.Cleaning()) }

func (s *rigServer) cleanBy(cleaning Cleaning) {
	if s.gone {
		return
	}
	switch cleaning {
	case CleanNothing:
		if !s.talk.Free() || s.talk.Owes() || s.talk.Due() > 0 || s.talk.account.Owed() > 0 || s.walk.Lacks() > 0 {
			s.rig.fault("%s is handed on with something due", s.name)
		}
		s.busy = false
		for _, c := range s.rig.clients {
			if c.waiting && (c.want == nil || c.want == s) {
				s.rig.later = append(s.rig.later, c.retry)
			}
		}
	case CleanAnswers:
	case CleanSync:
		s.send(s.talk.AppendSync(nil))
	case CleanRollback:
		s.start(Rollback)
	case CleanReset:
		s.start(Reset)
	case CleanRetire:
		s.rig.say(s.name, "is retired")
		s.lose()
	}
}

// retry is for a client that waits while a backend has become idle.
func (c *rigClient) retry() {
	if c.waiting && !c.gone && c.getBackend() {
		c.resume()
	}
}

// lose ends a backend. Its client is told, unless a message is under way that nothing can make whole.
func (s *rigServer) lose() {
	if s.gone {
		return
	}
	s.gone = true
	c := s.client
	s.talk.Lose()
	if s.client = nil; c == nil {
		return
	}
	c.server = nil
	if !c.talk.Outlet().Inside() {
		c.write(wire.AppendErrorResponse(nil, pgerror.BackendLost))
	}
	c.leave()
}

// String is the state that scripts print.
func (s *rigServer) String() string {
	t := &s.talk
	var words []string
	add := func(when bool, format string, args ...any) {
		if when {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	switch {
	case s.gone:
		return "gone"
	case !s.busy:
		add(true, "idle")
	case s.client == nil:
		add(true, "without a client")
	default:
		add(true, "with %s", s.client.name)
	}
	add(t.Errand() != nil && !t.Probing(), "on an errand")
	add(t.Probing(), "probing")
	add(t.Due() > 0, "due=%d", t.Due())
	add(t.account.Unended(), "unended")
	add(t.account.Skipping(), "skipping")
	add(t.Copying(), "%v", t.account.Copying())
	add(t.Status() != wire.TxIdle, "%v", t.Status())
	add(t.Doubtful(), "in doubt")
	add(t.Pins() != 0, "pins: %v", t.Pins())
	return strings.Join(words, ", ")
}

func (c *rigClient) String() string {
	switch {
	case c.gone:
		return "gone"
	case c.waiting:
		return "waits for a backend"
	case c.talk.Hold() != HoldNone:
		return "held: " + c.talk.Hold().String()
	case c.talk.Refusing():
		return "being refused"
	case c.talk.Amid():
		return "amid a message"
	case c.talk.Outlet().Inside():
		return fmt.Sprintf("lacks %d bytes of a message", c.talk.Outlet().Lacks())
	}
	return "at rest"
}
