package authquery

import (
	"math/rand/v2"
	"time"
)

// pace makes an answer that is at hand take as long as one that must be looked up. Otherwise a client that measures a login's first
// answer could tell users who log in often, and those of files, from others and from names that do not exist: it would see whether
// their answers were kept, for its own logins or for the users'.
//
// It draws from what the last lookups took, so that not only the mean is the same. Logins get no slower by it than they would be
// without a cache. Only a client that comes from an address from which the user has logged in before is answered at once (ForFamiliar): a
// stranger there can learn that.
type pace struct {
	last [16]time.Duration
	n    int // noted so far
}

// paceMax bounds the wait: a lookup may have been slow because its server was, which is no reason to make every login so. Where lookups
// take longer, their time tells.
const paceMax = time.Second

func (p *pace) note(took time.Duration) {
	p.last[p.n%len(p.last)] = min(took, paceMax)
	p.n++
}

func (p *pace) draw() time.Duration {
	if p.n == 0 {
		return 0
	}
	return p.last[rand.IntN(min(p.n, len(p.last)))] //nolint:gosec // G404: what is drawn is no secret
}
