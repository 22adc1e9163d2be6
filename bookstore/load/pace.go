package load

import (
	"context"
	"time"
)

// pace says when the requests of an open loop are due: evenly, whatever became of the ones before.
type pace struct {
	start time.Time
	rate  float64 // a second; positive
}

func (p pace) due(n int64) time.Time {
	return p.start.Add(time.Duration(float64(n) / p.rate * float64(time.Second)))
}

// sleepUntil returns false when ctx ended first.
func sleepUntil(ctx context.Context, t time.Time) bool {
	d := time.Until(t)
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
