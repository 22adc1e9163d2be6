package login

import (
	"os"

	"weir/proxy/pgerror"
	"weir/proxy/socket"
)

// provedByAccount reports whether a client of the admin console needs no further proof: the kernel says that it is the account that weir
// runs as, or root. Either may do to weir what it wants anyway.
func (a *attempt) provedByAccount() bool {
	if !a.console || !a.overUnix() {
		return false
	}
	uid, err := socket.PeerUID(a.under)
	if err != nil || !nameable(uid, readSmall) {
		return false
	}
	a.own = uid == 0 || int64(uid) == int64(os.Geteuid())
	return a.own
}

// admitToConsole asks whether the client may use the admin console.
func (a *attempt) admitToConsole() *Failure {
	if a.replication != NoReplication {
		return a.fail(Refused, pgerror.ConsoleNoReplication, "")
	}
	err := a.opt.AdmitConsole(a.user, a.own)
	switch {
	case err == nil:
		a.admitted = true
		return nil
	case err.Code == pgerror.CodeTooManyConnections:
		return a.fail(Full, err, "")
	}
	return a.fail(NotAllowed, err, "")
}
