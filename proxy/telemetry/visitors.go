package telemetry

import (
	"net"
	"net/http"
	"sync"
)

// visitors bounds the connections over HTTP: one too many has the one closed that has done nothing for longest, idle ones first. Who asks
// and reads is served in a moment, so what is closed under a flood is the flood.
type visitors struct {
	most int

	mu    sync.Mutex
	turn  uint64
	there map[net.Conn]visit
}

type visit struct {
	idle bool
	turn uint64 // when that has begun
}

func newVisitors(most int) *visitors { return &visitors{most: most, there: map[net.Conn]visit{}} }

// changed is http.Server's ConnState.
func (v *visitors) changed(nc net.Conn, to http.ConnState) {
	if out := v.note(nc, to); out != nil {
		go func() { _ = out.Close() }() // TLS says goodbye first, which may take its time
	}
}

// note enters what a connection is doing now, and returns the one that must make room for it, or nil.
func (v *visitors) note(nc net.Conn, to http.ConnState) (out net.Conn) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch _, known := v.there[nc]; {
	case to == http.StateClosed, to == http.StateHijacked:
		delete(v.there, nc)
		return nil
	case to == http.StateNew && len(v.there) >= v.most:
		out = v.longest()
		delete(v.there, out)
	case to != http.StateNew && !known: // it has been closed to make room
		return nil
	}
	v.turn++
	v.there[nc] = visit{to == http.StateIdle, v.turn}
	return out
}

// longest is the connection that has been idle for longest; if none is, the one whose state is the oldest.
func (v *visitors) longest() (found net.Conn) {
	var best visit
	for nc, now := range v.there {
		if found == nil || now.idle && !best.idle || now.idle == best.idle && now.turn < best.turn {
			found, best = nc, now
		}
	}
	return found
}
