// Package login takes a client from accept to AuthenticationOk: encryption requests, the startup packet, protocol
// negotiation, authentication, and the last questions of whether the client is admitted.
//
// It is ordinary blocking code under one deadline. It reads no byte beyond the messages of the login, because
// what follows is for the event loop that serves the client afterwards. It knows neither loop nor pool: Result is a value. Errors
// are sent to the client here and returned as *Failure; the caller logs and counts them, and closes the connection.
//
// Everything after AuthenticationOk (ParameterStatus, BackendKeyData, ReadyForQuery) is the relay's, which has a backend to
// ask. The package may import proxy/wire, proxy/pgerror, proxy/scram, proxy/socket and proxy/certs (for TLS), config (for its
// words) and config/hba.
package login

import (
	"context"
	"crypto/x509"
	"net"
	"sync"
	"time"

	"weir/config"
	"weir/config/hba"
	"weir/proxy/certs"
	"weir/proxy/pgerror"
	"weir/proxy/scram"
	"weir/proxy/socket"
	"weir/proxy/wire"
)

// Method is how clients prove who they are.
type Method uint8

// The methods. MethodSCRAM is the default.
const (
	MethodSCRAM     Method = iota // SCRAM-SHA-256 (RFC 7677); from any stored form but an md5 hash; bound to TLS where the client can
	MethodMD5                     // salted md5; a user stored as a SCRAM verifier gets SCRAM, as in PostgreSQL
	MethodPassword                // the password in clear text, checked against whatever form is stored
	MethodTrust                   // no proof at all; not even the user needs to be known
	MethodPeer                    // what the kernel says of the other end of a unix socket; the user need not be known either
	MethodCert                    // a certificate that names the user, who need not be known
	MethodReject                  // no client is admitted
	MethodHBA                     // what the first rule that fits says
	MethodSCRAMPlus               // SCRAM-SHA-256 bound to the TLS connection, and nothing less; on a unix socket MethodSCRAM
)

func (m Method) String() string {
	switch m {
	case MethodSCRAM:
		return "scram-sha-256"
	case MethodMD5:
		return "md5"
	case MethodPassword:
		return "password"
	case MethodTrust:
		return "trust"
	case MethodPeer:
		return "peer"
	case MethodCert:
		return "cert"
	case MethodReject:
		return "reject"
	case MethodHBA:
		return "hba"
	case MethodSCRAMPlus:
		return "scram-sha-256-plus"
	}
	return "unknown"
}

// Options are the same for every login until the configuration changes. All functions must be safe for concurrent use and
// must not block, save for Lookup.
type Options struct {
	// Timeout bounds the whole login: client_login_timeout. 0 is no bound.
	Timeout time.Duration
	Method  Method
	// Rules are those of MethodHBA, Maps what they may name. nil is none: then every client is refused.
	Rules *hba.Rules
	Maps  *hba.Maps
	// Verifiers and Lookup are needed where a method asks for passwords.
	Verifiers *Verifiers
	Lookup    Lookup
	// LookupWaits says that Lookup may block.
	LookupWaits bool
	// TLS is what is offered and demanded; nil: nothing.
	TLS *certs.Clients
	// CertName says what in a client's certificate is the user's name.
	CertName config.CertName
	// NamesDatabase tells whether the configuration has a database of exactly that name, which may be longer than PostgreSQL's
	// names can be: it is an alias. nil knows none.
	NamesDatabase func(database string) bool
	// Ignored are the startup parameters that have no effect, in lower case.
	Ignored map[string]bool
	// AddHost adds the client's address to its application_name.
	AddHost bool
	// Notice is a NoticeResponse, or nothing, that each client gets once it has logged in.
	Notice []byte
	// KnownOnly has MethodTrust refuse users that Lookup does not know, as PgBouncer does.
	KnownOnly bool
	// PgBouncer has errors told in PgBouncer's words.
	PgBouncer bool
	// Refusing is told before a client is told why it is refused: then the log has the reason by the time the client has it. May be nil.
	Refusing func(nc net.Conn, f *Failure)
	// Attempting is told who a client says it is, and what protects its connection (socket.Protection), before it is asked for a proof.
	// May be nil.
	Attempting func(nc net.Conn, c Claim, tls string, r Replication)
	// KnownDatabase is asked only after authentication, so that strangers learn nothing. nil knows all.
	KnownDatabase func(database string) bool
	// Console tells whether a database is the admin console, and AdmitConsole is asked last about a client of that, in place of
	// KnownDatabase and Admit. own says that the client is the account that weir runs as, or root, on a unix socket: it needs no
	// other proof there. nil: there is no console.
	Console      func(database string) bool
	AdmitConsole func(user string, own bool) *pgerror.Error
	// Closed says that no client is admitted: weir stops. Cancel requests are served all the same, and the console over a unix socket.
	Closed bool
	// Admit is asked last, and may count. If the login fails after it has admitted the client, because the time is up,
	// Failure.Admitted is set. nil admits all.
	Admit func(user, database string) *pgerror.Error
}

