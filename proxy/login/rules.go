package login

import (
	"net"
	"net/netip"

	"weir/config"
	"weir/config/hba"
	"weir/proxy/pgerror"
)

// method finds out how the client is to prove who it is, and refuses those that no rule lets try.
func (a *attempt) method() (Method, *Failure) {
	if a.opt.Method != MethodHBA {
		return a.opt.Method, a.shownCertificate(a.opt.Method)
	}
	a.rule = a.opt.Rules.Match(a.request())
	if a.rule == nil {
		return MethodReject, a.fail(NotAllowed, pgerror.NoRule(a.origin()), "")
	}
	method := ofRule(a.rule.Method)
	if method == MethodReject {
		return method, nil
	}
	return method, a.shownCertificate(method)
}

func ofRule(m hba.Method) Method {
	switch m {
	case hba.Trust:
		return MethodTrust
	case hba.Password:
		return MethodPassword
	case hba.MD5:
		return MethodMD5
	case hba.SCRAM:
		return MethodSCRAM
	case hba.Peer:
		return MethodPeer
	case hba.Cert:
		return MethodCert
	case hba.Reject:
	}
	return MethodReject
}

// request is the connection as rules see it.
func (a *attempt) request() hba.Request {
	q := hba.Request{TLS: a.tls != nil, Database: a.database, User: a.user, Interfaces: interfaces}
	q.Replication = a.replication == PhysicalReplication
	switch addr := a.nc.RemoteAddr().(type) {
	case *net.UnixAddr:
		q.Local = true
	case *net.TCPAddr:
		q.Addr = addr.AddrPort().Addr()
	}
	return q
}

// interfaces are this machine's, as they are now: they may change while weir runs.
func interfaces() []netip.Prefix {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var list []netip.Prefix
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				ones, _ := n.Mask.Size()
				list = append(list, netip.PrefixFrom(ip.Unmap(), ones))
			}
		}
	}
	return list
}

// origin is the connection as errors name it.
func (a *attempt) origin() pgerror.Peer {
	v := pgerror.Peer{Host: "[local]", User: a.user, Database: a.database, TLS: a.tls != nil, Replication: a.replication == PhysicalReplication}
	if addr, ok := a.nc.RemoteAddr().(*net.TCPAddr); ok {
		v.Host = addr.AddrPort().Addr().Unmap().WithZone("").String()
	}
	return v
}

// allows reports whether a client that the system or a certificate calls name may log in as the user.
func (a *attempt) allows(name string) bool {
	return a.opt.Maps.Allows(a.mapName(), name, a.user)
}

func (a *attempt) mapName() string {
	if a.rule == nil {
		return ""
	}
	return a.rule.Map
}

func (a *attempt) mapText() string {
	if name := a.mapName(); name != "" {
		return ", whom map " + name + " does not let in as this user"
	}
	return ""
}

// certificateDemand is what the rule, or the method without rules, demands of a certificate.
func (a *attempt) certificateDemand(method Method) hba.ClientCert {
	switch {
	case a.rule != nil:
		return a.rule.ClientCert
	case method == MethodCert:
		return hba.CertVerifyFull
	}
	return hba.CertAny
}

// shownCertificate refuses a client without a certificate where it must have one, before it is asked for anything.
func (a *attempt) shownCertificate(method Method) *Failure {
	if a.certificateDemand(method) != hba.CertAny && a.certificate == nil {
		return a.fail(WrongIdentity, pgerror.CertificateRequired, "")
	}
	return nil
}

// ownCertificate asks, last of all, whether the certificate is the user's.
func (a *attempt) ownCertificate(method Method) *Failure {
	if a.certificateDemand(method) != hba.CertVerifyFull {
		return nil
	}
	kind := a.certificateName()
	for _, name := range certificateNames(a.certificate, kind) {
		if a.allows(name) {
			return nil
		}
	}
	return a.fail(WrongIdentity, pgerror.CertificateMismatch(a.user), a.certificateText(kind)+a.mapText())
}

// certificateName says which of a certificate's names counts: what the rule says, or else what cert_name says.
func (a *attempt) certificateName() config.CertName {
	if a.rule != nil {
		switch a.rule.ClientName {
		case hba.ClientNameCN:
			return config.CertCN
		case hba.ClientNameDN:
			return config.CertDN
		case hba.ClientNameAny:
		}
	}
	return a.opt.CertName
}
