package login

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"strings"

	"weir/proxy/pgerror"
	"weir/proxy/socket"
)

// peer asks the kernel which account is at the other end.
func (a *attempt) peer() *Failure {
	failed := func(why string) *Failure {
		return a.fail(WrongIdentity, pgerror.PeerFailed(a.user), why)
	}
	uid, err := socket.PeerUID(a.nc)
	if err != nil {
		return failed(err.Error())
	}
	if !nameable(uid, readSmall) {
		return failed("the kernel cannot name the account at the other end, because it is not mapped into weir's user namespace (PrivateUsers=)")
	}
	// The C library is asked where Go was built with it, otherwise /etc/passwd.
	var account *user.User
	a.apart(func() { account, err = user.LookupId(strconv.FormatUint(uint64(uid), 10)) })
	if err != nil {
		return failed(err.Error())
	}
	if !a.allows(account.Username) {
		return failed("the other end is " + account.Username + a.mapText())
	}
	return nil
}

// Where Linux says which users weir's user namespace has (user_namespaces(7)).
const (
	uidMapFile      = "/proc/self/uid_map"
	overflowUIDFile = "/proc/sys/kernel/overflowuid"
)

// nameable reports whether a user ID that the kernel has given stands for one account. In a user namespace (PrivateUsers= of systemd, a
// rootless container) all accounts that are not mapped into it look like one, the overflow ID, which is mostly called nobody. Where
// every ID is mapped no account looks so.
func nameable(uid uint32, read func(name string) (string, error)) bool {
	overflow := uint64(65534) // DEFAULT_OVERFLOWUID in Linux' include/linux/highuid.h
	if text, err := read(overflowUIDFile); err == nil {
		if n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32); err == nil {
			overflow = n
		}
	}
	if uint64(uid) != overflow {
		return true
	}
	text, err := read(uidMapFile)
	if errors.Is(err, fs.ErrNotExist) {
		return runtime.GOOS != "linux" // other systems have no user namespaces; Linux without /proc does not say
	}
	return err == nil && mapsAll(text)
}

// mapsAll reads a uid_map: on each line the first ID within, the first one outside, and how many there are.
func mapsAll(text string) bool {
	const all = 1<<32 - 1 // the last ID is none
	fields := strings.Fields(text)
	if len(fields) != 3 {
		return false
	}
	n, err := strconv.ParseUint(fields[2], 10, 32)
	return err == nil && fields[0] == "0" && fields[1] == "0" && n == all
}

// readSmall reads a file of the kernel's.
func readSmall(name string) (string, error) {
	f, err := os.Open(name) //nolint:gosec // G304: one of the names above
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, 16<<10))
	return string(b), err
}
