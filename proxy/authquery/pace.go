package authquery

import (
	"math/rand/v2"
	"time"
)

// pace makes an answer that is at hand take as long as one that must be looked up. Else whoever measures a login's first answer
// could tell users who log in often, and those of files, from others and from names that do not exist: he would see whether
// their answers were kept, by himself or by the users' own logins.
//
// It draws from what the last lookups took, so that not only the mean is the same. Logins get no slower by it than they would be
// without a cache. Only who has logged in as the user from the same address before is answered at once (ForFamiliar): what a stranger
// there can learn is that.
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
