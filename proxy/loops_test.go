package proxy

import (
	"testing"

	"weir/config"
)

func TestLoopCount(t *testing.T) {
	for _, c := range []struct{ configured, cores, want int }{
		{0, 1, 1},
		{0, 2, 1},
		{0, 3, 2},
		{0, 4, 3},
		{0, 8, 7},
		{0, 15, 14},
		{0, 16, 14},
		{0, 64, 56},
		{0, 256, 224},
		{0, 1024, config.LoopsMax},
		{1, 8, 1},
		{3, 1, 3},
		{config.LoopsMax, 2, config.LoopsMax},
	} {
		if got := loopCount(c.configured, c.cores); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
