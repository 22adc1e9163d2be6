package bench

import "syscall"

// raiseDescriptors lifts the soft limit of open files to the hard one, for us and, since it is set explicitly, for
// the targets too: Go's runtime would otherwise give children the old limit back.
func raiseDescriptors() {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err == nil {
		lim.Cur = lim.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim) // macOS refuses unlimited; clientsMax reads what holds
	}
}

// spareDescriptors are those that a process needs beside one per client: backends, logs, pollers, the other suites'
// rest. PgBouncer subtracts a similar sum when it warns of a low limit.
const spareDescriptors = 300

// spareShare is the part of its descriptors, one in so many, that weir does not give to clients where it serves "*" (proxy/descriptors.go).
const spareShare = 8

// withinLimit is n, or as many clients as this process, and so a target, may have descriptors for.
func (l *Lab) withinLimit(n int) int {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return n
	}
	limit := int(min(lim.Cur, 1<<20))
	if most := limit - limit/spareShare - spareDescriptors; n > most {
		l.Progress("the limit of open files allows %d clients, not %d", most, n)
		return most
	}
	return n
}
