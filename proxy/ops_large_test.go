package proxy_test

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"

	"weir/proxy/status"
)

const (
	largeTimes   = 700_000
	largeValue   = largeTimes * len(largePattern)    // 21.7 MB: more than all buffers on its way hold
	largeText    = 12 << 20                          // of a statement, which costs the server more
	largeGrowth  = 6 << 20                           // of the heap, while such a value passes: half of the smallest
	largeParked  = 512 << 10                         // in all of weir
	largePattern = "a large value, piece by piece; " // 31 bytes, so that no boundary is met twice in the same place
)

// A largeMessage is a message whose last part is a large value, made while it is sent.
type largeMessage struct {
	kind   byte
	before []byte // of the value, within the body
	value  int
	after  []byte
}

// pieces calls send with the message, a buffer at a time.
func (m largeMessage) pieces(send func([]byte) error) error {
	head := binary.BigEndian.AppendUint32([]byte{m.kind}, uint32(4+len(m.before)+m.value+len(m.after)))
	if err := send(append(head, m.before...)); err != nil {
		return err
	}
	stream := largeStream(m.value)
	buf := make([]byte, 60<<10)
	for {
		n, err := stream.Read(buf)
		if err == io.EOF {
			return send(m.after)
		}
		if err := send(buf[:n]); err != nil {
			return err
		}
	}
}

// largeStream is the large value of n bytes.
func largeStream(n int) io.Reader { return io.LimitReader(&patternReader{}, int64(n)) }

type patternReader struct{ at int }

var largeBlock = []byte(strings.Repeat(largePattern, 2048))

func (r *patternReader) Read(p []byte) (int, error) {
	n := copy(p, largeBlock[r.at:])
	r.at = (r.at + n) % len(largeBlock)
	return n, nil
}

// largeMD5 is what md5() says of the large value.
var largeMD5 = sync.OnceValue(func() string {
	h := md5.New()
	_, _ = io.Copy(h, largeStream(largeValue))
	return hex.EncodeToString(h.Sum(nil))
})

// largeSQL makes the value on the server.
var largeSQL = fmt.Sprintf("repeat('%s', %d)", largePattern, largeTimes)

// bindLarge is a Bind with the large value as text parameter.
func bindLarge(statement string) largeMessage {
	before := append([]byte{0}, statement...)
	before = append(before, 0, 0, 0, 0, 1) // no formats, one parameter
	return largeMessage{kind: 'B', before: binary.BigEndian.AppendUint32(before, uint32(largeValue)), value: largeValue, after: []byte{0, 0}}
}

func (c *wireClient) sendLarge(m largeMessage) {
	c.t.Helper()
	if err := m.pieces(c.TrySendBytes); err != nil {
		c.t.Fatal(err)
	}
}

// largeValueOf reads one value of a message that is too large to be kept, and returns its size and its hash. Everything before the
// first message of that type is read over.
func (c *wireClient) largeValueOf(kind byte, skip int) (size int, sum string) {
	c.t.Helper()
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(patience))
		var head [5]byte
		if _, err := io.ReadFull(c.reader, head[:]); err != nil {
			c.t.Fatal(err)
		}
		n := int64(binary.BigEndian.Uint32(head[1:])) - 4
		if head[0] != kind {
			body := make([]byte, n)
			_, _ = io.ReadFull(c.reader, body)
			if head[0] == 'E' {
				c.t.Fatalf("an error: %q", body)
			}
			continue
		}
		h := md5.New()
		_, err := io.CopyN(io.Discard, c.reader, int64(skip))
		if err == nil {
			_, err = io.CopyN(h, c.reader, n-int64(skip))
		}
		if err != nil {
			c.t.Fatal(err)
		}
		return int(n) - skip, hex.EncodeToString(h.Sum(nil))
	}
}

// Values of 20 MB pass in both directions, whole and right, and weir's memory does not grow with them.
func TestLargeValues(t *testing.T) { bothWays(t, largeValues) }

