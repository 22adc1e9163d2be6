package backend

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"weir/proxy/scram"
	"weir/proxy/wire"
)

// auth answers the server's question for a password, with the password or with a substitute. It answers once: a server that has an
// answer and asks again wants what it must not get.
type auth struct {
	target      *Target
	certificate *x509.Certificate // the server's; nil without TLS
	stage       authStage
	exchange    *scram.Exchange // from authFirstSent on
}

// authStage is how far the authentication has come.
type authStage uint8

const (
	authUnasked   authStage = iota // the server has asked for nothing. Then: any but authProved
	authAnswered                   // the password was sent, or its hash. Then: authDone
	authFirstSent                  // SCRAM: the client's first message was sent. Then: authFinalSent
	authFinalSent                  // SCRAM: its proof was sent. Then: authProved
	authProved                     // SCRAM: the server has proved that it knows the verifier. Then: authDone
	authDone                       // AuthenticationOk
)

var authStageNames = [...]string{"unasked", "answered", "first message sent", "proof sent", "server proved", "done"}

func (s authStage) String() string { return authStageNames[s] }

// answer takes an Authentication message, and returns what the server is to hear, nil for nothing.
func (a *auth) answer(body []byte) ([]byte, error) {
	kind, data, err := wire.PeekAuthentication(body)
	if err != nil {
		return nil, protocolError("an Authentication message of %d bytes", len(body))
	}
	switch kind {
	case wire.AuthOk:
		return nil, a.letIn()
	case wire.AuthSASLContinue:
		return a.final(data)
	case wire.AuthSASLFinal:
		return nil, a.verify(data)
	default:
	}
	if a.stage != authUnasked {
		return nil, protocolError("a request for %s in a login that is past that: %s", kind, a.stage)
	}
	switch kind {
	case wire.AuthCleartext:
		return a.clear()
	case wire.AuthMD5:
		return a.md5(data)
	case wire.AuthSASL:
		return a.first(strings.Split(strings.TrimRight(string(data), "\x00"), "\x00"))
	default:
	}
	return nil, protocolError("a request for %s, which weir does not have", kind)
}

// letIn takes the AuthenticationOk.
func (a *auth) letIn() error {
	switch a.stage {
	case authUnasked, authAnswered, authProved:
		a.stage = authDone
		return nil
	case authFirstSent, authFinalSent, authDone:
	}
	return &loginError{errors.New("the server let weir in before it had proved that it knows the password's verifier")}
}

func (a *auth) clear() ([]byte, error) {
	if a.target.Password == "" {
		return nil, &CredentialError{a.target.User, "the password in clear text", a.target.Substitutes.lack()}
	}
	a.stage = authAnswered
	return wire.AppendPassword(nil, a.target.Password), nil
}

func (a *auth) md5(salt []byte) ([]byte, error) {
	if len(salt) != 4 {
		return nil, protocolError("a salt of %d bytes for md5, expected 4", len(salt))
	}
	stored := a.target.Substitutes.MD5.Reveal()
	switch {
	case a.target.Password != "":
		stored = md5Stored(a.target.Password, a.target.User)
	case stored == "":
		return nil, &CredentialError{a.target.User, "md5", a.target.Substitutes.lack()}
	}
	a.stage = authAnswered
	return wire.AppendPassword(nil, md5Answer(stored, salt)), nil
}

// first answers the offer of mechanisms.
func (a *auth) first(mechanisms []string) ([]byte, error) {
	var binding, possible []byte
	if a.certificate != nil {
		possible = scram.Binding(a.certificate)
	}
	if slices.Contains(mechanisms, scram.MechanismPlus) {
		binding = possible
	}
	if binding == nil && !slices.Contains(mechanisms, scram.Mechanism) {
		return nil, protocolError("an offer of %q, of which weir has none", mechanisms)
	}
	var nonce [scram.NonceLen]byte
	_, _ = rand.Read(nonce[:]) // never fails: crypto/rand, from Go 1.24
	text := base64.StdEncoding.EncodeToString(nonce[:])
	switch {
	case a.target.Password != "":
		a.exchange = scram.NewPasswordExchange(a.target.Password, text, binding)
	case len(a.target.Substitutes.Keys) > 0:
		a.exchange = scram.NewExchange(a.target.Substitutes.Keys, text, binding)
	default:
		return nil, a.noKeys()
	}
	if possible != nil && binding == nil {
		a.exchange.CouldBind()
	}
	a.stage = authFirstSent
	return wire.AppendSASLInitialResponse(nil, a.exchange.Mechanism(), a.exchange.First()), nil
}

func (a *auth) noKeys() error {
	return &CredentialError{a.target.User, "scram-sha-256", a.target.Substitutes.lackOfKeys()}
}

// final answers the server's first message.
func (a *auth) final(data []byte) ([]byte, error) {
	if a.stage != authFirstSent {
		return nil, protocolError("a step of SASL in a login that is not there: %s", a.stage)
	}
	proof, err := a.exchange.Final(string(data))
	switch {
	case errors.Is(err, scram.ErrNoKey):
		return nil, a.noKeys()
	case err != nil:
		return nil, &loginError{err}
	}
	a.stage = authFinalSent
	return wire.AppendSASLResponse(nil, proof), nil
}

// verify takes the server's last message.
func (a *auth) verify(data []byte) error {
	if a.stage != authFinalSent {
		return protocolError("the end of SASL in a login that is not there: %s", a.stage)
	}
	if err := a.exchange.Verify(string(data)); err != nil {
		return &loginError{err}
	}
	a.stage = authProved
	return nil
}
