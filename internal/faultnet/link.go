package faultnet

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// bufferSize is what one read takes at most, and so what a paused direction
// can hold back at most.
const bufferSize = 32 << 10

// halfCloser is what TCP and unix connections have in common.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// link is one client's connection and its counterpart to the target. All of
// it is under the proxy's lock, save done, which is only ever closed.
type link struct {
	p       *Proxy
	done    chan struct{}          // closed by cut
	dead    bool                   // cut: both ends are closed
	ends    [directions]halfCloser // where the bytes of a direction are written; ends[ToTarget] is nil until dialled
	ended   [directions]bool       // the receiver has been told end of file
	carried [directions]int64
	cutAt   [directions]int64 // cut when carried gets there; 0 is never
}

// source and sink are where direction d reads and writes.
func (k *link) source(d Direction) halfCloser { return k.ends[1-d] }
func (k *link) sink(d Direction) halfCloser   { return k.ends[d] }

// forward dials the target and carries both directions until both have ended.
func (k *link) forward() {
	defer k.p.wg.Done()
	dialer := net.Dialer{Timeout: dialTimeout}
	k.p.mu.Lock()
	address := k.p.address
	k.p.mu.Unlock()
	conn, err := dialer.DialContext(k.p.ctx, k.p.network, address)

	k.p.mu.Lock()
	defer k.p.mu.Unlock()
	switch {
	case err != nil:
		k.cut()
		return
	case k.dead:
		reset(conn)
		return
	}
	k.ends[ToTarget] = conn.(halfCloser)
	for d := range k.p.lanes {
		d := Direction(d)
		if k.ended[d] {
			// CloseWrite came while we dialled.
			k.ended[d] = false
			k.end(d)
		}
		if k.p.lanes[d].paused {
			k.interrupt(d)
		}
		k.p.wg.Add(1)
		go k.pump(d, k.source(d), k.sink(d))
	}
}

// pump carries one direction until it ends.
func (k *link) pump(d Direction, src io.Reader, dst io.Writer) {
	defer k.p.wg.Done()
	buf := make([]byte, bufferSize)
	for {
		if _, ok := k.enter(d, 0); !ok {
			return
		}
		n, err := src.Read(buf)
		k.leave(d, 0)
		if n > 0 && !k.write(d, dst, buf[:n]) {
			return
		}
		if err != nil && !k.survives(d, err) {
			return
		}
	}
}

// write passes b on in chunks. False: the direction has ended.
func (k *link) write(d Direction, dst io.Writer, b []byte) bool {
	for len(b) > 0 {
		if !k.pauseBefore(d) {
			return false
		}
		size, ok := k.enter(d, len(b))
		if !ok {
			return false
		}
		n, err := dst.Write(b[:size])
		k.leave(d, n)
		b = b[n:]
		if err != nil && !k.survives(d, err) {
			return false
		}
	}
	return true
}

// pauseBefore waits for the direction's delay. False: the link was cut.
func (k *link) pauseBefore(d Direction) bool {
	k.p.mu.Lock()
	delay := k.p.lanes[d].delay
	k.p.mu.Unlock()
	if delay <= 0 {
		return true
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-k.done:
		return false
	}
}

// enter waits while the direction is paused, then marks it busy for one read
// or write, which leave ends. It returns how many of want bytes may be
// written; false: the direction has ended.
func (k *link) enter(d Direction, want int) (size int, ok bool) {
	k.p.mu.Lock()
	defer k.p.mu.Unlock()
	lane := &k.p.lanes[d]
	for lane.paused && !k.dead && !k.ended[d] {
		k.p.changed.Wait()
	}
	if k.dead || k.ended[d] {
		return 0, false
	}
	lane.busy++
	if lane.chunk > 0 {
		want = min(want, lane.chunk)
	}
	if k.cutAt[d] > 0 {
		want = int(min(int64(want), k.cutAt[d]-k.carried[d]))
	}
	return want, true
}

// leave ends what enter began and counts what was written.
func (k *link) leave(d Direction, wrote int) {
	k.p.mu.Lock()
	defer k.p.mu.Unlock()
	k.p.lanes[d].busy--
	if wrote > 0 {
		k.p.stats.Bytes[d] += int64(wrote)
		k.p.stats.Writes[d]++
	}
	k.carried[d] += int64(wrote)
	if k.cutAt[d] > 0 && k.carried[d] >= k.cutAt[d] {
		k.cut()
	}
	k.p.changed.Broadcast()
}

// survives says whether the direction goes on after err of a read or write.
// End of file is passed on as such, an interruption by Pause or CloseWrite is
// looked at by the next enter, and anything else resets both sides, as a
// reset of one side would without the proxy.
func (k *link) survives(d Direction, err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	k.p.mu.Lock()
	defer k.p.mu.Unlock()
	switch {
	case k.dead || k.ended[d]:
	case errors.Is(err, io.EOF):
		k.end(d)
	default:
		k.cut()
	}
	return false
}

// end tells the receiver of direction d end of file, and closes the link once
// both directions have ended. Under the lock.
func (k *link) end(d Direction) {
	if k.dead || k.ended[d] {
		return
	}
	k.ended[d] = true
	if sink := k.sink(d); sink != nil {
		_ = sink.CloseWrite() // a receiver that is gone needs no end of file
	}
	if k.ended[ToTarget] && k.ended[ToClient] {
		k.close(func(c net.Conn) { _ = c.Close() })
	}
}

// cut resets both sides. Under the lock.
func (k *link) cut() { k.close(reset) }

func (k *link) close(one func(net.Conn)) {
	if k.dead {
		return
	}
	k.dead = true
	close(k.done)
	for _, c := range k.ends {
		if c != nil {
			one(c)
		}
	}
	delete(k.p.links, k)
	k.p.stats.Open--
	k.p.changed.Broadcast()
}

// interrupt makes a read or write under way in direction d return at once.
// Reads of one side and writes of the other have deadlines of their own, so
// the opposite direction does not notice. Under the lock.
func (k *link) interrupt(d Direction) { k.setDeadlines(d, time.Unix(1, 0)) }

// uninterrupt lets direction d read and write again. Under the lock.
func (k *link) uninterrupt(d Direction) { k.setDeadlines(d, time.Time{}) }

func (k *link) setDeadlines(d Direction, at time.Time) {
	// Setting a deadline fails on a closed connection only, and there nothing
	// is under way.
	if c := k.source(d); c != nil {
		_ = c.SetReadDeadline(at)
	}
	if c := k.sink(d); c != nil {
		_ = c.SetWriteDeadline(at)
	}
}

// reset closes c so that its peer reads ECONNRESET instead of end of file.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
