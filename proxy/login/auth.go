package login

import (
	"time"

	"weir/proxy/pgerror"
)

// failureDelay is when a wrong user or password is answered, counted from the client's last message. An unknown user costs
// the work that a known one does, save for the derivation of a verifier from a stored password (about a millisecond, the
// first time only) or, for MethodPassword, from the one that was sent. These end before the delay does, so they do not show.
// It slows guessing down, too, and nobody who mistypes sees it.
const failureDelay = 50 * time.Millisecond

// credentials are what is stored for the user that the client claims to be.
type credentials struct {
	stored
	known bool
}

// authenticate makes the client prove that it is the user it says it is.
func (a *attempt) authenticate() *Failure {
	if a.opt.Method == MethodTrust {
		return nil
	}
	var c credentials
	text, known := a.opt.Lookup(a.user)
	if known {
		c = credentials{stored: parseStored(text), known: true}
	}
	f := a.prove(c)
	if f != nil && (f.Reason == WrongPassword || f.Reason == NoSuchUser) {
		a.waitToRefuse()
	}
	return f
}

func (a *attempt) prove(c credentials) *Failure {
	switch {
	case a.opt.Method == MethodPassword:
		return a.cleartext(c)
	case a.opt.Method == MethodMD5 && c.form != formSCRAM:
		return a.md5(c)
	}
	return a.scram(c) // also whatever Method may be one day: never in without a proof
}

// rejected is the one answer to a wrong user and a wrong password. Only the log says which it was.
func (a *attempt) rejected(c credentials, why string) *Failure {
	reason := WrongPassword
	switch {
	case !c.known:
		reason, why = NoSuchUser, "no such user"
	case c.form == formNone:
		why = "no password is stored for this user"
	}
	return a.fail(reason, pgerror.WrongPassword(a.user), why)
}

// waitToRefuse returns failureDelay after the client's last message, or when the login's time is up.
func (a *attempt) waitToRefuse() {
	until := a.heard.Add(failureDelay)
	if !a.deadline.IsZero() && a.deadline.Before(until) {
		until = a.deadline
	}
	a.apart(func() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		select {
		case <-t.C:
		case <-a.ctx.Done():
		}
	})
}
