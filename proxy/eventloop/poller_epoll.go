//go:build linux

package eventloop

import (
	"fmt"
	"math"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wakeID is no registration's id: slots are far fewer than 2^32.
const wakeID = ^uint64(0)

type poller struct {
	epfd   int
	wakefd int
	fine   bool // there is epoll_pwait2 (Linux 5.11)
	events [eventsPerPoll]unix.EpollEvent
}

func newPoller() (*poller, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	wakefd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(epfd)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	p := &poller{epfd: epfd, wakefd: wakefd}
	// Edge-triggered: each write is an event, and its count, which nobody needs, is never read.
	if err := p.control(unix.EPOLL_CTL_ADD, wakefd, unix.EPOLLIN|unix.EPOLLET, wakeID); err != nil {
		p.close()
		return nil, err
	}
	_, errno := p.pollFine(0, false)
	p.fine = errno == 0
	return p, nil
}

func (p *poller) control(op, fd int, mask uint32, id uint64) error {
	ev := unix.EpollEvent{Events: mask}
	*(*uint64)(unsafe.Pointer(&ev.Fd)) = id // Fd and Pad are the kernel's 64 bits of user data
	if err := unix.EpollCtl(p.epfd, op, fd, &ev); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

const (
	endMask  = unix.EPOLLRDHUP | unix.EPOLLET
	readMask = endMask | unix.EPOLLIN
	// sharedMask has no EPOLLRDHUP: the kernel refuses that beside EPOLLEXCLUSIVE, and a listener has no peer.
	sharedMask = unix.EPOLLIN | unix.EPOLLET | unix.EPOLLEXCLUSIVE
)

func (p *poller) add(fd int, id uint64) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, readMask, id)
}

func (p *poller) addShared(fd int, id uint64) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, sharedMask, id)
}

func (p *poller) remove(fd int) error { return p.control(unix.EPOLL_CTL_DEL, fd, 0, 0) }

// watch modifies the watch, which also reports what is ready now although it was reported before. Interest in
// writability is not kept for good: a unix socket would report each read of the peer as an event.
func (p *poller) watch(fd int, id uint64, read, write bool) error {
	mask := uint32(endMask)
	if read {
		mask = readMask
	}
	if write {
		mask |= unix.EPOLLOUT
	}
	return p.control(unix.EPOLL_CTL_MOD, fd, mask, id)
}

func (p *poller) wait(out []readiness, timeout time.Duration, announce bool) (int, error) {
	var n int
	var errno syscall.Errno
	if p.fine && timeout > 0 && timeout < time.Millisecond {
		n, errno = p.pollFine(timeout, announce)
	} else {
		n, errno = p.poll(milliseconds(timeout), announce)
	}
	if errno == unix.EINTR {
		return 0, nil
	}
	if errno != 0 {
		return 0, fmt.Errorf("epoll_wait: %w", errno)
	}
	found := 0
	for i := range p.events[:n] {
		ev := &p.events[i]
		id := *(*uint64)(unsafe.Pointer(&ev.Fd))
		if id == wakeID {
			continue
		}
		out[found] = readiness{id: id, event: fromEpoll(ev.Events)}
		found++
	}
	return found, nil
}

// poll asks the kernel. A signal ends it, so a collector that wants to stop this thread need not wait, announced or not.
func (p *poller) poll(ms int, announce bool) (int, syscall.Errno) {
	events := uintptr(unsafe.Pointer(&p.events[0]))
	var n uintptr
	var errno syscall.Errno
	if announce {
		n, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epfd), events, eventsPerPoll, uintptr(ms), 0, 0)
	} else {
		n, _, errno = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epfd), events, eventsPerPoll, uintptr(ms), 0, 0)
	}
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// pollFine is poll for less than a second.
func (p *poller) pollFine(timeout time.Duration, announce bool) (int, syscall.Errno) {
	events := uintptr(unsafe.Pointer(&p.events[0]))
	ts := [2]int64{1: int64(timeout)} // struct __kernel_timespec: it has 64 bits in each field on all machines
	var n uintptr
	var errno syscall.Errno
	if announce {
		n, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.epfd), events, eventsPerPoll, uintptr(unsafe.Pointer(&ts)), 0, 0)
	} else {
		n, _, errno = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.epfd), events, eventsPerPoll, uintptr(unsafe.Pointer(&ts)), 0, 0)
	}
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// milliseconds rounds up, so that a wait does not end just before what it waits for is due. The kernel takes an int32, 24 days;
// a longer wait is cut there and asked for again.
func milliseconds(d time.Duration) int {
	if d < 0 {
		return -1
	}
	ms := d / time.Millisecond
	if d%time.Millisecond > 0 {
		ms++
	}
	return int(min(ms, math.MaxInt32))
}

func fromEpoll(mask uint32) Event {
	var e Event
	if mask&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		e |= Readable
	}
	if mask&unix.EPOLLOUT != 0 {
		e |= Writable
	}
	if mask&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		e |= HangUp
	}
	if mask&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		e |= Broken
	}
	return e
}

// wakeInTime asks for a slack of a nanosecond instead of 50 µs. A loop that sleeps for so short a time as Rest wants should not sleep for
// twice as long; its other timeouts seldom pass.
func (p *poller) wakeInTime() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) }

func (p *poller) wake() {
	one := [8]byte{0: 1}
	_, _ = unix.Write(p.wakefd, one[:]) // fails after 2^64 times
}

func (p *poller) close() {
	_ = unix.Close(p.epfd)
	_ = unix.Close(p.wakefd)
}
