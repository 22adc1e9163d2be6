package login

import (
	"errors"
	"net"
	"time"

	"weir/config/hba"
	"weir/proxy/pgerror"
	"weir/proxy/scram"
	"weir/proxy/socket"
	"weir/proxy/wire"
)

// Result is a login that succeeded, or a connection that brought a cancel request.
type Result struct {
	// Cancel is set where the connection brought a CancelRequest. Save for TLS and Conn nothing else is set then, nothing was answered, and
	// nothing is to be: the connection is closed once the request has been dealt with.
	Cancel *Cancel

	User     string
	Database string // the user's name where the client gave none
	// Settings are all other startup parameters: those out of "options" first, because PostgreSQL applies them in that
	// order. Names are as given; of those that differ by case only the last one is left. A name has the form that a
	// setting's name must have, so it holds neither quotes nor blanks; whether there is such a setting, and whether it
	// takes the value, the server knows.
	Settings []wire.Param
	// Replication is what the startup parameter of that name asks for.
	Replication Replication
	// TLS is on top of the connection, nil where that is plain. Conn is what to talk on while it still blocks: of a CancelRequest
	// and for what has to be said before the connection is a loop's.
	TLS  *socket.Adapter
	Conn net.Conn
	// Owed is the end of the login, AuthenticationOk and what comes before it, which is to be sent together with what the client
	// is greeted with.
	Owed []byte
	// Account is what was stored for the user, where the client has proved to know it; Keys are what its proof gave away, where
	// that is a SCRAM verifier. With these weir may log in to servers as the user.
	Account Account
	Keys    scram.Keys
	// From is the client's address without its port; "" on a unix socket.
	From string
	// Rule let the client in; nil without rules.
	Rule *hba.Rule
	// Minor is the minor version of protocol 3 that was agreed on.
	Minor uint16
	// Console: the client has asked for the admin console. Own: it is the account that weir runs as, or root, there.
	Console, Own bool
}

// Replication is a kind of connection (manual, "Streaming Replication Protocol").
type Replication uint8

// The kinds.
const (
	NoReplication       Replication = iota // an ordinary connection
	PhysicalReplication                    // it has no database, and speaks the commands of replication only
	LogicalReplication                     // it has a database, and speaks SQL as well
)

// Parameter is the startup parameter's value.
func (r Replication) Parameter() string { return [...]string{"false", "true", "database"}[r] }

// Cancel is what a CancelRequest holds: a claim, not checked here.
type Cancel struct {
	PID    uint32
	Secret []byte // 4 to 256 bytes
}

// Reason says why a login failed, for counting: it is finer than what the client is told.
type Reason uint8

// The reasons.
const (
	Malformed       Reason = iota + 1 // bytes that are no login
	BadTLS                            // no agreement on TLS, or less of it than is demanded
	Unsupported                       // a correct wish that weir does not fulfil: the protocol's version
	TimedOut                          // client_login_timeout
	ShutDown                          // weir stops
	Gone                              // the peer closed or vanished, as port checks do: not worth a line
	NoSuchUser                        // the client is told the same as for WrongPassword
	WrongPassword                     // wrong, or what is stored cannot serve the method
	NotAllowed                        // a rule rejects it, or none lets it in
	WrongIdentity                     // neither the kernel nor a certificate says that it is the user
	LookupFailed                      // it could not be found out whether there is such a user
	UnknownDatabase                   // an authenticated client named a database that weir does not have
	BadSetting                        // a startup parameter that no server would take
	Full                              // Admit said 53300
	Refused                           // Admit said something else
)

func (r Reason) String() string {
	switch r {
	case Malformed:
		return "malformed"
	case BadTLS:
		return "tls"
	case Unsupported:
		return "unsupported"
	case TimedOut:
		return "timeout"
	case ShutDown:
		return "shutdown"
	case Gone:
		return "gone"
	case NoSuchUser:
		return "no_such_user"
	case WrongPassword:
		return "wrong_password"
	case NotAllowed:
		return "not_allowed"
	case WrongIdentity:
		return "wrong_identity"
	case LookupFailed:
		return "lookup_failed"
	case UnknownDatabase:
		return "unknown_database"
	case BadSetting:
		return "bad_setting"
	case Full:
		return "full"
	case Refused:
		return "refused"
	}
	return "unknown"
}

