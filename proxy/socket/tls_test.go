package socket

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// identity is a certificate that signs itself.
var identity = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "socket"}, NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

func tlsConfig(version uint16) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{identity()}, InsecureSkipVerify: true, SessionTicketsDisabled: true,
		MinVersion: version, MaxVersion: version,
	}
}

// tlsPair is a connection as it is behind a take-over and a peer that blocks, with deadlines that fail the test rather than hang.
type tlsPair struct {
	*Conn
	shared IO
	peer   *tls.Conn
	under  *net.TCPConn // peer's
	t      *testing.T
	waits  bool // see read
}

// newTLSPair makes one. Before the take-over the peer sends early and our side reads the first readEarly bytes of it.
func newTLSPair(t *testing.T, config *tls.Config, client bool, early string, readEarly int) *tlsPair {
	t.Helper()
	ours, theirs := netPair(t)
	p := &tlsPair{under: theirs, t: t}
	a := NewAdapter(ours)
	var top *tls.Conn
	if client {
		top = a.Client(config)
		p.peer = tls.Server(theirs, config)
	} else {
		top = a.Server(config, nil)
		p.peer = tls.Client(theirs, config)
	}
	_ = theirs.SetDeadline(time.Now().Add(20 * time.Second))
	done := make(chan error, 1)
	go func() {
		_, err := p.peer.Write([]byte(early)) // which begins with the handshake
		done <- errors.Join(err, p.peer.Handshake())
	}()
	if err := top.Handshake(); err != nil {
		t.Fatalf("our handshake: %v", err)
	}
	if err := <-done; err != nil {
		t.Fatalf("the peer's handshake: %v", err)
	}
	b := make([]byte, readEarly)
	if _, err := io.ReadFull(top, b); err != nil || string(b) != early[:readEarly] {
		t.Fatalf("read %q %v", b, err)
	}
	fd, err := Detach(ours)
	if err != nil {
		t.Fatal(err)
	}
	c := NewTLS(fd, a)
	p.Conn = &c
	t.Cleanup(func() { c.Close(&p.shared); _ = theirs.Close() })
	return p
}

// netPair is a connected pair over loopback.
func netPair(t *testing.T) (*net.TCPConn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ours, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return ours.(*net.TCPConn), theirs.(*net.TCPConn)
}

// read reads as the loop does: behind a read that was not full it waits for the kernel, unless something is pending.
func (p *tlsPair) read(b []byte) (int, error) {
	p.t.Helper()
	for {
		if p.waits {
			await(p.t, p.FD())
		}
		n, err := p.Read(&p.shared, b)
		p.waits = n < len(b) && !p.Pending()
		if !errors.Is(err, ErrWouldBlock) {
			return n, err
		}
	}
}

// expect reads exactly what the peer has sent.
func (p *tlsPair) expect(want string) {
	p.t.Helper()
	var got []byte
	b := make([]byte, 64<<10)
	for len(got) < len(want) {
		n, err := p.read(b)
		if err != nil {
			p.t.Fatalf("read: %v, behind %d bytes", err, len(got))
		}
		got = append(got, b[:n]...)
	}
	if string(got) != want {
		p.t.Fatalf("read %d bytes that differ from the %d that were sent", len(got), len(want))
	}
}

// peerSends may be called on any goroutine.
func (p *tlsPair) peerSends(s string) {
	p.t.Helper()
	if _, err := p.peer.Write([]byte(s)); err != nil {
		p.t.Errorf("the peer's write: %v", err)
	}
}

func (p *tlsPair) peerReads(n int) string {
	p.t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(p.peer, b); err != nil {
		p.t.Fatalf("the peer's read: %v", err)
	}
	return string(b)
}

var tlsVersions = map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

// bothRoles runs a test in both versions of TLS, as a server and as a client.
func bothRoles(t *testing.T, f func(t *testing.T, config *tls.Config, client bool)) {
	for name, version := range tlsVersions {
		t.Run(name+" server", func(t *testing.T) { f(t, tlsConfig(version), false) })
		t.Run(name+" client", func(t *testing.T) { f(t, tlsConfig(version), true) })
	}
}

