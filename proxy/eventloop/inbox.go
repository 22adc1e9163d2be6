package eventloop

import "sync"

// inbox carries functions from other goroutines to the loop. It is a slice swapped under a lock; only the push that finds it
// empty, and the loop asleep, wakes the poller: a burst costs one system call, and a push to a busy loop none. The wake-up is written under
// the lock, too: after it the loop may end, and the number of the poller's descriptor may belong to another connection.
type inbox struct {
	wake func() // set once, before the first push

	mu     sync.Mutex
	posts  []func()
	awake  bool // the loop looks in here before it sleeps
	closed bool
}

// push reports whether the function will run.
func (b *inbox) push(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.posts = append(b.posts, f)
	if len(b.posts) == 1 && !b.awake {
		b.wake()
	}
	return true
}

// interrupt wakes the poller without a function to run.
func (b *inbox) interrupt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.wake()
	}
}

// rest is asked before the loop sleeps, and says whether it may: there is nothing here, and the next push wakes it.
func (b *inbox) rest() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.awake = len(b.posts) > 0
	return !b.awake
}

// swap takes what is there and leaves the emptied spare in its place. The loop is awake from then on, until it asks to rest.
func (b *inbox) swap(spare []func()) []func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	posts := b.posts
	b.posts = spare[:0]
	b.awake = true
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
