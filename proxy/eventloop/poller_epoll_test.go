//go:build linux

package eventloop

import (
	"math"
	"testing"
	"time"
)

func TestMilliseconds(t *testing.T) {
	for d, want := range map[time.Duration]int{
		-1: -1, 0: 0, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, time.Second: 1000,
		30 * 24 * time.Hour: math.MaxInt32, math.MaxInt64: math.MaxInt32, // the kernel would read the lower half of more
	} {
		if got := milliseconds(d); got != want {
			t.Errorf("%v: %d, want %d", d, got, want)
		}
	}
}