func TestTLSGoesOnBehindTheTakeOver(t *testing.T) {
	bothRoles(t, func(t *testing.T, config *tls.Config, client bool) {
		p := newTLSPair(t, config, client, "login;first query", len("login;"))
		if !p.Pending() {
			t.Error("nobody would look for what the login has left unread")
		}
		p.expect("first query")
		if n, err := p.Read(&p.shared, make([]byte, 1<<16)); n != 0 || !errors.Is(err, ErrWouldBlock) || p.Pending() {
			t.Errorf("then: %d %v, pending %t", n, err, p.Pending())
		}
		if err := p.Write(&p.shared, []byte("answer")); err != nil {
			t.Fatal(err)
		}
		if got := p.peerReads(6); got != "answer" {
			t.Errorf("the peer read %q", got)
		}
		p.peerSends("second query")
		p.expect("second query")
	})
}

func TestSmallReadsLoseNothing(t *testing.T) {
	bothRoles(t, func(t *testing.T, config *tls.Config, client bool) {
		p := newTLSPair(t, config, client, "", 0)
		sent := string(bytes.Repeat([]byte("0123456789"), 9000))
		go p.peerSends(sent) // in records of 16 KiB
		var got []byte
		sizes := []int{20_000, 20_000, 7, 1 << 16, 300, 1 << 16, 1, 20_000, 16 << 10, 1<<14 - 1}
		for i := 0; len(got) < len(sent); i++ {
			b := make([]byte, sizes[i%len(sizes)])
			n, err := p.read(b)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b[:n]...)
		}
		if string(got) != sent {
			t.Error("what arrived is not what was sent")
		}
	})
}

// TestRecordThatDoesNotFitIsPending: a buffer has room for one more record, but perhaps not for the whole of it.
func TestRecordThatDoesNotFitIsPending(t *testing.T) {
	bothRoles(t, func(t *testing.T, config *tls.Config, client bool) {
		config.DynamicRecordSizingDisabled = true
		p := newTLSPair(t, config, client, "", 0)
		for range 2 {
			p.peerSends(string(make([]byte, 5000)))
		}
		p.awaitBytes(2 * 5000)
		b := make([]byte, plaintextMax+1000)
		for i := range 2 {
			if n, err := p.Read(&p.shared, b); n != 5000 || err != nil || i == 0 && !p.Pending() {
				t.Errorf("read %d: %d %v, pending %t", i+1, n, err, p.Pending())
			}
		}
		if n, err := p.Read(&p.shared, b); n != 0 || !errors.Is(err, ErrWouldBlock) || p.Pending() {
			t.Errorf("then: %d %v, pending %t", n, err, p.Pending())
		}
	})
}

// awaitBytes waits until the kernel has that many.
func (p *tlsPair) awaitBytes(want int) {
	b := make([]byte, want)
	for n := 0; n < want; {
		n, _, _ = unix.Recvfrom(p.FD(), b, unix.MSG_PEEK)
	}
}

// TestEndIsSeenBehindData: the peer's last bytes and the end of its stream come in one read of the socket, and no event will
// tell the end once more.
func TestEndIsSeenBehindData(t *testing.T) {
	bothRoles(t, func(t *testing.T, config *tls.Config, client bool) {
		p := newTLSPair(t, config, client, "", 0)
		p.peerSends("bye")
		if err := p.peer.CloseWrite(); err != nil { // close_notify, no FIN
			t.Fatal(err)
		}
		// Both are there before we look.
		p.awaitBytes(6 + 16 + 2)
		b := make([]byte, 1<<16)
		n, err := p.Read(&p.shared, b)
		if string(b[:n]) != "bye" || err != nil {
			t.Fatalf("read %q %v", b[:n], err)
		}
		if !p.Pending() {
			t.Fatal("nobody would look for the end")
		}
		for range 2 {
			if n, err := p.Read(&p.shared, b); n != 0 || !errors.Is(err, io.EOF) || p.Pending() {
				t.Errorf("at the end: %d %v, pending %t", n, err, p.Pending())
			}
		}
		// The other direction is still open.
		if err := p.Write(&p.shared, []byte("last words")); err != nil {
			t.Fatal(err)
		}
		if got := p.peerReads(10); got != "last words" {
			t.Errorf("the peer read %q", got)
		}
	})
}

