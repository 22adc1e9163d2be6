package login

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"

	"weir/config"
	"weir/proxy/certs"
	"weir/proxy/pgerror"
	"weir/proxy/socket"
)

// secured is TLS on top of a connection.
type secured struct {
	conn    *tls.Conn
	adapter *socket.Adapter
	state   tls.ConnectionState
	shown   *x509.Certificate // weir's, which the client has seen
}

// tlsRecord is the first byte of a TLS handshake. As the first of a length it would mean 369 MB.
const tlsRecord = 0x16

// overUnix reports whether the peer is on this machine: there TLS is neither offered nor demanded, as in PostgreSQL.
func (a *attempt) overUnix() bool { return a.nc.RemoteAddr().Network() == "unix" }

// offers reports whether the client can have TLS.
func (a *attempt) offers() bool {
	return a.opt.TLS != nil && a.opt.TLS.Offers() && a.tls == nil && !a.overUnix()
}

// encrypt does the handshake and lets TLS carry what comes. ahead are bytes of the handshake that have been read.
func (a *attempt) encrypt(ahead []byte) *Failure {
	adapter := socket.NewAdapter(a.nc)
	ctx, choice := certs.WithChoice()
	var conn *tls.Conn
	var err error
	a.apart(func() {
		conn = adapter.Server(a.opt.TLS.Config(), ahead) // which may read files
		err = conn.HandshakeContext(ctx)
	})
	if err != nil {
		return a.handshakeFailed(err)
	}
	a.tls = &secured{conn: conn, adapter: adapter, state: conn.ConnectionState(), shown: choice.Certificate}
	a.nc = conn
	return nil
}

// handshakeFailed tells those who did not want TLS as weir has it from those who are gone. The client has had its alert.
func (a *attempt) handshakeFailed(err error) *Failure {
	op, ok := errors.AsType[*net.OpError](err)
	if a.over() || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || ok && (op.Op == "read" || op.Op == "write") {
		return a.broken(err)
	}
	f := a.fail(BadTLS, nil, "")
	f.cause = err
	return f
}

// encryptDirectly is for a client that begins with TLS at once, without asking (libpq's sslnegotiation=direct). It must say in
// the handshake that it means to speak PostgreSQL's protocol, as PostgreSQL 17 demands: so a browser that a web page has led here
// cannot be made to send anything that is obeyed.
func (a *attempt) encryptDirectly(ahead []byte) *Failure {
	if f := a.encrypt(ahead); f != nil {
		return f
	}
	if a.tls.state.NegotiatedProtocol != certs.ALPN {
		return a.fail(BadTLS, nil, "direct TLS without the ALPN protocol postgresql")
	}
	return nil
}

// checkEncryption asks whether the connection is protected as the database demands. It comes before authentication, because a
// password must not travel in clear text first.
func (a *attempt) checkEncryption() *Failure {
	if a.opt.TLS == nil || a.overUnix() {
		return nil
	}
	switch demands := a.demands; {
	case a.tls == nil && demands.Mode >= config.SSLRequire:
		return a.fail(BadTLS, pgerror.EncryptionRequired, "")
	case a.tls == nil:
		return nil
	case a.tls.state.Version < demands.MinVersion:
		return a.fail(BadTLS, pgerror.TLSTooOld(tls.VersionName(demands.MinVersion)), tls.VersionName(a.tls.state.Version))
	case demands.Mode >= config.SSLVerifyCA && a.certificate == nil:
		return a.fail(BadTLS, pgerror.CertificateRequired, "")
	case demands.Mode == config.SSLVerifyFull && !a.namedByCertificate():
		return a.fail(BadTLS, pgerror.CertificateMismatch(a.user), a.certificateText(a.opt.CertName))
	}
	return nil
}
