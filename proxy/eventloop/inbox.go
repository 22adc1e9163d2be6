package eventloop

import (
	"sync"
	"sync/atomic"
)

// inbox carries functions from other goroutines to the loop. It is a slice swapped under a lock; only the push that finds it
// empty wakes the poller, and only if the loop sleeps, so neither a burst nor a busy loop costs a system call for each. The wake-up is written under
// the lock, too: after it the loop may end, and the number of the poller's descriptor may belong to another connection.
type inbox struct {
	wake func() // set once, before the first push

	mu     sync.Mutex
	posts  []func()
	closed bool

	// A push sets full before it looks at asleep, and the loop sets asleep before it looks at full: one of them sees the other.
	full   atomic.Bool // there are posts
	asleep atomic.Bool // the loop is about to sleep, or does
}

// push reports whether the function will run.
func (b *inbox) push(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.posts = append(b.posts, f)
	if len(b.posts) == 1 {
		b.full.Store(true)
		if b.asleep.Load() {
			b.wake()
		}
	}
	return true
}

// doze says that the loop is about to sleep. False: it must not, there is something to do.
func (b *inbox) doze() bool {
	b.asleep.Store(true)
	return !b.full.Load()
}

// rouse says that the loop sleeps no more, and will look at what there is.
func (b *inbox) rouse() { b.asleep.Store(false) }

// interrupt wakes the poller without a function to run.
func (b *inbox) interrupt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.wake()
	}
}

// swap takes what is there and leaves the emptied spare in its place.
func (b *inbox) swap(spare []func()) []func() {
	if !b.full.Load() {
		return spare[:0]
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.full.Store(false)
	posts := b.posts
	b.posts = spare[:0]
	return posts
}

// close refuses what is pushed from now on, no longer wakes the loop, and returns what had been accepted.
func (b *inbox) close() []func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	posts := b.posts
	b.posts = nil
	return posts
}
