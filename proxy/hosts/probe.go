package hosts

import (
	"context"
	"time"

	"weir/proxy/backend"
)

// probe finds out, while nobody waits for it, whether servers that were silent answer again. They come last until then, and would never be tried while
// another one will do.
func (h *Hosts) probe(ctx context.Context, passed []backend.Target) {
	for _, t := range passed {
		if !h.beginProbe(t) {
			continue
		}
		go h.look(context.WithoutCancel(ctx), t) // the dial that has brought it up may be over before
	}
}

// probeMost bounds a probe where server_connect_timeout does not.
const probeMost = time.Minute

func (h *Hosts) look(ctx context.Context, t backend.Target) {
	ctx, stop := backend.Within(ctx, probeMost)
	defer stop()
	began := time.Now()
	conn, err := backend.Dial(ctx, t)
	var role backend.Role
	if err == nil {
		role = conn.Role()
		_ = conn.Net.Close()
	}
	h.endProbe(t, role, err, time.Since(began))
}

// beginProbe reports whether a server is to be probed: it was silent, and its back-off is over.
func (h *Hosts) beginProbe(t backend.Target) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.known[hostKeyOf(t)]
	if s == nil || !s.silent || s.probed || time.Now().Before(s.retry) {
		return false
	}
	s.probed = true
	return true
}

func (h *Hosts) endProbe(t backend.Target, role backend.Role, err error, took time.Duration) {
	h.tell(t, role, err, took, true)
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.known[hostKeyOf(t)]; s != nil {
		s.probed = false
	}
}
