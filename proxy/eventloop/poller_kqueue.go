//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package eventloop

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

type poller struct {
	kq     int
	wakeR  int
	wakeW  int
	fine   bool // false: see Loop.Rest
	events [eventsPerPoll]unix.Kevent_t
	ids    []uint64 // by descriptor: kqueue reports the descriptor, the loop wants the registration
}

func newPoller() (*poller, error) {
	kq, err := unix.Kqueue()
	if err != nil {
		return nil, fmt.Errorf("kqueue: %w", err)
	}
	unix.CloseOnExec(kq)
	var pipe [2]int
	if err := unix.Pipe(pipe[:]); err != nil {
		_ = unix.Close(kq)
		return nil, fmt.Errorf("pipe: %w", err)
	}
	for _, fd := range pipe {
		unix.CloseOnExec(fd)
		_ = unix.SetNonblock(fd, true)
	}
	p := &poller{kq: kq, wakeR: pipe[0], wakeW: pipe[1]}
	if err := p.change(p.wakeR, unix.EVFILT_READ, unix.EV_ADD); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *poller) change(fd, filter, flags int) error {
	var ev [1]unix.Kevent_t
	unix.SetKevent(&ev[0], fd, filter, flags)
	if _, err := unix.Kevent(p.kq, ev[:], nil, nil); err != nil {
		return fmt.Errorf("kevent: %w", err)
	}
	return nil
}

func (p *poller) add(fd int, id uint64) error {
	for len(p.ids) <= fd {
		p.ids = append(p.ids, 0)
	}
	p.ids[fd] = id
	return p.change(fd, unix.EVFILT_READ, unix.EV_ADD|unix.EV_CLEAR)
}

func (p *poller) addShared(fd int, id uint64) error { return p.add(fd, id) }

func (p *poller) remove(fd int) error {
	_ = p.change(fd, unix.EVFILT_WRITE, unix.EV_DELETE) // there is one only while something is parked
	return p.change(fd, unix.EVFILT_READ, unix.EV_DELETE)
}

// watch changes what is watched for writability: as fine is false, nothing asks for more.
func (p *poller) watch(fd int, _ uint64, _, write bool) error {
	if write {
		return p.change(fd, unix.EVFILT_WRITE, unix.EV_ADD|unix.EV_CLEAR)
	}
	return p.change(fd, unix.EVFILT_WRITE, unix.EV_DELETE)
}

func (p *poller) wait(out []readiness, timeout time.Duration, _ bool) (int, error) {
	n, err := p.poll(timeout)
	if err == unix.EINTR {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("kevent: %w", err)
	}
	found := 0
	for i := range p.events[:n] {
		ev := &p.events[i]
		fd := int(ev.Ident)
		if fd == p.wakeR {
			p.drainWake()
			continue
		}
		e := Readable
		if ev.Filter == unix.EVFILT_WRITE {
			e = Writable
		}
		if ev.Flags&unix.EV_EOF != 0 {
			e |= Readable | HangUp
			if ev.Fflags != 0 { // the socket's error
				e |= Broken
			}
		}
		out[found] = readiness{id: p.ids[fd], event: e}
		found++
	}
	return found, nil
}

func (p *poller) poll(timeout time.Duration) (int, error) {
	if timeout < 0 {
		return unix.Kevent(p.kq, nil, p.events[:], nil)
	}
	ts := unix.NsecToTimespec(int64(timeout))
	return unix.Kevent(p.kq, nil, p.events[:], &ts)
}

func (p *poller) wakeInTime() {}

func (p *poller) wake() { _, _ = unix.Write(p.wakeW, []byte{1}) }

func (p *poller) drainWake() {
	var b [64]byte
	for {
		if n, _ := unix.Read(p.wakeR, b[:]); n < len(b) {
			return
		}
	}
}

func (p *poller) close() {
	_ = unix.Close(p.kq)
	_ = unix.Close(p.wakeR)
	_ = unix.Close(p.wakeW)
}