func largeValues(t *testing.T, start starter) {
	d := database(t)
	d.Exec(t, "CREATE UNLOGGED TABLE book (title text)")
	w := start(t, d, "[pool]\npool_size = 1")
	c, other := enter(t, w, d), enter(t, w, d)
	send := func(m largeMessage) {
		t.Helper()
		c.sendLarge(m)
	}
	sum := largeMD5()
	right := func(t *testing.T, size int, got string) {
		t.Helper()
		if size != largeValue || got != sum {
			t.Errorf("%d bytes with the hash %s, want %d with %s", size, got, largeValue, sum)
		}
	}
	for _, s := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"a parameter", func(t *testing.T) {
			c.Send(&pgproto3.Parse{Query: "SELECT md5($1::text)"})
			send(bindLarge(""))
			c.Send(&pgproto3.Execute{}, &pgproto3.Sync{})
			right(t, largeValue, c.Answer().First())
		}},
		{"a parameter of a named statement", func(t *testing.T) {
			c := enter(t, w, d) // of its own, for what has a name may pin the backend
			c.Send(&pgproto3.Parse{Name: "large", Query: "SELECT md5($1::text)"}, &pgproto3.Sync{})
			c.Answer()
			c.sendLarge(bindLarge("large"))
			c.Send(&pgproto3.Execute{}, &pgproto3.Sync{})
			right(t, largeValue, c.Answer().First())
			c.Terminate()
		}},
		{"a parameter that the server throws away", func(t *testing.T) {
			c.Send(&pgproto3.Parse{Query: "SELEC $1"})
			send(bindLarge(""))
			c.Send(&pgproto3.Execute{}, &pgproto3.Sync{})
			refused(t, c.Answer().Err(), "42601")
		}},
		{"a statement's text, simple", func(t *testing.T) {
			send(largeMessage{kind: 'Q', before: []byte("SELECT length('"), value: largeText, after: []byte("')\x00")})
			if got := c.Answer().First(); got != strconv.Itoa(largeText) {
				t.Errorf("length %s", got)
			}
		}},
		{"a statement's text, extended", func(t *testing.T) {
			send(largeMessage{kind: 'P', before: []byte("\x00SELECT length('"), value: largeText, after: []byte("')\x00\x00\x00")})
			c.Send(&pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
			if got := c.Answer().First(); got != strconv.Itoa(largeText) {
				t.Errorf("length %s", got)
			}
		}},
		{"a field", func(t *testing.T) {
			c.inBackground("SELECT " + largeSQL)
			size, got := c.largeValueOf('D', 2+4)
			right(t, size, got)
			c.Answer()
		}},
		{"a row copied in", func(t *testing.T) {
			c.inBackground("COPY book FROM STDIN")
			if _, ok := c.Receive().(*pgproto3.CopyInResponse); !ok {
				t.Fatal("no CopyInResponse")
			}
			send(largeMessage{kind: 'd', value: largeValue, after: []byte("\n")})
			c.Send(&pgproto3.CopyDone{})
			if a := c.Answer(); a.Err() != nil || a.Tags[0] != "COPY 1" {
				t.Fatal(a.Tags, a.Err())
			}
			right(t, atoi(t, other.Query("SELECT length(title) FROM book")), other.Query("SELECT md5(title) FROM book"))
		}},
		{"a row copied out", func(t *testing.T) {
			c.inBackground("COPY (SELECT " + largeSQL + ") TO STDOUT (FORMAT binary)")
			size, got := c.largeValueOf('d', 11+8+2+4) // the file's header comes with the first row
			if size != largeValue {                    // or by itself
				size, got = c.largeValueOf('d', 2+4)
			}
			right(t, size, got)
			c.Answer()
		}},
	} {
		t.Run(s.name, func(t *testing.T) {
			before := heap()
			grown, parked := watchMostEvery(100*time.Millisecond, heap), watchMostEvery(20*time.Millisecond, parkedBytes(w))
			s.run(t)
			if most := parked(); most > largeParked {
				t.Errorf("%d KiB were parked", most>>10)
			}
			if most := grown() - before; most > largeGrowth {
				t.Errorf("the heap has grown by %d KiB", most>>10)
			}
			other.Query("SELECT 1") // the backend is free
		})
	}
	if p := w.Proxy.Snapshot().Pools[0]; p.Totals.Doubts.Sum() != 0 || p.Totals.BackendsLost != 0 {
		t.Errorf("backends were given up: %d doubts, %d lost", p.Totals.Doubts.Sum(), p.Totals.BackendsLost)
	}
}