// attempt is one login under way. Touched by its goroutine only.
type attempt struct {
	ctx      context.Context // as given to Serve
	nc       net.Conn        // TLS, once that is on top
	under    net.Conn        // as given to Serve
	deadline time.Time       // zero: none
	opt      *Options

	interrupting sync.WaitGroup // the interruption, if there is one

	tls   *secured  // nil: plain text
	out   []byte    // written, not yet sent
	heard time.Time // when the last authentication message was complete

	address string // see from; "": not asked for yet, or a unix socket's

	// Known once the startup packet was read.
	greeted        bool // the peer speaks the protocol and understands an error
	major, minor   uint16
	user, database string
	replication    Replication
	demands        certs.Demands     // of the database; zero without TLS options
	certificate    *x509.Certificate // the client's; nil: none that an authority of the database has issued

	// Known once the client has been authenticated.
	rule    *hba.Rule  // that holds for it; nil without rules
	account Account    // that it has proved to be its own
	keys    scram.Keys // that its proof gave away

	sasl     bool // it was asked for SCRAM
	console  bool // the database is the admin console
	own      bool // the client is the account that weir runs as, or root, and has asked for the console
	admitted bool // Admit said yes
}

// outLen is what the messages of a login with SCRAM fit into, in bytes.
const outLen = 160

// Serve carries out one login over a connection that was accepted at that time. The error is a *Failure. The connection is never
// closed here; once Serve has returned without an error it has no deadline, and what the client sent after its login is still to
// be read.
//
// opt is only read. When ctx ends, the login ends with pgerror.ShuttingDown.
//
// A connection may have Apart, as those of package prelogin have: then it is served on a loop's goroutine, and what takes the
// processor for long or waits for something else is done in Apart. A wrapper around a connection must pass that on, and
// SyscallConn: without it bytes that came after a request for encryption are not seen.
func Serve(ctx context.Context, nc net.Conn, accepted time.Time, opt *Options) (Result, error) {
	a := &attempt{ctx: ctx, nc: nc, under: nc, opt: opt, out: make([]byte, 0, outLen)}
	if opt.Timeout > 0 {
		a.deadline = accepted.Add(opt.Timeout)
		_ = nc.SetDeadline(a.deadline) // fails on a closed connection only, which does not block either
	}
	a.interrupting.Add(1)
	stop := context.AfterFunc(ctx, a.interrupt)
	res, f := a.run()
	if !stop() {
		a.interrupting.Wait() // else the deadline could still be set after the hand-over
		if f == nil {
			f = a.interrupted()
		}
	}
	if f != nil {
		a.refuse(f)
		a.goodbye()
		return Result{}, f
	}
	if opt.Timeout > 0 {
		_ = nc.SetDeadline(time.Time{})
	}
	res.Conn = a.nc
	if res.Cancel == nil {
		res.Owed = a.out
	}
	if a.tls != nil {
		res.TLS = a.tls.adapter
	}
	return res, nil
}

// interrupt has whatever blocks return.
func (a *attempt) interrupt() {
	defer a.interrupting.Done()
	_ = a.under.SetDeadline(time.Unix(1, 0))
}

// over reports whether the login has been ended from outside.
func (a *attempt) over() bool {
	return a.ctx.Err() != nil || !a.deadline.IsZero() && !time.Now().Before(a.deadline)
}

// apart runs f where it may take its time.
func (a *attempt) apart(f func()) {
	if loops, ok := a.under.(interface{ Apart(f func()) }); ok {
		loops.Apart(f)
		return
	}
	f()
}

// run is the login from top to bottom. Each step reads and writes what it needs and says what went wrong.
func (a *attempt) run() (Result, *Failure) {
	first, f := a.firstPacket()
	if f != nil {
		return Result{}, f
	}
	if first.Kind == wire.StartupCancel {
		return Result{Cancel: &Cancel{PID: first.PID, Secret: first.Secret}}, nil
	}
	if f := a.negotiateVersion(first); f != nil {
		return Result{}, f
	}
	if f := a.identify(first); f != nil {
		return Result{}, f
	}
	a.console = a.opt.Console != nil && a.opt.Console(a.database)
	if a.opt.Closed && !(a.console && a.overUnix()) {
		return Result{}, a.fail(ShutDown, pgerror.ShuttingDown, "")
	}
	a.settleProtection()
	if f := a.checkEncryption(); f != nil {
		return Result{}, f
	}
	a.announce()
	if f := a.authenticate(); f != nil {
		return Result{}, f
	}
	settings, f := a.settings(first)
	if f != nil {
		return Result{}, f
	}
	if f := a.admit(); f != nil {
		return Result{}, f
	}
	if a.over() {
		return Result{}, a.interrupted()
	}
	a.out = append(wire.AppendAuthenticationOk(a.out), a.opt.Notice...)
	return Result{
		User: a.user, Database: a.database, Settings: settings, Replication: a.replication, Account: a.account, Keys: a.keys, Rule: a.rule,
		Minor: a.minor, From: a.from(), Console: a.console, Own: a.own,
	}, nil
}

// announce says who wants to log in.
func (a *attempt) announce() {
	if a.opt.Attempting == nil {
		return
	}
	tls := ""
	if a.tls != nil {
		tls = socket.Protection(a.tls.conn.ConnectionState())
	}
	a.opt.Attempting(a.under, Claim{User: a.user, Database: a.database, From: a.from()}, tls, a.replication)
}

// admit asks the questions that only a client that proved who it is gets an answer to.
func (a *attempt) admit() *Failure {
	if a.console {
		return a.admitToConsole()
	}
	if a.opt.KnownDatabase != nil && !a.opt.KnownDatabase(a.database) {
		return a.fail(UnknownDatabase, pgerror.UnknownDatabase(a.database), "")
	}
	if a.opt.Admit == nil {
		return nil
	}
	if err := a.opt.Admit(a.user, a.database); err != nil {
		if err.Code == pgerror.CodeTooManyConnections {
			return a.fail(Full, err, "")
		}
		return a.fail(Refused, err, "")
	}
	a.admitted = true
	return nil
}
