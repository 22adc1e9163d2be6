package login

import (
	"weir/proxy/pgerror"
	"weir/proxy/wire"
)

// minorMax is the newest minor version of protocol 3 that weir speaks.
const minorMax = 2

// firstPacket reads first packets until one is no request for encryption. That of TLS is granted where TLS is offered; the others
// are refused with 'N', in any order, each at most once.
func (a *attempt) firstPacket() (wire.Startup, *Failure) {
	ssl, gssenc := false, false
	for first := true; ; first = false {
		body, f := a.readStartup(first)
		if f != nil {
			return wire.Startup{}, f
		}
		s, err := wire.ParseStartup(body)
		if err != nil {
			a.major = 3 // what is to be sent is about a packet of this version
			return wire.Startup{}, a.failWith(Malformed, err)
		}
		switch {
		case s.Kind == wire.StartupSSL && !ssl:
			ssl = true
			f = a.answerSSLRequest()
		case s.Kind == wire.StartupGSSENC && !gssenc:
			gssenc = true
			f = a.declineEncryption("GSSAPI encryption")
		case s.Kind == wire.StartupSSL:
			a.major = 1234 // a second request is no request but an odd protocol version, as to PostgreSQL
			f = a.fail(Malformed, pgerror.UnsupportedProtocol(1234, 5679), "")
		case s.Kind == wire.StartupGSSENC:
			a.major = 1234
			f = a.fail(Malformed, pgerror.UnsupportedProtocol(1234, 5680), "")
		default:
			return s, nil
		}
		if f != nil {
			return wire.Startup{}, f
		}
	}
}

// answerSSLRequest answers 'S' and does the handshake, or declines.
func (a *attempt) answerSSLRequest() *Failure {
	if !a.offers() {
		return a.declineEncryption("SSL")
	}
	if f := a.answerRequest("SSL", 'S'); f != nil {
		return f
	}
	return a.encrypt(nil)
}

func (a *attempt) declineEncryption(request string) *Failure { return a.answerRequest(request, 'N') }

// answerRequest answers a request for encryption. It fails if bytes follow the request, since a client must wait for the answer. These
// bytes could not be taken for what comes through TLS, because nothing was read ahead, but they show that something is wrong.
func (a *attempt) answerRequest(request string, answer byte) *Failure {
	if unread(a.nc) {
		a.major = 3
		return a.fail(Malformed, pgerror.UnencryptedData(request), "")
	}
	a.out = append(a.out, answer)
	return a.flush()
}

// negotiateVersion agrees on a version of protocol 3, and tells a client that wants more what it can have. 3.1 was never defined;
// a client that asks for it gets it, as from PostgreSQL 18, and it means 3.0.
func (a *attempt) negotiateVersion(s wire.Startup) *Failure {
	a.greeted, a.major, a.minor = true, s.Major, s.Minor
	if s.Major != 3 {
		return a.fail(Unsupported, pgerror.UnsupportedProtocol(s.Major, s.Minor), "")
	}
	a.minor = min(s.Minor, minorMax)
	if s.Minor > minorMax || len(s.Options) > 0 {
		a.out = wire.AppendNegotiateProtocolVersion(a.out, a.minor, s.Options)
	}
	return nil
}
