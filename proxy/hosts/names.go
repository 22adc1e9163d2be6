package hosts

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"weir/proxy/backend"
)

const (
	// lookupPatience is how long a dial waits for the name service, where there is another server or a former answer to go on with.
	lookupPatience = time.Second
	// slowPatience is that for a name whose last lookup took longer: it is probably the same this time.
	slowPatience = 100 * time.Millisecond
	// lookupMost bounds a lookup, for which nobody may be waiting any more.
	lookupMost = 15 * time.Second
	// staleMost is how long an answer is of use where the name service gives none. RFC 8767 has one to three days for resolvers.
	staleMost = 24 * time.Hour
	// addressesMax bounds the addresses of one name that are tried.
	addressesMax = 32
)

// names looks up the names of servers, at each dial: lookups of one name that overlap are one. An answer is kept for when the name service fails: that
// is no reason to lose a server. That there is no such name is an answer, too. Any goroutine.
type names struct {
	look           func(ctx context.Context, host string) ([]string, error)
	patience, slow time.Duration

	mu    sync.Mutex
	known map[string]*name
}

// name is what is known of one.
type name struct {
	addresses []string // of the last answer
	answered  time.Time
	slow      bool    // the last lookup took longer than it was waited for
	asking    *lookup // nil: none is under way
}

// lookup is one that is under way, or has ended.
type lookup struct {
	name  *name
	began time.Time
	done  chan struct{}
}

func newNames() *names {
	look := func(ctx context.Context, host string) ([]string, error) {
		return net.DefaultResolver.LookupHost(ctx, host)
	}
	return &names{look: look, patience: lookupPatience, slow: slowPatience, known: map[string]*name{}}
}

// ask begins to look a name up, or joins a lookup that is under way.
func (n *names) ask(ctx context.Context, host string) *lookup {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := n.known[host]
	if k == nil {
		k = &name{}
		n.known[host] = k
	}
	if k.asking == nil {
		k.asking = &lookup{name: k, began: time.Now(), done: make(chan struct{})}
		go n.run(context.WithoutCancel(ctx), host, k.asking)
	}
	return k.asking
}

func (n *names) run(ctx context.Context, host string, l *lookup) {
	ctx, cancel := backend.Within(ctx, lookupMost)
	defer cancel()
	addresses, err := n.look(ctx, host)
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	k := l.name
	k.asking, k.slow = nil, now.Sub(l.began) > n.patience
	failure, failed := errors.AsType[*net.DNSError](err)
	if err == nil || failed && failure.IsNotFound {
		k.addresses, k.answered = addresses[:min(len(addresses), addressesMax)], now
	}
	close(l.done)
}

// answer waits for a lookup as long as that is worth it, and returns the addresses of the name, or those of a former answer; none if the name has none, or
// if that is not known.
func (n *names) answer(ctx context.Context, l *lookup) []string {
	wait := time.NewTimer(n.waits(l))
	defer wait.Stop()
	select {
	case <-l.done:
	case <-wait.C:
	case <-ctx.Done():
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if time.Since(l.name.answered) > staleMost {
		return nil
	}
	return l.name.addresses
}

// waits is how much longer a lookup is waited for.
func (n *names) waits(l *lookup) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l.name.slow {
		return n.slow
	}
	return max(n.slow, n.patience-time.Since(l.began))
}

// keep forgets all names but those.
func (n *names) keep(hosts map[string]bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for host := range n.known {
		if !hosts[host] {
			delete(n.known, host)
		}
	}
}
