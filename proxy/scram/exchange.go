package scram

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrNoKey is a server that salts as none of the keys does: its password is another, or it is the same one salted anew.
var ErrNoKey = errors.New("no known key fits the server's salt")

// IterationsMax bounds the iterations that weir computes for others: a server's for a login with a password, a stored verifier's
// for a client that sends its password in clear. They take half a second of CPU time or more; PostgreSQL takes 4096
// unless scram_iterations says otherwise, and allows 2,147,483,647, which take a quarter of an hour or more.
const IterationsMax = 1_000_000

// TooManyIterations is a server, or a verifier, that asks for more work than weir does.
type TooManyIterations int

func (e TooManyIterations) Error() string {
	return fmt.Sprintf("the password's SCRAM verifier has %d iterations, and weir computes at most %d", int(e), IterationsMax)
}

// Exchange is the client's side of one SCRAM exchange, out of a password or of keys. Call First, Final and Verify, in
// that order.
type Exchange struct {
	password   string // "": candidates
	candidates []Keys
	gs2        string // header of the client's first message
	binding    []byte
	nonce      string
	keys       Keys   // of candidates: those that fit; set by Final
	auth       string // AuthMessage; set by Final
}

// NewExchange begins an exchange with whichever of the keys fits the server's salt. The nonce is random and printable, without
// a comma. binding is the server certificate's hash (tls-server-end-point, RFC 5929) where the exchange is to be bound to the
// TLS connection, which is MechanismPlus; nil is Mechanism.
func NewExchange(candidates []Keys, nonce string, binding []byte) *Exchange {
	x := &Exchange{candidates: candidates, nonce: nonce, binding: binding, gs2: "n,,"}
	if binding != nil {
		x.gs2 = "p=tls-server-end-point,,"
	}
	return x
}

// NewPasswordExchange begins an exchange with a password. The rest is as in NewExchange.
func NewPasswordExchange(password, nonce string, binding []byte) *Exchange {
	x := NewExchange(nil, nonce, binding)
	x.password = password
	return x
}

// CouldBind is for an exchange without a binding, before First, where only the server's offer lacked: a server that did make the
// offer learns from it that a machine in between has taken it away (RFC 5802, section 6).
func (x *Exchange) CouldBind() { x.gs2 = "y,," }

// Mechanism is the one that the first message chooses.
func (x *Exchange) Mechanism() string {
	if x.binding != nil {
		return MechanismPlus
	}
	return Mechanism
}

// bare is the client's first message without its header. PostgreSQL takes the user from the startup packet.
func (x *Exchange) bare() string { return "n=,r=" + x.nonce }

// First is the client's first message.
func (x *Exchange) First() string { return x.gs2 + x.bare() }

// Final answers the server's first message. ErrNoKey and TooManyIterations are an exchange that ends here: nothing was proved,
// nothing given away. With a password it costs the CPU time that the server's iterations take.
func (x *Exchange) Final(serverFirst string) (string, error) {
	nonce, salt, iterations, err := parseServerFirst(serverFirst)
	switch {
	case err != nil:
		return "", err
	case len(nonce) <= len(x.nonce) || !strings.HasPrefix(nonce, x.nonce):
		return "", errors.New("the server's nonce does not go on from ours")
	}
	if x.keys, err = x.choose(salt, iterations); err != nil {
		return "", err
	}
	binding := base64.StdEncoding.EncodeToString(append([]byte(x.gs2), x.binding...))
	withoutProof := "c=" + binding + ",r=" + nonce
	x.auth = x.bare() + "," + serverFirst + "," + withoutProof
	clientKey := x.keys.k.clientKey
	storedKey := sha256.Sum256(clientKey[:])
	var proof [KeyLen]byte
	subtle.XORBytes(proof[:], clientKey[:], MAC(storedKey[:], x.auth))
	return withoutProof + ",p=" + base64.StdEncoding.EncodeToString(proof[:]), nil
}

// choose finds the keys for a server that salts so.
func (x *Exchange) choose(salt []byte, iterations int) (Keys, error) {
	if x.password != "" {
		if iterations > IterationsMax {
			return Keys{}, TooManyIterations(iterations)
		}
		_, keys := Derive(x.password, salt, iterations)
		return keys, nil
	}
	for _, k := range x.candidates {
		if k.fits(salt, iterations) {
			return k, nil
		}
	}
	return Keys{}, ErrNoKey
}

// Verify checks the server's last message: that it knows the verifier, too, and is no machine in between.
func (x *Exchange) Verify(serverFinal string) error {
	if why, failed := strings.CutPrefix(serverFinal, "e="); failed {
		return fmt.Errorf("the server ended the exchange: %q", why)
	}
	text, ok := strings.CutPrefix(serverFinal, "v=")
	signature, ok2 := Decode(text)
	if !ok || !ok2 || !x.keys.IsSet() {
		return errors.New("the server's last message is malformed")
	}
	if subtle.ConstantTimeCompare(signature, MAC(x.keys.k.serverKey[:], x.auth)) != 1 {
		return errors.New("the server does not know the password's verifier: it may be a machine in between")
	}
	return nil
}

// parseServerFirst reads r=nonce,s=salt,i=iterations, perhaps followed by extensions, which are ignored.
func parseServerFirst(message string) (nonce string, salt []byte, iterations int, err error) {
	malformed := errors.New("the server's first message is malformed")
	r, rest, ok := strings.Cut(message, ",")
	s, rest, ok2 := strings.Cut(rest, ",")
	i, _, _ := strings.Cut(rest, ",")
	nonce, ok3 := strings.CutPrefix(r, "r=")
	salt64, ok4 := strings.CutPrefix(s, "s=")
	count, ok5 := strings.CutPrefix(i, "i=")
	if !ok || !ok2 || !ok3 || !ok4 || !ok5 {
		return "", nil, 0, malformed
	}
	salt, ok = Decode(salt64)
	if !ok || len(salt) == 0 || !isNonce(nonce) {
		return "", nil, 0, malformed
	}
	n, err := strconv.ParseUint(count, 10, 31) // which takes no sign
	if err != nil || n == 0 {
		return "", nil, 0, malformed
	}
	return nonce, salt, int(n), nil
}

// isNonce tells whether those are the characters of one: printable, without a comma (RFC 5802, section 7).
func isNonce(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < 0x21 || r > 0x7e || r == ',' })
}

// Decode reads base64 to the letter: Go's own decoder skips line ends, and bits that do not count.
func Decode(text string) ([]byte, bool) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, false
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	return b, err == nil
}
