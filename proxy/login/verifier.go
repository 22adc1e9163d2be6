package login

import (
	"crypto/md5" //nolint:gosec // G501: the method that PostgreSQL calls md5
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"weir/config"
	"weir/proxy/bounded"
	"weir/proxy/scram"
)

// form is how a user's password is stored.
type form uint8

const (
	formNone  form = iota // there is no such user, or nothing is stored for it
	formClear             // the password itself
	formMD5               // "md5" and the hexadecimal md5 of password and user
	formSCRAM             // SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey
)

// stored is what is known about a user. text must not reach a log.
type stored struct {
	form     form
	text     string
	verifier scram.Verifier // of formSCRAM
}

// parseStored tells the forms apart as get_password_type in PostgreSQL's src/backend/libpq/crypt.c does: what is almost a
// hash or a verifier is a password in clear text.
func parseStored(text string) stored {
	if text == "" {
		return stored{}
	}
	if rest, ok := strings.CutPrefix(text, "md5"); ok && len(rest) == 32 && strings.Trim(rest, "0123456789abcdef") == "" {
		return stored{form: formMD5, text: text}
	}
	if v, ok := scram.ParseVerifier(text); ok {
		return stored{form: formSCRAM, text: text, verifier: v}
	}
	return stored{form: formClear, text: text}
}

// md5Hash is the stored form: "md5" and the md5 of password and user.
func md5Hash(password, user string) string {
	sum := md5.Sum([]byte(password + user)) //nolint:gosec // G401: see the import
	return "md5" + hex.EncodeToString(sum[:])
}

// md5Response is what a client must answer to a salt: the stored form's digits, hashed once more.
func md5Response(hash string, salt [4]byte) string {
	sum := md5.Sum(append([]byte(strings.TrimPrefix(hash, "md5")), salt[:]...)) //nolint:gosec // G401: see the import
	return "md5" + hex.EncodeToString(sum[:])
}

// derivedMax bounds the verifiers that are kept, each of about 300 bytes. Beyond it an arbitrary one makes room: its user
// costs one more derivation.
const derivedMax = 10_000

// iterationsMax bounds what weir itself computes of a password: a quarter of a second. A verifier that asks for more cannot be compared
// with a password in clear text; with SCRAM the client computes.
const iterationsMax = 1_000_000

// Verifiers makes SCRAM verifiers: from passwords stored in clear text, once each, and from nothing for users that do not
// exist. It is safe for concurrent use.
type Verifiers struct {
	*feigner
	key     []byte        // of this process, for comparisons
	working chan struct{} // one place for each derivation that may run at a time

	mu      sync.Mutex
	derived map[string]*derivation // by user
}

type derivation struct {
	password []byte // a keyed digest: what the verifier belongs to
	once     sync.Once
	done     atomic.Bool
	verifier scram.Verifier
}

// NewVerifiers takes the iterations for passwords that are stored in clear text, a secret that strangers must not know, and what is stored for
// the users that are known. Weirs with the same of these show strangers the same of users that do not exist. With a nil secret it draws one;
// then that changes when weir starts again, and users with a stored verifier do not.
func NewVerifiers(iterations int, secret []byte, known ...config.Secret) *Verifiers {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails: crypto/rand, from Go 1.24
	return &Verifiers{
		feigner: newFeigner(secret, iterations, known),
		key:     key,
		// Half of the processors at most: a flood of logins must not take the event loops' time.
		working: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		derived: make(map[string]*derivation),
	}
}

// ofClear returns the verifier of a user whose password is stored in clear text. If it must be derived first, that is done apart.
func (v *Verifiers) ofClear(apart func(func()), user, password string) scram.Verifier {
	digest := scram.MAC(v.key, "password\x00", password)
	v.mu.Lock()
	d := v.derived[user]
	if d == nil || subtle.ConstantTimeCompare(d.password, digest) == 0 {
		d = &derivation{password: digest}
		bounded.Put(v.derived, derivedMax, user, d)
	}
	v.mu.Unlock()
	if !d.done.Load() {
		apart(func() {
			d.once.Do(func() {
				d.verifier, _ = v.derive(password, v.salt(user, scram.SaltLen), v.iterations)
				d.done.Store(true)
			})
		})
	}
	return d.verifier
}

// derive is scram.Derive, as soon as there is a place. The wait cannot be cut short: each of those before it takes about a
// millisecond.
func (v *Verifiers) derive(password string, salt []byte, iterations int) (scram.Verifier, scram.Keys) {
	v.working <- struct{}{}
	defer func() { <-v.working }()
	return scram.Derive(password, salt, iterations)
}

// same compares two secrets of unknown length in a time that tells nothing of either.
func (v *Verifiers) same(a, b string) bool {
	return subtle.ConstantTimeCompare(scram.MAC(v.key, a), scram.MAC(v.key, b)) == 1
}
