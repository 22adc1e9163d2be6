package login

// SCRAM-SHA-256, the server's side
//
//	https://www.rfc-editor.org/rfc/rfc5802 the exchange
//	https://www.rfc-editor.org/rfc/rfc7677 with SHA-256
//	https://www.postgresql.org/docs/current/sasl-authentication.html in PostgreSQL's messages
//	https://www.rfc-editor.org/rfc/rfc5929 what binds it to TLS
//
// PostgreSQL's src/backend/libpq/auth-scram.c decides wherever these leave room.

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strconv"

	"weir/proxy/pgerror"
	"weir/proxy/scram"
	"weir/proxy/wire"
)

// scram carries out the exchange up to the client's proof. A user that cannot pass, because it does not exist or because of what
// is stored, goes through all of it with a feigned verifier and fails at its end.
func (a *attempt) scram(method Method, c credentials) (proof, *Failure) {
	b := a.binding()
	message, f := a.askClientFirst(method, &b)
	if f != nil {
		return nil, f
	}
	first, err := parseClientFirst(message, b)
	if err != nil {
		return nil, a.fail(Malformed, err, "")
	}

	nonce := first.nonce + freshNonce()
	salt, iterations := a.salt(c)
	serverFirst := "r=" + nonce + ",s=" + base64.StdEncoding.EncodeToString(salt) + ",i=" + strconv.Itoa(iterations)
	a.out = wire.AppendAuthenticationSASLContinue(a.out, []byte(serverFirst))
	body, f := a.ask("SASL response", saslBytesMax)
	if f != nil {
		return nil, f
	}
	final, err := parseClientFinal(string(body), first.gs2Header, b)
	if err != nil {
		return nil, a.fail(Malformed, err, "")
	}
	if final.nonce != nonce {
		return nil, a.fail(Malformed, pgerror.MalformedSASL("Nonce does not match."), "")
	}

	auth := first.bare + "," + serverFirst + "," + final.withoutProof
	return func(c credentials) (bool, string) {
		v, usable, why := a.verifier(c)
		keys, proved := v.Check(final.proof, auth)
		if !proved || !usable {
			return false, why
		}
		if c.form == formSCRAM { // else they are of a verifier that no server has
			a.keys = keys
		}
		signature := base64.StdEncoding.EncodeToString(v.Signature(auth))
		a.out = wire.AppendAuthenticationSASLFinal(a.out, []byte("v="+signature))
		return true, ""
	}, nil
}

// salt says how the client is to salt its password. It needs no verifier: where that must be derived, the challenge
// comes as fast as it does for a user that has one.
func (a *attempt) salt(c credentials) (salt []byte, iterations int) {
	v := a.opt.Verifiers
	switch c.form {
	case formSCRAM:
		return c.verifier.Salt, c.verifier.Iterations
	case formClear:
		return v.salt(a.user, scram.SaltLen), v.iterations
	case formMD5, formNone:
	}
	s := v.shape(a.user)
	return v.salt(a.user, s.saltLen), s.iterations
}

// verifier returns what the proof is checked against, whether that can succeed, and what the log says if it does not.
func (a *attempt) verifier(c credentials) (v scram.Verifier, usable bool, why string) {
	switch c.form {
	case formSCRAM:
		return c.verifier, true, "the password differs from the stored one"
	case formClear:
		return a.opt.Verifiers.ofClear(a.apart, a.user, c.text), true, "the password differs from the stored one"
	case formMD5:
		return a.opt.Verifiers.feigned(a.user), false, "an md5 hash is stored, which cannot serve scram-sha-256"
	case formNone:
	}
	return a.opt.Verifiers.feigned(a.user), false, ""
}

// freshNonce is printable and without a comma, as base64 is.
func freshNonce() string {
	var b [scram.NonceLen]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand, from Go 1.24
	return base64.StdEncoding.EncodeToString(b[:])
}

// binding is what can bind an exchange to the TLS connection that carries it.
type binding struct {
	hash  []byte // of the certificate that weir has shown; nil: nothing can
	inUse bool   // the client has chosen it
}

func (a *attempt) binding() binding {
	if a.tls == nil || a.tls.shown == nil {
		return binding{}
	}
	return binding{hash: scram.Binding(a.tls.shown)}
}

// checkBinding refuses those who must bind their login and cannot, before they send anything that is worth to be stolen.
func (a *attempt) checkBinding(method Method) *Failure {
	if method != MethodSCRAMPlus || a.overUnix() || a.binding().hash != nil {
		return nil
	}
	why := ""
	if a.tls != nil {
		why = "weir's certificate is signed with " + a.tls.shown.SignatureAlgorithm.String() + ", for which no binding is defined"
	}
	return a.fail(BadTLS, pgerror.ChannelBindingRequired, why)
}

// askClientFirst offers the mechanisms and reads the client's first message, which may come with the choice of the mechanism
// or, on an empty challenge, by itself.
func (a *attempt) askClientFirst(method Method, b *binding) (string, *Failure) {
	var offered []string
	if b.hash != nil {
		offered = append(offered, scram.MechanismPlus) // first, as in PostgreSQL: the better one
	}
	offered = append(offered, scram.Mechanism) // always: pgx looks for it, and then takes the other
	a.out = wire.AppendAuthenticationSASL(a.out, offered...)
	body, f := a.ask("SASL response", saslBytesMax)
	if f != nil {
		return "", f
	}
	mechanism, data, with, ok := splitInitialResponse(body)
	switch {
	case !ok:
		return "", a.fail(Malformed, pgerror.InvalidMessageBody(wire.ClientPassword), "")
	case !slices.Contains(offered, mechanism):
		return "", a.fail(Malformed, pgerror.InvalidSASLMechanism, "")
	case method == MethodSCRAMPlus && b.hash != nil && mechanism != scram.MechanismPlus:
		return "", a.fail(BadTLS, pgerror.ChannelBindingRequired, "the client chose "+mechanism) // and has proved nothing yet
	}
	b.inUse = mechanism == scram.MechanismPlus
	if with {
		return string(data), nil
	}
	a.out = wire.AppendAuthenticationSASLContinue(a.out, nil)
	data, f = a.ask("SASL response", saslBytesMax)
	return string(data), f
}

// splitInitialResponse reads a SASLInitialResponse: a mechanism, a length or -1, and that many bytes. pgproto3's Decode of it
// trusts that the length is there, and must not be fed by strangers.
func splitInitialResponse(body []byte) (mechanism string, data []byte, with, ok bool) {
	name, rest, ok := bytes.Cut(body, []byte{0})
	if !ok || len(rest) < 4 {
		return "", nil, false, false
	}
	n, data := binary.BigEndian.Uint32(rest), rest[4:]
	if n == 1<<32-1 {
		return string(name), nil, false, len(data) == 0
	}
	return string(name), data, true, n == uint32(len(data))
}
