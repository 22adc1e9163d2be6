package replication

import (
	"context"
	"time"

	"weir/proxy/generation"
	"weir/proxy/pgerror"
)

// patience is how long a client waits, in all, for what it needs before its backend is dialled.
type patience struct {
	ctx    context.Context
	after  time.Duration
	timer  *time.Timer // nil without a limit
	look   *time.Ticker
	hungUp func() bool
}

// lookEvery is how often it is looked whether the client that waits is still there.
const lookEvery = time.Second

func newPatience(ctx context.Context, after time.Duration, hungUp func() bool) *patience {
	p := &patience{ctx: ctx, after: after, look: time.NewTicker(lookEvery), hungUp: hungUp}
	if after > 0 {
		p.timer = time.NewTimer(after)
	}
	return p
}

func (p *patience) end() {
	p.look.Stop()
	if p.timer != nil {
		p.timer.Stop()
	}
}

// until waits for something on a channel. over says that the time is up; an error is for a client that is gone, or a weir that stops.
func (p *patience) until(something <-chan struct{}) (over bool, err *pgerror.Error) {
	var timeout <-chan time.Time // never without a limit
	if p.timer != nil {
		timeout = p.timer.C
	}
	for {
		select {
		case <-something:
			return false, nil
		case <-p.look.C:
			if p.hungUp() {
				return false, pgerror.Canceled.WithSeverity(pgerror.SeverityFatal) // no client reads it
			}
		case <-p.ctx.Done():
			return false, pgerror.ShuttingDown
		case <-timeout:
			return true, nil
		}
	}
}

// inVain is what the client is told that has waited for too long.
func (p *patience) inVain(pool generation.PoolKey, setting string, value int, section string) *pgerror.Error {
	return pgerror.NoBackend(pgerror.Wait{
		After: p.after, Pool: pool.String(), Setting: setting, Value: value, Section: section,
	}).WithSeverity(pgerror.SeverityFatal)
}
