package proxy_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"weir/proxy/status"
)

// names stands in for the name service of this process: one name, whose addresses change places with each lookup, as those of a
// name for several servers do.
type names struct {
	name   string
	steady bool // the addresses keep their places

	mu        sync.Mutex
	addresses []netip.Addr // of IPv4
}

// useNames has every lookup of the process answered by s until the test ends, when nobody may be looking up any more.
func useNames(t *testing.T, s *names) {
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go s.serve(ours)
		return theirs, nil
	}}
	t.Cleanup(func() { net.DefaultResolver = before })
}

// serve answers the questions of one connection, each with its length in front, as DNS has it over TCP (RFC 1035, 4.2.2).
func (s *names) serve(nc net.Conn) {
	defer func() { _ = nc.Close() }()
	for {
		var head [2]byte
		if _, err := io.ReadFull(nc, head[:]); err != nil {
			return
		}
		message := make([]byte, binary.BigEndian.Uint16(head[:]))
		if _, err := io.ReadFull(nc, message); err != nil {
			return
		}
		answer := s.answer(message)
		if _, err := nc.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

const (
	dnsHeader = 12 // bytes of a message in front of its question
	dnsA      = 1  // a question for addresses of IPv4
)

func (s *names) answer(message []byte) []byte {
	var name []byte
	at := dnsHeader
	for ; message[at] != 0; at += 1 + int(message[at]) {
		name = append(append(name, message[at+1:at+1+int(message[at])]...), '.')
	}
	question := message[dnsHeader : at+5]
	known := string(name) == s.name+"."
	var addresses []netip.Addr
	if known && binary.BigEndian.Uint16(message[at+1:]) == dnsA {
		s.mu.Lock()
		addresses = slices.Clone(s.addresses)
		if !s.steady {
			s.addresses = append(s.addresses[1:], s.addresses[0])
		}
		s.mu.Unlock()
	}
	flags := uint16(0x8180) // an answer, recursion wanted and had
	if !known {
		flags |= 3 // no such name
	}
	out := bytes.Clone(message[:2])
	for _, n := range []uint16{flags, 1, uint16(len(addresses)), 0, 0} {
		out = binary.BigEndian.AppendUint16(out, n)
	}
	out = append(out, question...)
	for _, a := range addresses {
		out = append(out, 0xC0, dnsHeader) // the name of the question
		out = append(out, question[len(question)-4:]...)
		out = append(out, 0, 0, 0, 0, 0, 4) // for 0 s; 4 bytes
		out = append(out, a.AsSlice()...)
	}
	return out
}

// listenOnBoth listens at two addresses on one port.
func listenOnBoth(t *testing.T, one, other string) (net.Listener, net.Listener) {
	t.Helper()
	var err error
	for range 10 { // somebody may have the port at the other address
		var first, second net.Listener
		if first, err = net.Listen("tcp", one+":0"); err != nil {
			break
		}
		port := first.Addr().(*net.TCPAddr).Port
		if second, err = net.Listen("tcp", net.JoinHostPort(other, strconv.Itoa(port))); err == nil {
			return first, second
		}
		_ = first.Close()
	}
	t.Skipf("this machine has not both %s and %s: %v", one, other, err)
	return nil, nil
}

// TestCancelRequestReachesTheServerThatRunsTheBackend, although the name of that server stands for another as well: the other would
// not know the key, and nothing would be cancelled.
func TestCancelRequestReachesTheServerThatRunsTheBackend(t *testing.T) {
	d := database(t)
	const one, other = "127.0.0.1", "127.0.0.2"
	service := &names{name: "db.weir.test", addresses: []netip.Addr{netip.MustParseAddr(one), netip.MustParseAddr(other)}}
	useNames(t, service)
	atOne, atOther := listenOnBoth(t, one, other)
	var ones, others atomic.Int32
	count := func(n *atomic.Int32) func(func()) {
		return func(pass func()) {
			n.Add(1)
			pass()
		}
	}
	first := newGateOn(t, atOne, d.Server.Addr(), count(&ones))
	second := newGateOn(t, atOther, d.Server.Addr(), count(&others))
	port := strconv.Itoa(atOne.Addr().(*net.TCPAddr).Port)
	w := start(t, d, serverAt(net.JoinHostPort(service.name, port))+inPlainText+"[pool]\npool_size = 2")

	a := enter(t, w, d)
	a.inBackground("SELECT pg_sleep(60), 'a'")
	expectRunning(t, d, "SELECT pg_sleep(60), 'a'", 1)
	b := enter(t, w, d)
	b.inBackground("SELECT pg_sleep(60), 'b'")
	expectRunning(t, d, "SELECT pg_sleep(60), 'b'", 1)
	if first.open() != 1 || second.open() != 1 {
		t.Fatalf("%d and %d backends, want one on each server", first.open(), second.open())
	}
	// The one that was dialled last is cancelled first, so that a new lookup would not give the right order by chance. The server is asked again where
	// it is slow to answer.
	cancelRequest(t, w.Addr, b.pid, b.secret)
	refused(t, b.Answer().Err(), "57014")
	seconds := others.Load()
	if ones.Load() != 0 || seconds == 0 {
		t.Errorf("the request for the second server: %d came to the first, %d to the second", ones.Load(), others.Load())
	}
	cancelRequest(t, w.Addr, a.pid, a.secret)
	refused(t, a.Answer().Err(), "57014")
	if ones.Load() == 0 || others.Load() != seconds {
		t.Errorf("with the request for the first server: %d came to the first, %d to the second", ones.Load(), others.Load())
	}
}

// lateListener accepts connections on which nothing is read until open is closed.
type lateListener struct {
	net.Listener
	open <-chan struct{}
}

func (l lateListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	return lateConn{nc, l.open}, err
}

type lateConn struct {
	net.Conn
	open <-chan struct{}
}

func (c lateConn) Read(p []byte) (int, error) {
	<-c.open
	return c.Conn.Read(p)
}

// TestAddressOfANameThatHangsCostsOneDialOnly: the next address serves, the dials after that do not try it again, and once it answers again it is used.
func TestAddressOfANameThatHangsCostsOneDialOnly(t *testing.T) {
	d := database(t)
	const one, other = "127.0.0.1", "127.0.0.2"
	service := &names{name: "db.weir.test", steady: true, addresses: []netip.Addr{netip.MustParseAddr(one), netip.MustParseAddr(other)}}
	useNames(t, service)
	atOne, atOther := listenOnBoth(t, one, other)
	opened := make(chan struct{})
	first, second := newGateOn(t, lateListener{atOne, opened}, d.Server.Addr(), nil), newGateOn(t, atOther, d.Server.Addr(), nil)
	port := strconv.Itoa(atOne.Addr().(*net.TCPAddr).Port)
	w := start(t, d, serverAt(net.JoinHostPort(service.name, port))+inPlainText+"[pool]\npool_size = 3\n[timeouts]\nserver_connect_timeout = \"1s\"")

	var clients []*wireClient
	for range 3 {
		c := enter(t, w, d)
		c.Query("BEGIN")
		clients = append(clients, c)
	}
	totals := w.Proxy.Snapshot().Pools[0].Totals
	if second.open() != 3 || totals.DialsFailed != 0 {
		t.Errorf("%d backends at the address that works, and %d dials failed", second.open(), totals.DialsFailed)
	}
	hosts := w.Proxy.Snapshot().Servers
	if len(hosts) != 1 || hosts[0].Failures != 0 || !hosts[0].Up {
		t.Errorf("the name has an address that works, and is told of as %+v", hosts)
	}
	for _, c := range clients {
		c.Query("COMMIT")
	}
	close(opened)
	eventually(t, func() string { // a dial looks after it when its back-off is over
		second.hangUp()
		expectPool(t, w, "without backends", func(p status.Pool) bool { return backendCount(p) == 0 })
		clients[0].Query("SELECT 1")
		if first.open() == 0 {
			return "the address that answers again has no backend"
		}
		return ""
	})
}
