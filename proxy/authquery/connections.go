package authquery

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// connectionsMax bounds the connections to all sources together, and with them the lookups at a time. Each takes one of
	// the server's max_connections.
	connectionsMax = 4
	// idleTimeout is when a connection that no lookup needs is closed.
	idleTimeout = time.Minute
	// ageMax ends a connection although it is needed, so that one that leads to a former primary does not live for ever.
	ageMax = 10 * time.Minute
)

// Conn is a session that answers questions, one at a time.
type Conn interface {
	// Ask runs the query for a user.
	Ask(ctx context.Context, query, user string) (Answer, error)
	// Usable tells whether it can be asked again.
	Usable() bool
	// Close ends it and does not wait for long.
	Close()
}

// connectError is a connection that could not be had.
type connectError struct{ err error }

func (e *connectError) Error() string { return "auth_query: " + e.err.Error() }
func (e *connectError) Unwrap() error { return e.err }

// connections lends sessions.
type connections struct {
	connect func(ctx context.Context, s Source) (Conn, error)
	places  chan struct{} // one for each lookup that may be under way

	mu     sync.Mutex
	closed bool
	busy   int
	idle   []*session // the one that was used last at the end; with busy at most connectionsMax
}

type session struct {
	Conn
	source Source
	opened time.Time
	expiry *time.Timer // while it is idle
}

func newConnections(connect func(ctx context.Context, s Source) (Conn, error)) *connections {
	return &connections{connect: connect, places: make(chan struct{}, connectionsMax)}
}

// ask asks over any connection to the question's source. One that has lain idle may have broken since; then another is taken.
func (c *connections) ask(ctx context.Context, q question) (Answer, error) {
	select {
	case c.places <- struct{}{}:
		defer func() { <-c.places }()
	case <-ctx.Done():
		return Answer{}, fmt.Errorf("auth_query: all %d connections for lookups stay in use: %w", connectionsMax, ctx.Err())
	}
	for {
		s := c.reuse(q.Source)
		reused := s != nil
		if !reused {
			var err error
			if s, err = c.open(ctx, q.Source); err != nil {
				return Answer{}, &connectError{err}
			}
		}
		answer, err := s.Ask(ctx, q.Query, q.user)
		c.putBack(s)
		if err == nil || !reused || s.Usable() || ctx.Err() != nil {
			return answer, err
		}
	}
}

// reuse takes the idle session to a source that was used last; nil if there is none. It counts as busy.
func (c *connections) reuse(source Source) *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.idle) - 1; i >= 0; i-- {
		if s := c.idle[i]; s.source == source && s.expiry.Stop() {
			c.idle = slices.Delete(c.idle, i, i+1)
			c.busy++
			return s
		}
	}
	return nil
}

// open makes a session, at the cost of the one that has been idle for longest if there are too many. It counts as busy.
func (c *connections) open(ctx context.Context, source Source) (*session, error) {
	c.mu.Lock()
	c.busy++
	var spare []*session
	for len(c.idle) > 0 && len(c.idle)+c.busy > connectionsMax {
		c.idle[0].expiry.Stop()
		spare = append(spare, c.idle[0])
		c.idle = slices.Delete(c.idle, 0, 1)
	}
	c.mu.Unlock()
	for _, s := range spare {
		s.Close()
	}
	conn, err := c.connect(ctx, source)
	if err == nil {
		if err = guard(ctx, conn, source); err != nil {
			conn.Close()
		}
	}
	if err != nil {
		c.mu.Lock()
		c.busy--
		c.mu.Unlock()
		return nil, err
	}
	return &session{Conn: conn, source: source, opened: time.Now()}, nil
}

// putBack makes a session idle, or closes it.
func (c *connections) putBack(s *session) {
	c.mu.Lock()
	c.busy--
	keep := !c.closed && s.Usable() && time.Since(s.opened) < ageMax
	if keep {
		c.idle = append(c.idle, s)
		s.expiry = time.AfterFunc(idleTimeout, func() { c.expire(s) })
	}
	c.mu.Unlock()
	if !keep {
		s.Close()
	}
}

func (c *connections) expire(s *session) {
	c.mu.Lock()
	c.idle = slices.DeleteFunc(c.idle, func(other *session) bool { return other == s })
	c.mu.Unlock()
	s.Close()
}

// close closes what is idle. Lookups must have ended.
func (c *connections) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.closeIdle()
}
