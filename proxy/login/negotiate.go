package login

import (
	"weir/proxy/pgerror"
	"weir/proxy/wire"
)

// minorMax is the newest minor version of protocol 3 that weir speaks.
const minorMax = 0

// firstPacket reads first packets until one is no request for encryption. Both requests are refused with 'N', in any order,
// each at most once.
func (a *attempt) firstPacket() (wire.Startup, *Failure) {
	ssl, gssenc := false, false
	for {
		body, f := a.readStartup()
		if f != nil {
			return wire.Startup{}, f
		}
		s, err := wire.ParseStartup(body)
		if err != nil {
			a.major = 3 // only packets of this version are read so far that there is something to say
			return wire.Startup{}, a.failWith(Malformed, err)
		}
		switch {
		case s.Kind == wire.StartupSSL && !ssl:
			ssl = true
			f = a.declineEncryption("SSL")
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

// declineEncryption answers 'N', unless bytes follow that a client, which must wait for the answer, cannot have sent.
func (a *attempt) declineEncryption(request string) *Failure {
	if unread(a.nc) {
		a.major = 3
		return a.fail(Malformed, pgerror.UnencryptedData(request), "")
	}
	a.out = append(a.out, 'N')
	return a.flush()
}

// negotiateVersion agrees on protocol 3 and tells a client that wants more what it can have.
func (a *attempt) negotiateVersion(s wire.Startup) *Failure {
	a.greeted, a.major = true, s.Major
	if s.Major != 3 {
		return a.fail(Unsupported, pgerror.UnsupportedProtocol(s.Major, s.Minor), "")
	}
	if s.Minor > minorMax || len(s.Options) > 0 {
		a.out = wire.AppendNegotiateProtocolVersion(a.out, minorMax, s.Options)
	}
	return nil
}
