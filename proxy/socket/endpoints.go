package socket

import (
	"crypto/tls"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// Endpoints are the addresses of both ends, zero where they have none, as on a unix socket. It asks the kernel twice: for snapshots.
func (c *Conn) Endpoints() (local, remote netip.AddrPort) {
	if c.fd < 0 {
		return local, remote
	}
	local = c.LocalEndpoint()
	if sa, err := unix.Getpeername(int(c.fd)); err == nil {
		remote = addrPort(sa)
	}
	return local, remote
}

// LocalEndpoint is the address of this end.
func (c *Conn) LocalEndpoint() (local netip.AddrPort) {
	if c.fd < 0 {
		return local
	}
	if sa, err := unix.Getsockname(int(c.fd)); err == nil {
		local = addrPort(sa)
	}
	return local
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// PeerPID is the process at the other end of a unix socket; 0 where the kernel does not tell.
func (c *Conn) PeerPID() uint32 {
	if c.fd < 0 {
		return 0
	}
	return peerPID(int(c.fd))
}

// ReceiveBuffer is the size of the kernel's buffer for what is received, in bytes, with what the kernel needs for itself; TCP's grows. 0:
// it is not known.
func (c *Conn) ReceiveBuffer() int {
	if c.fd < 0 {
		return 0
	}
	n, err := unix.GetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return 0
	}
	return n
}

// Protection names the version, the cipher suite and the curve of TLS as PgBouncer does; empty without TLS.
func (c *Conn) Protection() string {
	if c.tls == nil {
		return ""
	}
	return Protection(c.tls.TLS().ConnectionState())
}

// Protection names what a TLS connection has agreed on: TLSv1.3/TLS_AES_128_GCM_SHA256/ECDH=X25519.
func Protection(s tls.ConnectionState) string {
	name := strings.Replace(tls.VersionName(s.Version), "TLS ", "TLSv", 1) + "/" + tls.CipherSuiteName(s.CipherSuite)
	if s.CurveID != 0 {
		name += "/ECDH=" + s.CurveID.String()
	}
	return name
}
