package accounts

import (
	"time"

	"weir/proxy/bounded"
)

// familiar is a user and an address that it has logged in from. A login from there is answered at once, although the time then tells that
// the user exists: a stranger at that address can see it log in anyway.
type familiar struct{ user, from string }

const (
	familiarFor = time.Hour // since the last login
	familiarMax = 10_000    // beyond it an arbitrary one makes room, about 200 bytes each
)

// isFamiliar reports whether the user has logged in from there.
func (a *Accounts) isFamiliar(f familiar) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, ok := a.familiar[f]
	return ok && time.Since(at) < familiarFor
}

// BecameFamiliar notes a login from an address, which has proved to be of that user.
func (a *Accounts) BecameFamiliar(user, from string) {
	if !a.current.Load().Config.LooksUp() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	bounded.Put(a.familiar, familiarMax, familiar{user, from}, time.Now())
}
