package pgserver

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"weir/internal/child"
)

// runAs is the user whom the server's programs run as.
type runAs struct {
	name     string
	uid, gid uint32
	switched bool // not our own user
}

// whoRuns is this process's user, or for root, whom PostgreSQL refuses, the user postgres or else nobody.
func whoRuns() (runAs, error) {
	if os.Geteuid() != 0 {
		return runAs{name: strconv.Itoa(os.Geteuid()), uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return runAs{name: name, uid: uint32(uid), gid: uint32(gid), switched: true}, nil
		}
	}
	return runAs{}, fmt.Errorf("run PostgreSQL as root: it refuses, and there is no user postgres or nobody")
}

func (r runAs) chown(path string) error {
	if !r.switched {
		return nil
	}
	if err := os.Chown(path, int(r.uid), int(r.gid)); err != nil {
		return fmt.Errorf("give the folder to %s: %w", r.name, err)
	}
	return nil
}

// tempDir is the temporary folder, where the server's user can enter it.
func (r runAs) tempDir() string { return r.enterable(os.TempDir()) }

// enterable is dir, or /tmp when the server's user cannot enter dir (TMPDIR below root's home).
func (r runAs) enterable(dir string) string {
	if !r.switched {
		return dir
	}
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		st, err := os.Stat(d)
		if err != nil || st.Mode()&0o001 == 0 {
			return "/tmp"
		}
		if d == filepath.Dir(d) {
			return dir
		}
	}
}

// command prepares a program to run as the server's user, in a process group of its own: Ctrl-C in the terminal goes
// to our group alone.
func (r runAs) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "/" // ours may be closed to the server's user
	cmd.Env = serverEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: r.credential()}
	return cmd
}

func (r runAs) credential() *syscall.Credential {
	if !r.switched {
		return nil
	}
	return &syscall.Credential{Uid: r.uid, Gid: r.gid}
}

// serverEnv keeps libpq's and the server's variables of our environment (PGDATA, PGPORT, ...) from having effect.
func serverEnv() []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	if tz := os.Getenv("TZ"); tz != "" {
		env = append(env, "TZ="+tz)
	}
	return env
}

// startPostmaster runs the postmaster. If this program dies, the kernel ends it at once (immediate shutdown, which takes its children along).
func startPostmaster(postgres string, args []string, run runAs, logPath string) (*postmaster, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	p, err := child.Start(run.command(context.Background(), postgres, args...), log, syscall.SIGQUIT)
	if err != nil {
		return nil, err
	}
	return &postmaster{p}, nil
}

// postmaster is a running server.
type postmaster struct{ *child.Process }

// stop ends the server: SIGINT is its fast shutdown, SIGQUIT its immediate one.
func (p *postmaster) stop() {
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGINT, fastStopWait}, {syscall.SIGQUIT, quickStopWait}} {
		_ = syscall.Kill(p.PID, step.signal)
		select {
		case <-p.Done():
			return
		case <-time.After(step.wait):
		}
	}
	children := childrenOf(p.PID) // each is the leader of a group of its own
	_ = syscall.Kill(-p.PID, syscall.SIGKILL)
	for _, child := range children {
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
	<-p.Done()
}

// owner is a caretaker process that cleans up when this program was killed and could not: it reads from a pipe whose
// other end only this program holds, so it wakes when we are gone, however we went.
type owner struct {
	cmd  *exec.Cmd
	pipe io.Closer
}

// caretaker ends the server, waits for it for a while, and removes its folder. The postmaster's pid is the first line
// of its pid file, which is gone when no server runs.
const caretaker = `trap '' INT TERM HUP
read -r _
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ]; then
	kill -QUIT "$pid" 2>/dev/null
	n=0
	while kill -0 "$pid" 2>/dev/null && [ $n -lt 50 ]; do sleep 0.1; n=$((n+1)); done
fi
rm -rf "$1"
`

func own(dir string) (*owner, error) {
	cmd := exec.Command("/bin/sh", "-c", caretaker, "weir-pg-caretaker", dir)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &owner{cmd: cmd, pipe: pipe}, nil
}

// release sends the caretaker away; the folder is already gone.
func (o *owner) release() {
	if o == nil {
		return
	}
	_ = o.cmd.Process.Kill()
	_ = o.cmd.Wait()
	_ = o.pipe.Close()
}
