package conversation

import (
	"fmt"
	"slices"

	"weir/proxy/notify"
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
	hub      *notify.Hub
	line     *notify.Line
	seat     *notify.Member
	asks     bool // a question goes to the server like any other message, which confirms everything otherwise
	ahead    bool // switches go ahead where they may
	deny     bool // a client that needs a backend is refused
	denyOne  bool // the next one is refused its first request only
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
	r.shared = Shared{Rules: rules, Settings: &r.settings, Marker: "weir_mark"}
	r.hub = notify.New(r.shared.Marker)
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
	{Name: "client_encoding", Value: "UTF8"}, {Name: "server_version", Value: "15.8"}, {Name: "standard_conforming_strings", Value: "on"}, {Name: "TimeZone", Value: "UTC"},
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
	c.walk.Pass(p, 0)
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
	s.walk.Pass(p, 0)
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
		case NeedSwitch:
			c.keep(p)
			c.server.start(Switch)
			return
		case NeedEnd:
			c.rig.say(c.name, "says goodbye")
			c.leave()
			return
		case NeedRefusal:
			c.rig.say(c.name, "sends what no client sends: %q", step.Frame.Type)
			c.leave()
			return
		case NeedAnswer:
			if c.talk.Hold() == HoldRecall {
				c.rig.later = append(c.rig.later, c.server.reconsider)
			}
		case NeedBytes:
		}
		if c.talk.Hold() == HoldListen {
			c.rig.later = append(c.rig.later, c.server.reconsider)
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
	switch {
	case c.rig.deny:
		c.rig.later = append(c.rig.later, func() { c.refuse((*Client).Refuse, pgerror.BackendLost) })
		return false
	case c.rig.denyOne:
		c.rig.denyOne = false
		c.rig.later = append(c.rig.later, func() { c.refuse((*Client).RefuseFirst, pgerror.Canceled) })
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
	if !s.talk.Fits() {
		if c.rig.ahead && s.talk.SwitchAhead() {
			return true
		}
		s.start(Switch)
		return false
	}
	c.write(c.talk.AppendNews(nil, s.talk.Params()))
	return true
}

// refuse tells a client that it gets no backend.
func (c *rigClient) refuse(how func(c *Client, dst, p []byte, cause *pgerror.Error) ClientStep, cause *pgerror.Error) {
	if c.gone {
		return
	}
	c.waiting = false
	p := c.carry
	c.carry = nil
	step := how(&c.talk, nil, p, cause)
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
	c.rig.hub.Remove(c.talk.Sub)
	c.talk.Leave(&c.rig.settings)
	c.rig.say(c.name, "is gone")
}

// String is the state that scripts print.
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
