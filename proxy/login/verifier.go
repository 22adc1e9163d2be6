package login

import (
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // G501: the method that PostgreSQL calls md5
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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
	verifier verifier // of formSCRAM
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
	if v, ok := parseVerifier(text); ok {
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

// verifier is what SCRAM's server side needs to know of a password (RFC 5802, section 3).
type verifier struct {
	salt       []byte
	iterations int
	storedKey  [sha256.Size]byte
	serverKey  [sha256.Size]byte
}

// parseVerifier reads pg_authid.rolpassword's form.
func parseVerifier(text string) (verifier, bool) {
	var v verifier
	rest, ok := strings.CutPrefix(text, "SCRAM-SHA-256$")
	parameters, keys, ok2 := strings.Cut(rest, "$")
	iterations, salt, ok3 := strings.Cut(parameters, ":")
	stored, server, ok4 := strings.Cut(keys, ":")
	if !ok || !ok2 || !ok3 || !ok4 {
		return v, false
	}
	n, err := strconv.ParseInt(iterations, 10, 32)
	if err != nil || n < 1 {
		return v, false
	}
	v.iterations = int(n)
	if v.salt, err = base64.StdEncoding.DecodeString(salt); err != nil || len(v.salt) == 0 {
		return v, false
	}
	return v, decodeKey(v.storedKey[:], stored) && decodeKey(v.serverKey[:], server)
}

func decodeKey(key []byte, text string) bool {
	b, err := base64.StdEncoding.DecodeString(text)
	return err == nil && copy(key, b) == len(key) && len(b) == len(key)
}

// deriveVerifier computes a password's verifier. It costs about a millisecond of CPU time at 4096 iterations, by design.
func deriveVerifier(password string, salt []byte, iterations int) verifier {
	salted, err := pbkdf2.Key(sha256.New, saslprep(password), salt, iterations, sha256.Size)
	if err != nil {
		panic("login: pbkdf2: " + err.Error()) // fails for a key length or, in FIPS mode, a salt that we never ask for
	}
	v := verifier{salt: salt, iterations: iterations}
	v.storedKey = sha256.Sum256(mac(salted, "Client Key"))
	copy(v.serverKey[:], mac(salted, "Server Key"))
	return v
}

func mac(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

// What PostgreSQL takes for new verifiers, and so for those that weir derives or feigns: SCRAM_SHA_256_DEFAULT_ITERATIONS,
// SCRAM_DEFAULT_SALT_LEN and SCRAM_RAW_NONCE_LEN in src/include/common/scram-common.h.
const (
	scramIterations = 4096
	scramSaltLen    = 16
	scramNonceLen   = 18
)

// derivedMax bounds the verifiers that are kept, each of about 300 bytes. Beyond it an arbitrary one makes room: its user
// costs one more derivation.
const derivedMax = 10_000

// Verifiers makes SCRAM verifiers: from passwords stored in clear text, once each, and from nothing for users that do not
// exist. It is made once a process and is safe for concurrent use.
//
// Salts come from the user's name and a secret. So an unknown user has the same salt each time, as a known one has; and a
// verifier that was dropped and derived again is the same one. What an attacker can still see is a user whose stored verifier
// has another number of iterations or another length of salt than PostgreSQL's defaults, as with PostgreSQL itself.
type Verifiers struct {
	secret  []byte
	working chan struct{} // one place for each derivation that may run at a time

	mu      sync.Mutex
	derived map[string]*derivation // by user
}

type derivation struct {
	password []byte // a keyed digest: what the verifier belongs to
	once     sync.Once
	done     atomic.Bool
	verifier verifier
}

// NewVerifiers takes a secret that strangers must not know. With nil it draws one; then unknown users change their salt when
// weir starts again, or when another weir answers, and users with a stored verifier do not. A secret that is the same for all
// weirs of a service hides that, too.
func NewVerifiers(secret []byte) *Verifiers {
	if secret == nil {
		secret = make([]byte, sha256.Size)
		_, _ = rand.Read(secret) // never fails: crypto/rand, from Go 1.24
	}
	return &Verifiers{
		secret: secret,
		// Half of the processors at most: a flood of logins must not take the event loops' time.
		working: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		derived: make(map[string]*derivation),
	}
}

func (v *Verifiers) salt(user string) []byte {
	return mac(v.secret, "salt\x00", user)[:scramSaltLen]
}

// ofClear returns the verifier of a user whose password is stored in clear text. If it must be derived first, that is done apart.
func (v *Verifiers) ofClear(apart func(func()), user, password string) verifier {
	digest := mac(v.secret, "password\x00", password)
	v.mu.Lock()
	d := v.derived[user]
	if d == nil || subtle.ConstantTimeCompare(d.password, digest) == 0 {
		if d == nil && len(v.derived) >= derivedMax {
			for other := range v.derived {
				delete(v.derived, other)
				break
			}
		}
		d = &derivation{password: digest}
		v.derived[user] = d
	}
	v.mu.Unlock()
	if !d.done.Load() {
		apart(func() {
			d.once.Do(func() {
				d.verifier = v.derive(password, v.salt(user), scramIterations)
				d.done.Store(true)
			})
		})
	}
	return d.verifier
}

// derive is deriveVerifier, as soon as there is a place. The wait cannot be cut short: each of those before it takes about a
// millisecond.
func (v *Verifiers) derive(password string, salt []byte, iterations int) verifier {
	v.working <- struct{}{}
	defer func() { <-v.working }()
	return deriveVerifier(password, salt, iterations)
}

// feigned is the verifier of a user that has none: well-formed, and matched by no password that anybody knows.
func (v *Verifiers) feigned(user string) verifier {
	f := verifier{salt: v.salt(user), iterations: scramIterations}
	copy(f.storedKey[:], mac(v.secret, "stored key\x00", user))
	copy(f.serverKey[:], mac(v.secret, "server key\x00", user))
	return f
}

// same compares two secrets of unknown length in a time that tells nothing of either.
func (v *Verifiers) same(a, b string) bool {
	return subtle.ConstantTimeCompare(mac(v.secret, a), mac(v.secret, b)) == 1
}