// Failure is a login that failed. Its text is for the log: it holds no secret, but more than the client was told.
type Failure struct {
	Reason Reason
	// Err is what the client was told; nil where the connection is to be closed in silence.
	Err *pgerror.Error
	// Why adds what only the operator may know, or is empty.
	Why string
	// User and Database are what the client claimed; empty where it did not come so far.
	User, Database string
	// Rule decided: it rejects, or the client has not proved what it demands. nil: none did.
	Rule *hba.Rule
	// Admitted says that Options.Admit had said yes: what it counted is to be given back.
	Admitted bool
	// Console: the database is the admin console, and Own as in Result.
	Console, Own bool

	cause error
}

func (f *Failure) Error() string {
	s := "login: " + f.Reason.String()
	if f.Err != nil {
		s = "login: " + f.Err.Error()
	}
	if f.Why != "" {
		s += ": " + f.Why
	}
	if f.cause != nil {
		s += ": " + f.cause.Error()
	}
	if f.Err != nil && f.Err.Detail != "" { // which says what was malformed, or which limit was met
		s += ": " + f.Err.Detail
	}
	return s
}

// Cause is what has led to the failure, without what the client was told.
func (f *Failure) Cause() string {
	if f.cause == nil {
		return f.Why
	}
	return f.cause.Error()
}

// Unwrap gives Err and the error of the connection, as far as there are any.
func (f *Failure) Unwrap() []error {
	var errs []error
	if f.Err != nil {
		errs = append(errs, f.Err)
	}
	if f.cause != nil {
		errs = append(errs, f.cause)
	}
	return errs
}

// fail makes the Failure of this attempt. err is nil for a silent close.
func (a *attempt) fail(r Reason, err *pgerror.Error, why string) *Failure {
	return &Failure{Reason: r, Err: err, Why: why, User: a.user, Database: a.database, Rule: a.rule, Admitted: a.admitted, Console: a.console, Own: a.own}
}

// failWith is fail for what the parsers of startup packets return: a *pgerror.Error, or an error to keep silent about.
func (a *attempt) failWith(r Reason, err error) *Failure {
	var told *pgerror.Error
	if errors.As(err, &told) {
		return a.fail(r, told, "")
	}
	return a.fail(r, nil, err.Error())
}

// broken is the Failure for an error of the connection.
func (a *attempt) broken(err error) *Failure {
	if a.over() {
		return a.interrupted()
	}
	f := a.fail(Gone, nil, "")
	f.cause = err
	return f
}

// interrupted is the Failure of a login that was ended from outside. Who has not even sent a startup packet is not told:
// PostgreSQL does the same, and the peer may be no PostgreSQL client at all.
func (a *attempt) interrupted() *Failure {
	reason, err := TimedOut, pgerror.LoginTimeout(a.opt.Timeout)
	if a.ctx.Err() != nil {
		reason, err = ShutDown, pgerror.ShuttingDown
	}
	if !a.greeted {
		err = nil
	}
	return a.fail(reason, err, "")
}

// refusalGrace bounds the write of an error to a client, which must be possible after the deadline, too. It fits into an
// empty socket buffer, so it takes no time unless the peer misbehaves.
const refusalGrace = time.Second

// refuse sends what the client is told, together with what was written for it before.
func (a *attempt) refuse(f *Failure) {
	if f.Err == nil {
		return
	}
	if a.opt.PgBouncer {
		f.Err = f.Err.InPgBouncersWords()
	}
	if a.opt.Refusing != nil {
		a.opt.Refusing(a.under, f)
	}
	if a.major < 3 && a.major|a.minor != 0 {
		// Clients of protocol 2 and 1 know an error as one string: send_message_to_frontend in PostgreSQL's
		// src/backend/utils/error/elog.c still writes it for them. Version 0.0 means to it that the client has not said its version,
		// and gets today's form.
		a.out = append(a.out, 'E')
		a.out = append(a.out, f.Err.Severity+":  "+f.Err.Message+"\n\x00"...)
	} else {
		a.out = wire.AppendErrorResponse(a.out, f.Err)
	}
	_ = a.nc.SetWriteDeadline(time.Now().Add(refusalGrace))
	_, _ = a.nc.Write(a.out) // the login has failed already; a peer that is gone, too, changes nothing
	a.out = nil
}

// goodbye tells a client with TLS that no more will come.
func (a *attempt) goodbye() {
	if a.tls != nil {
		_ = a.tls.conn.CloseWrite() // within a deadline of its own
	}
}
