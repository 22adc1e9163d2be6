package socket

import "golang.org/x/sys/unix"

// DescriptorLimit is how many descriptors the process may have, 0 if the system does not tell. Go's package os has raised the soft
// limit to the hard one when the process began; where it could not, it is raised here.
func DescriptorLimit() int {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	if l.Cur < l.Max {
		raised := l
		raised.Cur = l.Max
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
			l = raised
		}
	}
	return int(min(l.Cur, 1<<30))
}
