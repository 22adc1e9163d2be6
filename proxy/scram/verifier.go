// Package scram has what both sides of SCRAM-SHA-256 compute: weir is the server towards its clients (package login) and a
// client towards PostgreSQL (package backend), and between the two a client's key is handed on.
//
//	https://www.rfc-editor.org/rfc/rfc5802 the exchange
//	https://www.rfc-editor.org/rfc/rfc7677 with SHA-256
//	https://www.postgresql.org/docs/current/sasl-authentication.html in PostgreSQL's messages
//
// It is pure: functions of bytes and secrets, no connection, no clock, no chance of its own. It may import
// golang.org/x/text (for SASLprep) and nothing of weir's.
package scram

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
)

// The mechanisms' names in PostgreSQL's messages.
const (
	Mechanism     = "SCRAM-SHA-256"
	MechanismPlus = "SCRAM-SHA-256-PLUS" // bound to the TLS connection
)

// What PostgreSQL takes for new verifiers: SCRAM_SHA_256_DEFAULT_ITERATIONS, SCRAM_DEFAULT_SALT_LEN and SCRAM_RAW_NONCE_LEN
// in src/include/common/scram-common.h.
const (
	DefaultIterations = 4096
	SaltLen           = 16 // bytes
	NonceLen          = 18 // bytes, before base64
)

// KeyLen is the length of every key, in bytes.
const KeyLen = sha256.Size

// Verifier is what the server's side needs to know of a password (RFC 5802, section 3). It logs in nowhere, but its holder can try
// passwords as fast as it can compute.
type Verifier struct {
	Salt       []byte
	Iterations int
	StoredKey  [KeyLen]byte
	ServerKey  [KeyLen]byte
}

// ParseVerifier reads the form that pg_authid.rolpassword has: SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey.
func ParseVerifier(text string) (Verifier, bool) {
	var v Verifier
	rest, ok := strings.CutPrefix(text, Mechanism+"$")
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
	v.Iterations = int(n)
	if v.Salt, err = base64.StdEncoding.DecodeString(salt); err != nil || len(v.Salt) == 0 {
		return v, false
	}
	return v, decodeKey(v.StoredKey[:], stored) && decodeKey(v.ServerKey[:], server)
}

func decodeKey(key []byte, text string) bool {
	b, err := base64.StdEncoding.DecodeString(text)
	return err == nil && copy(key, b) == len(key) && len(b) == len(key)
}

// Derive computes a password's verifier, and the keys with which its owner logs in. It costs about a millisecond of CPU time
// at 4096 iterations, by design.
func Derive(password string, salt []byte, iterations int) (Verifier, Keys) {
	salted, err := pbkdf2.Key(sha256.New, saslprep(password), salt, iterations, KeyLen)
	if err != nil {
		panic("scram: pbkdf2: " + err.Error()) // fails for a key length or, in FIPS mode, a salt that we never ask for
	}
	v := Verifier{Salt: salt, Iterations: iterations}
	var clientKey [KeyLen]byte
	copy(clientKey[:], MAC(salted, "Client Key"))
	copy(v.ServerKey[:], MAC(salted, "Server Key"))
	v.StoredKey = sha256.Sum256(clientKey[:])
	return v, v.keys(clientKey)
}

// Check reports whether a proof fits, and then returns the keys that it gives away: the proof is the client's key, masked
// with what the server can compute (RFC 5802, section 3). auth is the AuthMessage.
func (v *Verifier) Check(proof [KeyLen]byte, auth string) (Keys, bool) {
	var key [KeyLen]byte
	subtle.XORBytes(key[:], proof[:], MAC(v.StoredKey[:], auth))
	got := sha256.Sum256(key[:])
	if subtle.ConstantTimeCompare(got[:], v.StoredKey[:]) != 1 {
		return Keys{}, false
	}
	return v.keys(key), true
}

// Signature is the server's proof that it knows the verifier.
func (v *Verifier) Signature(auth string) []byte { return MAC(v.ServerKey[:], auth) }

func (v *Verifier) keys(clientKey [KeyLen]byte) Keys {
	return Keys{&keys{bytes.Clone(v.Salt), v.Iterations, clientKey, v.ServerKey}}
}

// Keys log their owner in to every server that has the verifier which they were made for, and to no other: they are not the
// password, and it cannot be computed from them. However they are printed, they show as ***. The zero value is no keys.
type Keys struct {
	k *keys // a pointer, so that package fmt does not print it in structs that hold Keys in an unexported field
}

type keys struct {
	salt                 []byte
	iterations           int
	clientKey, serverKey [KeyLen]byte
}

// IsSet tells whether there are keys.
func (k Keys) IsSet() bool { return k.k != nil }

// Equal tells whether two are of one verifier and one password.
func (k Keys) Equal(o Keys) bool {
	if k.k == nil || o.k == nil {
		return k.k == o.k
	}
	return k.fits(o.k.salt, o.k.iterations) && subtle.ConstantTimeCompare(k.k.clientKey[:], o.k.clientKey[:]) == 1 &&
		subtle.ConstantTimeCompare(k.k.serverKey[:], o.k.serverKey[:]) == 1
}

// fits tells whether a server that salts so can have the verifier of these keys.
func (k Keys) fits(salt []byte, iterations int) bool {
	return k.k != nil && k.k.iterations == iterations && bytes.Equal(k.k.salt, salt)
}

// String is *** if they are set, and empty if not.
func (k Keys) String() string {
	if k.k == nil {
		return ""
	}
	return "***"
}

// Format prints String for every verb.
func (k Keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// LogValue keeps them out of logs.
func (k Keys) LogValue() slog.Value { return slog.StringValue(k.String()) }
