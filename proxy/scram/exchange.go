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

// Exchange is the client's side of one SCRAM exchange, out of keys instead of a password. Call First, Final and Verify, in
// that order.
type Exchange struct {
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

// CouldBind is for an exchange without a binding, before First, where only the server's offer lacked: a server that did make the
// offer learns from it that somebody in between has taken it away (RFC 5802, section 6).
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

// Final answers the server's first message. ErrNoKey is an exchange that ends here: nothing was proved, nothing given away.
func (x *Exchange) Final(serverFirst string) (string, error) {
	nonce, salt, iterations, err := parseServerFirst(serverFirst)
	switch {
	case err != nil:
		return "", err
	case len(nonce) <= len(x.nonce) || !strings.HasPrefix(nonce, x.nonce):
		return "", errors.New("the server's nonce does not go on from ours")
	}
	for _, k := range x.candidates {
		if k.fits(salt, iterations) {
			x.keys = k
			break
		}
	}
	if !x.keys.IsSet() {
		return "", ErrNoKey
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

// Verify checks the server's last message: that it knows the verifier, too, and is not somebody in between.
func (x *Exchange) Verify(serverFinal string) error {
	if why, failed := strings.CutPrefix(serverFinal, "e="); failed {
		return fmt.Errorf("the server ended the exchange: %q", why)
	}
	text, ok := strings.CutPrefix(serverFinal, "v=")
	signature, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || !x.keys.IsSet() {
		return errors.New("the server's last message is malformed")
	}
	if subtle.ConstantTimeCompare(signature, MAC(x.keys.k.serverKey[:], x.auth)) != 1 {
		return errors.New("the server does not know the password's verifier: it may be somebody in between")
	}
	return nil
}

// parseServerFirst reads r=nonce,s=salt,i=iterations, perhaps with extensions behind, which are ignored.
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
	salt, err = base64.StdEncoding.DecodeString(salt64)
	if err != nil || len(salt) == 0 {
		return "", nil, 0, malformed
	}
	iterations, err = strconv.Atoi(count)
	if err != nil || iterations < 1 {
		return "", nil, 0, malformed
	}
	return nonce, salt, iterations, nil
}
