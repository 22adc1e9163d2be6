package proxy_test

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"

	"weir/internal/faultnet"
	"weir/proxy/status"
)

// watchMost samples a figure until it is stopped and then returns the greatest.
func watchMost(figure func() int) (stop func() int) {
	return watchMostEvery(5*time.Millisecond, figure)
}

// watchMostEvery is watchMost for figures that cost something.
func watchMostEvery(pause time.Duration, figure func() int) (stop func() int) {
	var most atomic.Int64
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			most.Store(max(most.Load(), int64(figure())))
			select {
			case <-quit:
				return
			case <-time.After(pause):
			}
		}
	}()
	return func() int {
		close(quit)
		<-done
		return int(most.Load())
	}
}

func parkedBytes(w *weirUnderTest) func() int {
	return func() int {
		n := 0
		for _, p := range w.Proxy.Snapshot().Pools {
			n += p.ParkedBytes
		}
		return n
	}
}

func heap() int {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	runtime.GC()
	metrics.Read(live)
	return int(live[0].Value.Uint64())
}

// A client that reads slowly holds back its server, not weir's memory; others are served meanwhile.
func TestSlowReaderOfALargeResult(t *testing.T) { bothWays(t, slowReaderOfALargeResult) }

func slowReaderOfALargeResult(t *testing.T, start starter) {
	const total = 100 << 20
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 2")
	slow, other := enter(t, w, d), enter(t, w, d)
	other.Query("SELECT 1")
	before := heap()
	stop := watchMost(parkedBytes(w))
	slow.inBackground(fmt.Sprintf("SELECT repeat('x', 1024) FROM generate_series(1, %d)", total/1024))
	expectPool(t, w, "parked", func(p status.Pool) bool { return p.ParkedBytes > 0 })
	// Nothing moves now, and everybody else is served.
	for range 20 {
		other.Query("SELECT 1")
	}
	if grown := heap() - before; grown > largeGrowth {
		t.Errorf("the heap has grown by %d KiB while the client does not read", grown>>10)
	}
	var buf [64 << 10]byte
	read := 0
	for read < total {
		_ = slow.conn.SetReadDeadline(time.Now().Add(patience))
		n, err := slow.reader.Read(buf[:])
		if err != nil {
			t.Fatalf("after %d bytes: %v", read, err)
		}
		read += n
		if read%(16<<20) < n { // a moment's hesitation, a few times
			other.Query("SELECT 1")
		}
	}
	if most := stop(); most > 512<<10 {
		t.Errorf("%d KiB were parked", most>>10)
	}
	if grown := heap() - before; grown > largeGrowth {
		t.Errorf("the heap has grown by %d KiB", grown>>10)
	}
}

// TestBackendEndsBehindASlowReader: the end of a backend is noticed although it came while its client took nothing.
func TestBackendEndsBehindASlowReader(t *testing.T) { bothWays(t, backendEndsBehindASlowReader) }

func backendEndsBehindASlowReader(t *testing.T, start starter) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	slow, other := enter(t, w, d), enter(t, w, d)
	pid := slow.Query("SELECT pg_backend_pid()")
	slow.inBackground("SELECT repeat('x', 1024) FROM generate_series(1, 100000)")
	expectPool(t, w, "parked", func(p status.Pool) bool { return p.ParkedBytes > 0 })
	admin := direct(t, d)
	ask(t, admin, "SELECT pg_terminate_backend("+pid+")")
	eventually(t, func() string {
		if ask(t, admin, "SELECT count(*) FROM pg_stat_activity WHERE pid = "+pid) != "0" {
			return "the backend lives"
		}
		return ""
	})
	if _, err := slow.TryAnswer(); err == nil {
		t.Error("a whole answer")
	}
	other.Query("SELECT 1")
}

// COPY into a server that has stalled holds back its client.
func TestCopyIntoAStalledServer(t *testing.T) { bothWays(t, copyIntoAStalledServer) }

func copyIntoAStalledServer(t *testing.T, start starter) {
	const total, piece = 24 << 20, 64 << 10
	d := database(t)
	d.Exec(t, "CREATE UNLOGGED TABLE book (title text)")
	n := faultnet.New(t, "tcp", d.Server.Addr())
	w := start(t, d, behind(n)+"[pool]\npool_size = 2")
	c := enter(t, w, d)
	c.inBackground("COPY book FROM STDIN")
	if _, ok := c.Receive().(*pgproto3.CopyInResponse); !ok {
		t.Fatal("no CopyInResponse")
	}
	before := heap()
	stop := watchMost(parkedBytes(w))
	n.Pause(faultnet.ToTarget)
	line := make([]byte, piece)
	for i := range line {
		line[i] = 'x'
	}
	line[piece-1] = '\n'
	data := encode(t, &pgproto3.CopyData{Data: line})
	sent := make(chan error, 1)
	go func() {
		for range total / piece {
			if err := c.TrySendBytes(data); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	expectPool(t, w, "parked", func(p status.Pool) bool { return p.ParkedBytes > 0 })
	if grown := heap() - before; grown > largeGrowth {
		t.Errorf("the heap has grown by %d KiB while the server does not read", grown>>10)
	}
	select {
	case err := <-sent:
		t.Errorf("all %d MiB went to a server that has stalled: %v", total>>20, err)
	default:
	}
	n.Resume(faultnet.ToTarget)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	c.Send(&pgproto3.CopyDone{})
	if a := c.Answer(); a.Err() != nil || len(a.Tags) != 1 || a.Tags[0] != fmt.Sprintf("COPY %d", total/piece) {
		t.Errorf("%v %v", a.Tags, a.Err())
	}
	if most := stop(); most > 512<<10 {
		t.Errorf("%d KiB were parked", most>>10)
	}
}

// A client that sends request after request and reads no answer is not read any more.
func TestClientThatNeverReads(t *testing.T) { bothWays(t, clientThatNeverReads) }

func clientThatNeverReads(t *testing.T, start starter) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 2")
	c, other := enter(t, w, d), enter(t, w, d)
	request := queryBytes("SELECT repeat('x', 10000)")
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			_ = c.conn.SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := c.conn.Write(request); err != nil {
				return
			}
		}
	}()
	stop := watchMost(parkedBytes(w))
	<-stopped // the socket has been full for a second
	other.Query("SELECT 1")
	if most := stop(); most > 512<<10 {
		t.Errorf("%d KiB were parked", most>>10)
	}
	c.reset()
	other.Query("SELECT 1")
}
