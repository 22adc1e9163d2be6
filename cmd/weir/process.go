package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"weir/config"
)

// becomeUser changes to an account. Only root can; any other account must be that one already.
func becomeUser(name string) error {
	if name == "" {
		return nil
	}
	account, err := user.Lookup(name)
	if err != nil {
		return fmt.Errorf("change to user %q: %w", name, err)
	}
	uid, _ := strconv.Atoi(account.Uid) // numbers on every system that weir runs on
	gid, _ := strconv.Atoi(account.Gid)
	switch {
	case os.Geteuid() == uid:
		return nil
	case os.Geteuid() != 0:
		return fmt.Errorf("change to user %q: only root can", name)
	}
	ids, err := account.GroupIds()
	if err != nil {
		return fmt.Errorf("change to user %q: %w", name, err)
	}
	groups := make([]int, 0, len(ids))
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil {
			groups = append(groups, n)
		}
	}
	if err := errors.Join(syscall.Setgroups(groups), syscall.Setgid(gid), syscall.Setuid(uid)); err != nil {
		return fmt.Errorf("change to user %q: %w", name, err)
	}
	return nil
}

// writePIDFile makes the file, which must not be there, unless it names a process that has ended. The function removes it.
func writePIDFile(name config.Path) (remove func(), err error) {
	if name == "" {
		return func() {}, nil
	}
	if err := removeStalePIDFile(string(name)); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(string(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // G302: others read it to find the process
	if err != nil {
		return nil, fmt.Errorf("write pidfile: %w", err)
	}
	_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("write pidfile: %w", err)
	}
	return func() { _ = os.Remove(string(name)) }, nil
}

func removeStalePIDFile(name string) error {
	text, err := os.ReadFile(name) //nolint:gosec // G304: the operator names it
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read pidfile: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil && pid > 0 && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return os.Remove(name)
	}
	return fmt.Errorf("pidfile '%s' exists, another instance running?", name)
}

// daemonEnv marks the process in the background, lest it starts another.
const daemonEnv = "WEIR_DAEMON"

// toBackground starts this program again, apart from the terminal, with no standard streams. True: this is the process that was asked
// for it, and has nothing left to do. A Go program cannot fork: its threads would be missing.
func toBackground() (bool, error) {
	if os.Getenv(daemonEnv) != "" {
		return false, nil
	}
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	c := exec.Command(self, os.Args[1:]...) //nolint:gosec // G204: itself
	c.Env = append(os.Environ(), daemonEnv+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		return false, fmt.Errorf("go to the background: %w", err)
	}
	return true, c.Process.Release()
}