func TestCutIsNoEndWithinARecord(t *testing.T) {
	bothRoles(t, func(t *testing.T, config *tls.Config, client bool) {
		for _, c := range []struct {
			name string
			tail []byte
			want error
		}{
			{"between records", nil, io.EOF},
			{"in a header", []byte{23, 3}, io.ErrUnexpectedEOF},
			{"in a body", []byte{23, 3, 3, 1, 0, 1, 2, 3}, io.ErrUnexpectedEOF},
		} {
			p := newTLSPair(t, config, client, "", 0)
			if _, err := p.under.Write(c.tail); err != nil {
				t.Fatal(err)
			}
			_ = p.under.CloseWrite()
			if n, err := p.read(make([]byte, 1<<16)); n != 0 || !errors.Is(err, c.want) {
				t.Errorf("%s: %d %v", c.name, n, err)
			}
		}
	})
}

func TestPeerIsToldTheEnd(t *testing.T) {
	ends := map[string]func(p *tlsPair){
		"close write": func(p *tlsPair) { p.CloseWrite(&p.shared) },
		"close":       func(p *tlsPair) { p.Close(&p.shared) },
		"both":        func(p *tlsPair) { p.CloseWrite(&p.shared); p.Close(&p.shared) },
	}
	bothRoles(t, func(t *testing.T, config *tls.Config, client bool) {
		for name, end := range ends {
			p := newTLSPair(t, config, client, "", 0)
			if err := p.Write(&p.shared, []byte("bye")); err != nil {
				t.Fatal(err)
			}
			end(p)
			raw, err := io.ReadAll(p.under)
			if err != nil {
				t.Fatal(err)
			}
			// Two records: the second is the alert. Without it the peer could not tell the end from a cut.
			first := 5 + int(raw[3])<<8 + int(raw[4])
			if len(raw) <= first || raw[first] != 21 && raw[first] != 23 || first+5+int(raw[first+4]) != len(raw) {
				t.Errorf("%s: the peer got % x", name, raw)
			}
		}
	})
}

func TestPeerReadsOnBehindOurEnd(t *testing.T) {
	bothRoles(t, func(t *testing.T, config *tls.Config, client bool) {
		p := newTLSPair(t, config, client, "", 0)
		p.CloseWrite(&p.shared)
		if n, err := p.peer.Read(make([]byte, 10)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("the peer read %d %v", n, err)
		}
		p.peerSends("still here")
		p.expect("still here")
	})
}

func TestClosedTLSConnRefuses(t *testing.T) {
	p := newTLSPair(t, tlsConfig(tls.VersionTLS13), false, "", 0)
	p.Close(&p.shared)
	_, read := p.Read(&p.shared, make([]byte, 1))
	for what, err := range map[string]error{"read": read, "write": p.Write(&p.shared, []byte("x")), "drain": p.Drain(&p.shared)} {
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: %v", what, err)
		}
	}
	p.CloseWrite(&p.shared)
}

// TestRubbishIsAnError: whoever holds the wire can end the connection, and no more.
func TestRubbishIsAnError(t *testing.T) {
	bothRoles(t, func(t *testing.T, config *tls.Config, client bool) {
		for _, rubbish := range [][]byte{
			{23, 3, 3, 0, 32, 31: 0, 36: 0},                // no key made this
			{23, 3, 3, 0xFF, 0xFF, 36: 0},                  // longer than a record may be
			{22, 3, 3, 0, 32, 36: 0},                       // a handshake
			[]byte("E\x00\x00\x00\x20ERROR in clear text"), // what a server would say without TLS
		} {
			p := newTLSPair(t, config, client, "", 0)
			if _, err := p.under.Write(rubbish); err != nil {
				t.Fatal(err)
			}
			for _, read := range []func([]byte) (int, error){p.read, func(b []byte) (int, error) { return p.Read(&p.shared, b) }} {
				if n, err := read(make([]byte, 1<<16)); n != 0 || err == nil || errors.Is(err, io.EOF) {
					t.Errorf("% x: read %d %v", rubbish[:5], n, err)
				}
			}
			if alert, _ := p.peer.Read(make([]byte, 1)); alert != 0 {
				t.Errorf("% x: the peer got more than an alert", rubbish[:5])
			}
		}
	})
}

