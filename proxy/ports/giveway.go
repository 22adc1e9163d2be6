package ports

import (
	"context"
	"errors"
	"slices"
	"time"

	"weir/proxy/socket"
)

const (
	// handshakes is for how long connections still come that were begun before others were led to the next weir: some round trips.
	handshakes = 250 * time.Millisecond
	// lookEvery is how often Cede looks for the next weir.
	lookEvery = 20 * time.Millisecond
)

// GiveWay leaves the addresses at which the next weir listens already, or will find those that come meanwhile, before this one refuses logins: a
// client finds the one or the other, and is served. It reports whether there is such an address. With keepUnix the unix socket stays.
func (s *Ports) GiveWay(ctx context.Context, keepUnix bool) bool {
	var shared []*port
	diverted, left := false, false
	for _, o := range s.all {
		switch {
		case o.inherited && (o.tcp() || !keepUnix):
			left = true
			o.Close()
		case o.tcp() && !o.inherited && sharedBy(o):
			shared = append(shared, o)
			diverted = o.Descriptor(socket.Divert) == nil || diverted
		}
	}
	if diverted {
		wait(ctx, handshakes)
	}
	for _, o := range shared {
		o.acceptWaiting()
		o.Close()
	}
	return left || len(shared) > 0
}

// wait returns after a time, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	over := time.NewTimer(d)
	defer over.Stop()
	select {
	case <-over.C:
	case <-ctx.Done():
	}
}

// Ceding is how Cede goes about it.
type Ceding struct {
	KeepUnix bool  // the unix socket stays
	AtOnce   bool  // no next weir is waited for
	Beside   Place // an address that is no port; nil: there is none
}

// Cede leaves the addresses to the next weir, and returns when it has them or ctx ends. Until it is there, this one takes cancel requests at
// them. Where it could not see the next one, and where another process gives it the sockets, they are closed at once: clients would wait for
// an answer, or get a refusal, that the next one has for them.
func (s *Ports) Cede(ctx context.Context, how Ceding) {
	var shared []Place
	for _, o := range s.all {
		switch {
		case !o.tcp() && how.KeepUnix:
		case !o.tcp() || o.inherited || how.AtOnce || !ceded(o):
			o.Close()
		default:
			shared = append(shared, o)
		}
	}
	if how.Beside != nil && ceded(how.Beside) {
		shared = append(shared, how.Beside)
	}
	for {
		if shared = slices.DeleteFunc(shared, takenUp); len(shared) == 0 || ctx.Err() != nil {
			return
		}
		wait(ctx, lookEvery)
	}
}

// Place is where the next weir wants to listen.
type Place interface {
	// Descriptor calls f with the socket's, unless it is closed.
	Descriptor(f func(fd int) error) error
	Close()
}

// ceded lets another process listen where a socket does, and reports whether it will be seen.
func ceded(a Place) bool {
	return a.Descriptor(func(fd int) error {
		_, err := socket.Shared(fd)
		return errors.Join(err, socket.Share(fd))
	}) == nil
}

// sharedBy reports whether another process listens at an address.
func sharedBy(a Place) (shared bool) {
	_ = a.Descriptor(func(fd int) (err error) {
		shared, err = socket.Shared(fd)
		return err
	})
	return shared
}

// takenUp closes an address at which another process listens, and reports that.
func takenUp(a Place) bool {
	taken := sharedBy(a)
	if taken {
		a.Close()
	}
	return taken
}
