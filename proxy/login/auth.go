package login

import (
	"context"
	"errors"
	"net"
	"time"

	"weir/config"
	"weir/proxy/pgerror"
)

// failureDelay is when a wrong user or password is answered, counted from the client's last message. An unknown user costs
// the work that a known one does, save for the derivation of a verifier from a stored password (about a millisecond, the
// first time only) or, for MethodPassword, from the one that was sent. These end before the delay does, so they do not show.
// It slows guessing down, too, and is too short to be noticed after a typing error.
const failureDelay = 50 * time.Millisecond

// Account is what is known about a user.
type Account struct {
	Known bool
	// Stored is a password in clear text, "md5" and 32 hexadecimal digits, or a SCRAM verifier as PostgreSQL stores it. With one
	// that is not set no login succeeds.
	Stored config.Secret
	// Why is for the log: why no user can be known; or empty.
	Why string
	// Asked says that a server was asked for the user.
	Asked bool
}

func (a Account) same(b Account) bool {
	return a.Known == b.Known && a.Stored.Reveal() == b.Stored.Reveal()
}

// Claim is who a client says it is.
type Claim struct {
	User, Database string
	From           string // the client's address without its port; "" on a unix socket
	// Again says that a proof has just failed against what was found before: where that may be out of date, it is to be looked up
	// anew.
	Again bool
}

// Lookup finds a user of a database. It must take as long for users that exist as for those that do not. An error means that it is not
// known whether the user exists.
type Lookup func(ctx context.Context, c Claim) (Account, error)

// credentials are an Account that has been looked into.
type credentials struct {
	stored
	account Account
}

// claim is who the client says it is.
func (a *attempt) claim() Claim { return Claim{User: a.user, Database: a.database, From: a.from()} }

// lookUp asks for the user that the client claims to be.
func (a *attempt) lookUp(claim Claim) (credentials, *Failure) {
	account, err := a.findAccount(claim)
	switch {
	case err == nil:
		c := credentials{account: account}
		if account.Known {
			c.stored = parseStored(account.Stored.Reveal())
		}
		return c, nil
	case a.over():
		return credentials{}, a.interrupted()
	}
	told, ok := errors.AsType[*pgerror.Error](err)
	if !ok {
		told = pgerror.AuthenticationUnavailable
	}
	f := a.fail(LookupFailed, told, "")
	f.cause = err
	return credentials{}, f
}

func (a *attempt) findAccount(claim Claim) (account Account, err error) {
	if !a.opt.LookupWaits {
		return a.opt.Lookup(a.ctx, claim)
	}
	ctx, stop := a.ctx, context.CancelFunc(func() {})
	if !a.deadline.IsZero() {
		ctx, stop = context.WithDeadline(a.ctx, a.deadline)
	}
	defer stop()
	a.apart(func() { account, err = a.opt.Lookup(ctx, claim) })
	return account, err
}

// from is where the client comes from.
func (a *attempt) from() string {
	if addr, ok := a.under.RemoteAddr().(*net.TCPAddr); ok && a.address == "" {
		a.address = addr.AddrPort().Addr().Unmap().String()
	}
	return a.address
}

// authenticate makes the client prove that it is the user it says it is.
func (a *attempt) authenticate() *Failure {
	if a.provedByAccount() {
		return nil
	}
	method, f := a.method()
	if f != nil {
		return f
	}
	switch method {
	case MethodReject:
		return a.fail(NotAllowed, pgerror.RejectedByRule(a.origin()), "")
	case MethodTrust:
		f = a.trusted()
	case MethodPeer:
		f = a.peer()
	case MethodCert: // the certificate, which is checked below, is the only proof
	default: // a Method that is added later asks for a proof, too
		f = a.byPassword(method)
	}
	if f != nil {
		return f
	}
	return a.ownCertificate(method)
}

// trusted believes a client, if there is such a user where that is asked for.
func (a *attempt) trusted() *Failure {
	if !a.opt.KnownOnly {
		return nil
	}
	c, f := a.lookUp(a.claim())
	if f == nil && !c.account.Known {
		told := `"trust" authentication failed`
		if c.account.Asked {
			told = noSuchUser
		}
		f = a.fail(NoSuchUser, pgerror.WrongPassword(a.user).AsPgBouncer(told), "no such user")
	}
	return f
}

// proof is the client's answer, to be compared with what is stored. It does the same work whatever that is. why is for the log.
type proof func(c credentials) (ok bool, why string)

// byPassword has the client prove that it knows the password. What was looked up may be out of date: after a wrong answer the user is
// looked up anew, and the answer is compared with that. With SCRAM it cannot fit another salt, so the client has to come again.
func (a *attempt) byPassword(method Method) *Failure {
	if f := a.checkBinding(method); f != nil {
		return f
	}
	c, f := a.lookUp(a.claim())
	if f != nil {
		return f
	}
	check, f := a.challenge(method, c)
	if f != nil {
		if f.Reason == WrongPassword {
			a.waitToRefuse()
		}
		return f
	}
	ok, why := check(c)
	if !ok {
		again := a.claim()
		again.Again = true
		switch now, f := a.lookUp(again); {
		case a.over():
			return a.interrupted()
		case f == nil && !now.account.same(c.account):
			c = now
			ok, why = check(c)
		}
	}
	if !ok {
		a.waitToRefuse()
		return a.rejected(c, why)
	}
	a.account = c.account
	return nil
}

// challenge asks the client for its proof.
func (a *attempt) challenge(method Method, c credentials) (proof, *Failure) {
	a.opt.Verifiers.prepare(a.apart)
	switch {
	case method == MethodPassword:
		return a.cleartext()
	case method == MethodMD5 && a.askedForMD5(c):
		return a.md5()
	}
	a.sasl = true
	return a.scram(method, c)
}

// askedForMD5 says which question a user gets where the method is md5.
func (a *attempt) askedForMD5(c credentials) bool {
	switch c.form {
	case formClear, formMD5:
		return true
	case formSCRAM:
		return false
	case formNone:
		if a.opt.PgBouncer { // it asks all others so
			return true
		}
	}
	return a.opt.Verifiers.shape(a.user).md5
}

// noSuchUser is what PgBouncer says of a user that auth_query does not find.
const noSuchUser = "no such user"

// rejected is the one answer to a wrong user and a wrong password. Only the log says which it was.
func (a *attempt) rejected(c credentials, why string) *Failure {
	reason := WrongPassword
	switch {
	case !c.account.Known && c.account.Why != "":
		reason, why = NoSuchUser, c.account.Why
	case !c.account.Known:
		reason, why = NoSuchUser, "no such user"
	case c.form == formNone && c.account.Asked:
		why = "auth_query finds no password for this user: there is none, or it has expired (VALID UNTIL)"
	case c.form == formNone:
		why = "no password is stored for this user"
	}
	told := pgerror.WrongPassword(a.user)
	switch {
	case !c.account.Known && c.account.Asked:
		told = told.AsPgBouncer(noSuchUser)
	case a.sasl:
		told = told.AsPgBouncer("SASL authentication failed")
	}
	return a.fail(reason, told, why)
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
