package backend

import (
	"crypto/md5" //nolint:gosec // G501: the method that PostgreSQL calls md5
	"encoding/hex"
	"fmt"
	"strings"

	"weir/config"
	"weir/proxy/scram"
)

// Substitutes are what weir may log in with where it was not told the password.
type Substitutes struct {
	MD5      config.Secret // "md5" and 32 digits, as stored; serves a server that asks for md5
	Keys     []scram.Keys  // from proofs of clients; the one of the server's own verifier serves
	Verifier bool          // weir has a verifier of this user, though perhaps no keys yet: for messages
}

// CredentialError is a login that ended because the server asks for what weir does not
// have. Another try is of no use until a client has logged in, or the configuration or
// the server's password has changed.
type CredentialError struct {
	User  string
	Asked string // the method
	Lack  Lack
}

// Lack is what keeps weir from answering.
type Lack uint8

const (
	// LackPassword: nothing is known of the user.
	LackPassword Lack = iota
	// LackClear: an md5 hash is known, or a verifier, and the method needs more.
	LackClear
	// LackKeys: a verifier is known, and no client has logged in with it yet.
	LackKeys
	// LackFit: the server's verifier is not the one that weir has.
	LackFit
)

// Error goes on where a sentence says who could not log in.
func (e *CredentialError) Error() string {
	switch e.Lack {
	case LackClear:
		return fmt.Sprintf("the server asks for %s, for which what weir has stored for user %q does not serve", e.Asked, e.User)
	case LackKeys:
		return fmt.Sprintf("the server asks for %s, and weir has only a SCRAM verifier of user %q, whose key no client's login has shown yet", e.Asked, e.User)
	case LackFit:
		return fmt.Sprintf("the server asks for %s, and its verifier of user %q is not the one that weir has", e.Asked, e.User)
	case LackPassword:
	}
	return fmt.Sprintf("the server asks for %s, and weir has no password of user %q", e.Asked, e.User)
}

// lack is what is missing for a method other than SCRAM.
func (s Substitutes) lack() Lack {
	if s.MD5.IsSet() || s.Verifier || len(s.Keys) > 0 {
		return LackClear
	}
	return LackPassword
}

// lackOfKeys is what is missing for SCRAM where no key fits.
func (s Substitutes) lackOfKeys() Lack {
	switch {
	case len(s.Keys) > 0:
		return LackFit
	case s.Verifier:
		return LackKeys
	}
	return s.lack()
}

// md5Stored is what a server stores of a password as "md5".
func md5Stored(password, user string) string {
	sum := md5.Sum([]byte(password + user)) //nolint:gosec // G401: see the import
	return "md5" + hex.EncodeToString(sum[:])
}

// md5Answer is what a server wants to hear that has sent a salt: the stored digits, hashed once more.
func md5Answer(stored string, salt []byte) string {
	sum := md5.Sum(append([]byte(strings.TrimPrefix(stored, "md5")), salt...)) //nolint:gosec // G401: see the import
	return "md5" + hex.EncodeToString(sum[:])
}
