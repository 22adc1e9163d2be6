package main

import (
	"errors"
	"fmt"
	"io"
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

// background is the end of a pipe on which a process in the background tells the one that was asked for it how its start went. nil: this is no
// such process.
type background struct{ out *os.File }

// backgroundFile is the descriptor of that end.
const backgroundFile = 3

// serves is what is told of a start that went well; else it is the error.
const serves = "\x00"

// toBackground starts this program again, apart from the terminal, with no standard streams, and returns when that serves: so there is a
// pidfile then, and a script finds out about a start that has failed. True: this is the process that was asked for it, and has nothing left
// to do. A Go program cannot fork: its threads would be missing.
func toBackground() (b *background, parent bool, err error) {
	if os.Getenv(daemonEnv) != "" {
		syscall.CloseOnExec(backgroundFile)
		return &background{os.NewFile(backgroundFile, "start")}, false, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, false, err
	}
	in, out, err := os.Pipe()
	if err != nil {
		return nil, false, fmt.Errorf("go to the background: %w", err)
	}
	defer func() { _ = in.Close() }()
	c := exec.Command(self, os.Args[1:]...) //nolint:gosec // G204: itself
	c.Env = append(os.Environ(), daemonEnv+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	c.ExtraFiles = []*os.File{out}
	err = c.Start()
	_ = out.Close()
	if err != nil {
		return nil, false, fmt.Errorf("go to the background: %w", err)
	}
	word, _ := io.ReadAll(in) // to the end, which comes with the process at the latest
	switch string(word) {
	case serves:
		return nil, true, c.Process.Release()
	case "":
		return nil, true, errors.New("the process in the background has ended before it served")
	}
	return nil, true, errors.New(string(word))
}

// started tells the other process, once, that this one serves.
func (b *background) started() { b.tell(serves) }

// failed tells it why not, if that has not been told.
func (b *background) failed(err error) {
	if err != nil {
		b.tell(err.Error())
	}
}

func (b *background) tell(word string) {
	if b != nil {
		_, _ = b.out.WriteString(word) // if nobody waits any more, nobody misses it
		_ = b.out.Close()
	}
}
