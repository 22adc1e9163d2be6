package socket

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// forger is the sending half of a TLS 1.3 client that says what crypto/tls would not: it makes records of its own out of the
// traffic secret (RFC 8446, sections 5.2 and 7.3).
type forger struct {
	secret   []byte
	aead     cipher.AEAD
	iv       []byte
	sequence uint64
}

func (f *forger) key(secret []byte) {
	f.secret, f.sequence = secret, 0
	block, err := aes.NewCipher(expandLabel(secret, "key", 16))
	if err == nil {
		f.aead, err = cipher.NewGCM(block)
	}
	if err != nil {
		panic(err)
	}
	f.iv = expandLabel(secret, "iv", 12)
}

func expandLabel(secret []byte, label string, n int) []byte {
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(append(append(info, byte(len(label))), label...), 0)
	out, err := hkdf.Expand(sha256.New, secret, string(info), n)
	if err != nil {
		panic(err)
	}
	return out
}

func (f *forger) record(kind byte, body []byte) []byte {
	nonce := bytes.Clone(f.iv)
	for i := range 8 {
		nonce[4+i] ^= byte(f.sequence >> (56 - 8*i))
	}
	f.sequence++
	inner := append(bytes.Clone(body), kind)
	header := []byte{23, 3, 3, 0, 0}
	binary.BigEndian.PutUint16(header[3:], uint16(len(inner)+f.aead.Overhead()))
	return f.aead.Seal(header, nonce, inner, header)
}

// keyUpdate announces new keys and asks for the peer's, and takes the new ones.
func (f *forger) keyUpdate() []byte {
	record := f.record(22, []byte{24, 0, 0, 1, 1})
	f.key(expandLabel(f.secret, "traffic upd", 32))
	return record
}

// newForged makes a pair whose peer's sending half is the forger's from now on; its reading half is crypto/tls's still.
func newForged(t *testing.T) (*tlsPair, *forger) {
	t.Helper()
	config := tlsConfig(tls.VersionTLS13)
	var keys bytes.Buffer // crypto/tls locks it while it writes
	config.KeyLogWriter = &keys
	p := newTLSPair(t, config, false, "", 0)
	// The cipher that Go's two sides choose on every machine with AES in hardware is AES-128-GCM; without, another test machine
	// is wanted.
	if p.peer.ConnectionState().CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		t.Skip("another cipher suite was chosen")
	}
	f := new(forger)
	for line := range strings.Lines(keys.String()) {
		if fields := strings.Fields(line); fields[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(fields[2])
			if err != nil {
				t.Fatal(err)
			}
			f.key(secret)
		}
	}
	return p, f
}

func (p *tlsPair) forge(raw []byte) {
	p.t.Helper()
	if _, err := p.under.Write(raw); err != nil {
		p.t.Fatal(err)
	}
}

func TestNewKeysOnRequest(t *testing.T) {
	p, f := newForged(t)
	for range 40 {
		p.forge(append(f.keyUpdate(), f.record(23, []byte("query"))...))
		p.expect("query")
		if err := p.Write(&p.shared, []byte("answer")); err != nil {
			t.Fatal(err)
		}
		if got := p.peerReads(6); got != "answer" { // crypto/tls follows our new keys
			t.Fatalf("the peer read %q", got)
		}
	}
	if p.ParkedLen() > 0 || len(p.tls.out) > 0 {
		t.Errorf("parked %d, unsent %d", p.ParkedLen(), len(p.tls.out))
	}
}

// TestNewKeysComeByThemselves: the answer to a request for new keys does not wait for something else to be written.
func TestNewKeysComeByThemselves(t *testing.T) {
	p, f := newForged(t)
	p.forge(f.keyUpdate())
	await(t, p.FD())
	if _, err := p.Read(&p.shared, make([]byte, 1<<16)); !errors.Is(err, ErrWouldBlock) {
		t.Fatal(err)
	}
	if p.shared.Writes != 1 {
		t.Errorf("%d writes", p.shared.Writes)
	}
}

