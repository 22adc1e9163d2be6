package login

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"fmt"

	"weir/proxy/pgerror"
	"weir/proxy/scram"
	"weir/proxy/wire"
)

// cleartext asks for the password itself, to check it against whatever is stored.
func (a *attempt) cleartext() (proof, *Failure) {
	a.out = wire.AppendAuthenticationCleartextPassword(a.out)
	password, f := a.askPassword()
	if f != nil {
		return nil, f
	}
	return func(c credentials) (bool, string) {
		if c.form == formSCRAM && c.verifier.Iterations > iterationsMax {
			return false, fmt.Sprintf("the stored verifier wants %d iterations; weir computes at most %d", c.verifier.Iterations, iterationsMax)
		}
		return a.matches(c, password), "the password differs from the stored one"
	}, nil
}

// matches compares a clear password with the stored form. Every form makes its comparison, whatever is known by then.
func (a *attempt) matches(c credentials, password string) bool {
	v := a.opt.Verifiers
	switch c.form {
	case formClear:
		return v.same(password, c.text)
	case formMD5:
		return v.same(md5Hash(password, a.user), c.text)
	case formSCRAM:
		var got scram.Verifier
		var keys scram.Keys
		a.apart(func() { got, keys = v.derive(password, c.verifier.Salt, c.verifier.Iterations) })
		if subtle.ConstantTimeCompare(got.ServerKey[:], c.verifier.ServerKey[:]) != 1 {
			return false
		}
		a.keys = keys
		return true
	case formNone: // does the work of the user that it looks like
		if s := v.shape(a.user); !s.md5 && s.iterations <= iterationsMax {
			a.apart(func() { _, _ = v.derive(password, v.salt(a.user, s.saltLen), s.iterations) })
		}
	}
	v.same(password, a.user)
	return false
}

// md5 asks for a salted md5 of the password. A verifier cannot be checked with it.
func (a *attempt) md5() (proof, *Failure) {
	var salt [4]byte
	_, _ = rand.Read(salt[:]) // never fails: crypto/rand, from Go 1.24
	a.out = wire.AppendAuthenticationMD5Password(a.out, salt)
	answer, f := a.askPassword()
	if f != nil {
		return nil, f
	}
	return func(c credentials) (bool, string) {
		hash := c.text
		if c.form != formMD5 {
			hash = md5Hash(c.text, a.user)
		}
		same := a.opt.Verifiers.same(answer, md5Response(hash, salt))
		return same && (c.form == formMD5 || c.form == formClear), "the password differs from the stored one"
	}, nil
}

// askPassword sends what was written and reads a PasswordMessage: a string that ends where the message ends.
func (a *attempt) askPassword() (string, *Failure) {
	body, f := a.ask("password response", passwordBytesMax)
	if f != nil {
		return "", f
	}
	if n := bytes.IndexByte(body, 0); n < 0 || n != len(body)-1 {
		return "", a.fail(Malformed, pgerror.ProtocolViolation("invalid password packet size", ""), "")
	}
	if len(body) == 1 {
		return "", a.fail(WrongPassword, pgerror.EmptyPassword, "")
	}
	return string(body[:len(body)-1]), nil
}
