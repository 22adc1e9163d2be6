// Package child runs programs beside this one, for tests, the demo and benchmarks: each with its output in a file, in a process group of its
// own, and on Linux for no longer than this process lives. It imports the standard library alone; what it has may be used on any goroutine.
package child

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// Process is a program that was started.
type Process struct {
	PID int // also the number of its group

	process *os.Process
	done    chan struct{}
	err     error // written before done is closed
}

// Start runs cmd, whose output goes to log, and owns both from then on. The program has a process group of its own: Ctrl-C in the terminal goes
// to ours alone, and the caller ends the program in good order. Where this process is killed and cannot, the kernel sends atDeath (on Linux;
// elsewhere the program outlives it).
func Start(cmd *exec.Cmd, log *os.File, atDeath syscall.Signal) (*Process, error) {
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	dieWithParent(cmd.SysProcAttr, atDeath)
	p := &Process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The signal comes when the thread that has forked ends, and threads of other goroutines do end: this one is kept.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer func() { _ = log.Close() }()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		p.process, p.PID = cmd.Process, cmd.Process.Pid
		started <- nil
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Signal sends the program a signal. One that has ended gets none.
func (p *Process) Signal(s syscall.Signal) { _ = p.process.Signal(s) }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the program has ended, as exec.Cmd.Wait says it. It may be asked when Done is closed.
func (p *Process) Err() error { return p.err }