func TestIdleConnHoldsNoBuffer(t *testing.T) {
	if inputField == noField || handshakeField == noField {
		t.Fatal("crypto/tls has changed: see input.go")
	}
	bothRoles(t, func(t *testing.T, config *tls.Config, client bool) {
		p := newTLSPair(t, config, client, "", 0)
		for _, size := range []int{100, 200_000, 16 << 10} {
			sent := string(make([]byte, size))
			go p.peerSends(sent)
			p.expect(sent)
		}
		if _, err := p.Read(&p.shared, make([]byte, 1<<16)); !errors.Is(err, ErrWouldBlock) {
			t.Fatal(err)
		}
		if err := p.Write(&p.shared, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		for what, n := range map[string]int{
			"input": bufferOf(p.tls.conn, inputField).Cap(), "handshake": bufferOf(p.tls.conn, handshakeField).Cap(),
			"kept": cap(p.tls.kept), "out": cap(p.tls.out), "parked": cap(p.parked),
		} {
			if n > 0 {
				t.Errorf("%s: a buffer of %d bytes is held", what, n)
			}
		}
	})
}

// TestTLSSteadyState: one system call for a read and one for a write and no allocation, as without TLS.
func TestTLSSteadyState(t *testing.T) {
	bothRoles(t, func(t *testing.T, config *tls.Config, client bool) {
		p := newTLSPair(t, config, client, "", 0)
		message, b := make([]byte, 300), make([]byte, 1<<16)
		echo := make([]byte, len(message))
		run := func() {
			_ = p.Write(&p.shared, message)
			_, _ = io.ReadFull(p.peer, echo)
			_, _ = p.peer.Write(echo)
			await(t, p.FD())
			if n, err := p.Read(&p.shared, b); n != len(message) || err != nil || p.Pending() {
				t.Errorf("read %d %v, pending %t", n, err, p.Pending())
			}
		}
		run()
		p.shared.Reads, p.shared.Writes = 0, 0
		const runs = 100
		for range runs {
			run()
		}
		if p.shared.Reads != runs || p.shared.Writes != runs {
			t.Errorf("%d reads and %d writes for %d messages", p.shared.Reads, p.shared.Writes, runs)
		}
		// One at most: crypto/tls takes a scratch buffer from a sync.Pool, which the race detector empties at random.
		if n := testing.AllocsPerRun(100, func() { _ = p.Write(&p.shared, message) }); n > 1 {
			t.Errorf("%v allocations for a write", n)
		}
		if n := testing.AllocsPerRun(100, func() {
			_, _ = p.peer.Write(echo)
			for {
				if _, err := p.Read(&p.shared, b); !errors.Is(err, ErrWouldBlock) {
					break
				}
			}
		}); n > 1 {
			t.Errorf("%v allocations for the peer's write and our read", n)
		}
	})
}

// TestLargeWriteIsOneCall: what one call is given goes out in one system call, in records that libpq's asynchronous reader can
// take, and little larger than it was.
func TestLargeWriteIsOneCall(t *testing.T) {
	bothRoles(t, func(t *testing.T, config *tls.Config, client bool) {
		p := newTLSPair(t, config, client, "", 0)
		if err := unix.SetsockoptInt(p.FD(), unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20); err != nil {
			t.Fatal(err)
		}
		const size = 80 << 10
		if err := p.Write(&p.shared, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if p.shared.Writes != 1 || p.ParkedLen() > 0 {
			t.Errorf("%d system calls, %d bytes parked", p.shared.Writes, p.ParkedLen())
		}
		total := int(p.shared.BytesWritten)
		if total > size+(size/recordMax+1)*recordOverhead {
			t.Errorf("%d bytes became %d", size, total)
		}
		raw := make([]byte, total)
		if _, err := io.ReadFull(p.under, raw); err != nil {
			t.Fatal(err)
		}
		for len(raw) > 0 {
			n := int(raw[3])<<8 + int(raw[4])
			if n > recordMax+recordOverhead {
				t.Errorf("a record of %d bytes", n)
			}
			raw = raw[5+n:]
		}
	})
}

// TestTLSWorksWhereItsBuffersAreNotFound is a Go version in which crypto/tls looks different.
func TestTLSWorksWhereItsBuffersAreNotFound(t *testing.T) {
	defer func(input, handshake uintptr) { inputField, handshakeField = input, handshake }(inputField, handshakeField)
	inputField, handshakeField = bufferField("no such field"), bufferField("conn")
	if inputField != noField || handshakeField != noField {
		t.Fatal("a field was found that is none")
	}
	t.Run("take-over", TestTLSGoesOnBehindTheTakeOver)
	t.Run("small reads", TestSmallReadsLoseNothing)
	t.Run("end", TestEndIsSeenBehindData)
	t.Run("keys", TestNewKeysOnRequest)
	t.Run("deaf", TestNewKeysForTheDeaf)
}
