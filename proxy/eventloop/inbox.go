package eventloop

import "sync"

// inbox carries functions from other goroutines to the loop. It is a slice swapped under a lock; only the push that finds it
// empty wakes the poller, so a burst costs one system call.
type inbox struct {
	mu     sync.Mutex
	posts  []func()
	closed bool
}

// push reports whether the function will run, and whether the poller must be woken for it.
func (b *inbox) push(f func()) (accepted, wake bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false, false
	}
	b.posts = append(b.posts, f)
	return true, len(b.posts) == 1
}

// swap takes what is there and leaves the emptied spare in its place.
func (b *inbox) swap(spare []func()) []func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	posts := b.posts
	b.posts = spare[:0]
	return posts
}

// close refuses what is pushed from now on and returns what had been accepted.
func (b *inbox) close() []func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	posts := b.posts
	b.posts = nil
	return posts
}
