package dial

import (
	"slices"
	"sync"

	"weir/config"
	"weir/proxy/backend"
	"weir/proxy/bounded"
	"weir/proxy/generation"
	"weir/proxy/login"
	"weir/proxy/scram"
)

// Credentials are what weir knows to log in to servers with, as users whose logins have shown it. Its methods may be called on any
// goroutine.
type Credentials struct {
	mu    sync.Mutex
	shown map[generation.PoolKey]shown
}

func newCredentials() *Credentials { return &Credentials{shown: map[generation.PoolKey]shown{}} }

// shown is what a user's last logins have shown: what was stored, and the keys of SCRAM that their proofs gave away, the last
// ones first.
type shown struct {
	stored config.Secret
	keys   []scram.Keys
}

// shownMax bounds the users of whom something is kept, about 400 bytes each. Beyond it an arbitrary one makes room: the next
// backend for it waits until it has logged in once more.
const shownMax = 100_000

// keysMax bounds the keys of a user. While a password is being changed two verifiers may be about.
const keysMax = 2

// Learn keeps what a login has shown, and reports whether that was new.
func (a *Credentials) Learn(g *generation.Generation, key generation.PoolKey, account login.Account, keys scram.Keys) bool {
	if _, own := g.Config.Account(key.User); own {
		account.Stored = config.Secret{} // what the configuration says counts, and need not be kept twice
	}
	if !account.Stored.IsSet() && !keys.IsSet() {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.shown[key]
	same := known.stored.Reveal() == account.Stored.Reveal()
	known.stored = account.Stored
	if keys.IsSet() && !slices.ContainsFunc(known.keys, keys.Equal) {
		known.keys = append([]scram.Keys{keys}, known.keys[:min(len(known.keys), keysMax-1)]...)
		same = false
	}
	bounded.Put(a.shown, shownMax, key, known)
	return !same
}

// of is what weir can log in to a server with, as the user of a pool whose database names no password.
func (a *Credentials) of(g *generation.Generation, key generation.PoolKey) (password config.Secret, s backend.Substitutes) {
	a.mu.Lock()
	shown := a.shown[key]
	a.mu.Unlock()
	stored, known := g.Config.Account(key.User)
	if !known {
		stored = shown.stored
	}
	s.Keys = shown.keys
	switch stored.Form() {
	case config.FormClear:
		password = stored
	case config.FormMD5:
		s.MD5 = stored
	case config.FormSCRAM:
		s.Verifier = true
	case config.FormNone:
	}
	return password, s
}