// TestNewKeysForTheDeaf: a peer that asks for new keys and reads none of the answers is a nuisance of bounded size.
func TestNewKeysForTheDeaf(t *testing.T) {
	p, f := newForged(t)
	if err := unix.SetsockoptInt(p.FD(), unix.SOL_SOCKET, unix.SO_SNDBUF, 1); err != nil {
		t.Fatal(err)
	}
	for !p.Parked() { // the socket is full
		if err := p.Write(&p.shared, make([]byte, 8<<10)); err != nil {
			t.Fatal(err)
		}
	}
	parked := p.ParkedLen()
	b := make([]byte, 1<<16)
	for i := range 10_000 {
		p.forge(append(f.keyUpdate(), f.record(23, []byte("x"))...))
		_, err := p.read(b)
		if err != nil {
			if !errors.Is(err, errDeaf) {
				t.Errorf("after %d: %v", i, err)
			}
			break
		}
		if owed := p.ParkedLen() - parked + len(p.tls.out); owed > unsentMax {
			t.Fatalf("%d bytes are owed after %d", owed, i)
		}
	}
	if i := len(p.tls.out); i <= unsentMax {
		t.Errorf("the peer was never found deaf; %d bytes unsent", i)
	}
}

// TestNewKeysBehindParkedBytes: what TLS itself has to say while something is parked keeps its place behind that.
func TestNewKeysBehindParkedBytes(t *testing.T) {
	p, f := newForged(t)
	if err := unix.SetsockoptInt(p.FD(), unix.SOL_SOCKET, unix.SO_SNDBUF, 1); err != nil {
		t.Fatal(err)
	}
	want := 0
	write := func() {
		want += 8 << 10
		if err := p.Write(&p.shared, make([]byte, 8<<10)); err != nil {
			t.Fatal(err)
		}
	}
	for !p.Parked() {
		write()
	}
	p.forge(append(f.keyUpdate(), f.record(23, []byte("x"))...))
	p.expect("x")
	write() // under the new keys, announced before it
	type read struct {
		n   int
		err error
	}
	peer := make(chan read, 1)
	go func() {
		got, err := io.ReadAll(p.peer)
		peer <- read{len(got), err}
	}()
	for p.Parked() {
		awaitAny(t, unix.PollFd{Fd: p.fd, Events: unix.POLLOUT})
		if err := p.Drain(&p.shared); err != nil {
			t.Fatal(err)
		}
	}
	p.CloseWrite(&p.shared)
	if got := <-peer; got.err != nil || got.n != want {
		t.Errorf("the peer read %d bytes of %d, %v", got.n, want, got.err)
	}
}

// TestSplitHandshakeMessage: a message of TLS's own comes in two records, and nothing more for a while.
func TestSplitHandshakeMessage(t *testing.T) {
	p, f := newForged(t)
	p.forge(f.record(22, []byte{24, 0, 0}))
	await(t, p.FD())
	if _, err := p.Read(&p.shared, make([]byte, 1<<16)); !errors.Is(err, ErrWouldBlock) || p.Pending() {
		t.Fatalf("%v, pending %t", err, p.Pending())
	}
	p.forge(f.record(22, []byte{1, 0}))
	f.key(expandLabel(f.secret, "traffic upd", 32))
	p.forge(f.record(23, []byte("query")))
	p.expect("query")
}

// TestUselessRecordsEnd: records that carry nothing are bounded by crypto/tls, also when each comes alone.
func TestUselessRecordsEnd(t *testing.T) {
	p, f := newForged(t)
	b := make([]byte, 1<<16)
	for range 100 {
		p.forge(f.record(23, nil))
		await(t, p.FD())
		if n, err := p.Read(&p.shared, b); n != 0 || !errors.Is(err, ErrWouldBlock) {
			return
		}
	}
	t.Error("a hundred empty records in a row were taken")
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte("\x17\x03\x03\x00\x01x"), false)
	f.Add([]byte("\x15\x03\x03\x00\x02\x01\x00"), true)
	f.Add([]byte("\x14\x03\x03\x00\x01\x01\x17\x03\x03\x40\x00"), true)
	f.Fuzz(func(t *testing.T, raw []byte, old bool) {
		version := uint16(tls.VersionTLS13)
		if old {
			version = tls.VersionTLS12
		}
		p := newTLSPair(t, tlsConfig(version), false, "", 0)
		p.forge(raw)
		_ = p.under.CloseWrite()
		b := make([]byte, 1<<16)
		for {
			// Without a key nobody gets a byte in, whatever it is.
			n, err := p.read(b)
			if n > 0 {
				t.Fatalf("% x became %q", raw, b[:n])
			}
			if err != nil {
				return
			}
		}
	})
}