// A client whose large message waits for a backend waits with it outside of weir.
func TestLargeMessageWaitsForABackendOutsideOfWeir(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	holder, c := enter(t, w, d), enter(t, w, d)
	holder.Query("BEGIN")
	before := heap()
	sent := make(chan error, 1)
	go func() {
		_, err := c.conn.Write(encode(t, &pgproto3.Parse{Query: "SELECT md5($1::text)"}))
		if err == nil {
			err = bindLarge("").pieces(c.TrySendBytes)
		}
		sent <- err
	}()
	expectWaiting(t, w, 1)
	expectPool(t, w, "parked", func(p status.Pool) bool { return p.ParkedBytes > 0 })
	for range 20 {
		holder.Query("SELECT 1")
	}
	if grown := heap() - before; grown > largeGrowth {
		t.Errorf("the heap has grown by %d KiB while the client waits", grown>>10)
	}
	select {
	case err := <-sent:
		t.Errorf("all of it went somewhere: %v", err)
	default:
	}
	if most := parkedBytes(w)(); most > largeParked {
		t.Errorf("%d KiB are parked", most>>10)
	}
	holder.Query("COMMIT")
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	c.Send(&pgproto3.Execute{}, &pgproto3.Sync{})
	if got := c.Answer().First(); got != largeMD5() {
		t.Errorf("md5 %q", got)
	}
}

// A large field that is read slowly stays in the server, not in weir.
func TestLargeFieldThatIsReadSlowly(t *testing.T) { bothWays(t, largeFieldThatIsReadSlowly) }

func largeFieldThatIsReadSlowly(t *testing.T, start starter) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 2")
	slow, other := enter(t, w, d), enter(t, w, d)
	before := heap()
	slow.inBackground("SELECT " + largeSQL)
	expectPool(t, w, "parked", func(p status.Pool) bool { return p.ParkedBytes > 0 })
	for range 20 {
		other.Query("SELECT 1")
	}
	if grown := heap() - before; grown > largeGrowth {
		t.Errorf("the heap has grown by %d KiB while the client does not read", grown>>10)
	}
	if most := parkedBytes(w)(); most > largeParked {
		t.Errorf("%d KiB are parked", most>>10)
	}
	if size, sum := slow.largeValueOf('D', 2+4); size != largeValue || sum != largeMD5() {
		t.Errorf("%d bytes with the hash %s", size, sum)
	}
	slow.Answer()
}

// A client that dies in the middle of a large message, in whatever message, leaves no half of it for the next.
func TestClientDiesInALargeMessage(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	next := enter(t, w, d)
	for name, m := range map[string]largeMessage{
		"a parameter": bindLarge(""),
		"a text":      {kind: 'Q', before: []byte("SELECT md5('"), value: largeValue, after: []byte("')\x00")},
	} {
		for way, die := range ways {
			t.Run(name+" "+way, func(t *testing.T) {
				c := enter(t, w, d)
				c.SendBytes(encode(t, &pgproto3.Parse{Query: "SELECT $1::text"}))
				left := largeValue / 8
				_ = m.pieces(func(p []byte) error {
					if left -= len(p); left < 0 {
						return io.ErrShortWrite
					}
					return c.TrySendBytes(p)
				})
				die(c)
				for n := range 3 {
					next.expectOwnAnswer(fmt.Sprint("of the next, ", n))
				}
			})
		}
	}
}
