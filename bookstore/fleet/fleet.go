// Package fleet serves from several processes on one listener, as the original did with its worker per core.
//
// The parent opens the listener, starts the same program again for each worker with the listener's descriptor, starts
// anew whichever ends by itself, and passes the order to stop on. It serves nothing. A worker finds out by Join what it
// is, and ends when its parent does, however that ended. Whichever worker is asked for metrics answers for all.
//
// Run owns its workers and returns when all have ended. The package knows nothing of the bookstore; it imports
// Prometheus' client.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Options are what a parent starts.
type Options struct {
	Listener  *net.TCPListener // becomes Run's, which closes it
	Processes int
	Program   string   // what a worker is; empty: the program that this is
	Args      []string // of the program, for each worker
	Env       []string // beyond this process's own
	Grace     time.Duration
	Log       *slog.Logger
	Stderr    *os.File
}

const (
	// restartPause keeps a worker that cannot live from being started all the time.
	restartPause = time.Second
	// killMargin is how long beyond its grace a worker may take to end.
	killMargin = 3 * time.Second
)

// The variables that make a process a worker.
const (
	numberVar = "FLEET_WORKER" // from 1
	totalVar  = "FLEET_WORKERS"
	dirVar    = "FLEET_DIR" // where workers meet
)

// Descriptors that a worker gets.
const (
	listenerFD = 3 + iota
	parentFD   // the reading end of a pipe whose other end nobody but the parent has
)

// parent is what workers are started from.
type parent struct {
	Options
	listener *os.File
	life     *os.File // workers' end of the pipe
	dir      string
}

// Run keeps the workers running until ctx is done, and lets them end in good order then. If one cannot be started at the
// beginning, there is no point in waiting: all end, and Run says why.
func Run(ctx context.Context, o Options) error {
	defer o.Listener.Close()
	if o.Program == "" {
		program, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find our own program: %w", err)
		}
		o.Program = program
	}
	listener, err := o.Listener.File()
	if err != nil {
		return fmt.Errorf("share the listener: %w", err)
	}
	defer listener.Close()
	life, ours, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe for the workers: %w", err)
	}
	defer life.Close()
	defer ours.Close() // the system does it if we cannot, and the workers end
	dir, err := os.MkdirTemp("", "bookstore-")
	if err != nil {
		return fmt.Errorf("make a folder for the workers' sockets: %w", err)
	}
	defer os.RemoveAll(dir)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &parent{Options: o, listener: listener, life: life, dir: dir}
	errs := make([]error, o.Processes)
	var wg sync.WaitGroup
	for i := range o.Processes {
		wg.Go(func() {
			if errs[i] = p.keep(ctx, i+1); errs[i] != nil {
				cancel()
			}
		})
	}
	<-ctx.Done()
	// Without this copy, and the workers', nobody can connect any more.
	_ = o.Listener.Close()
	_ = listener.Close()
	wg.Wait()
	return errors.Join(errs...)
}

// keep runs one worker, and another in its place when it ends by itself.
func (p *parent) keep(ctx context.Context, number int) error {
	for first := true; ctx.Err() == nil; first = false {
		cmd, err := p.start(number)
		switch {
		case err == nil:
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			select {
			case err = <-ended:
			case <-ctx.Done():
				return p.stop(cmd, ended, number)
			}
		case first && ctx.Err() == nil: // at the end the listener is closed under our feet
			return fmt.Errorf("start worker %d: %w", number, err)
		}
		if ctx.Err() != nil { // the order to stop has come, and what failed at that moment is no news
			return nil //nolint:nilerr // see above
		}
		p.Log.Error("worker ended, starting another", slog.Int("process", number), slog.Any("error", err))
		select {
		case <-ctx.Done():
		case <-time.After(restartPause):
		}
	}
	return nil
}

func (p *parent) start(number int) (*exec.Cmd, error) {
	cmd := exec.Command(p.Program, p.Args...) //nolint:gosec // it is this program, as it was started
	cmd.Env = append(append(os.Environ(), p.Env...),
		numberVar+"="+strconv.Itoa(number), totalVar+"="+strconv.Itoa(p.Processes), dirVar+"="+p.dir)
	cmd.ExtraFiles = []*os.File{listenerFD - 3: p.listener, parentFD - 3: p.life}
	cmd.Stdout, cmd.Stderr = p.Stderr, p.Stderr
	return cmd, cmd.Start()
}

// stop lets a worker end in good order, or not.
func (p *parent) stop(cmd *exec.Cmd, ended <-chan error, number int) error {
	_ = cmd.Process.Signal(syscall.SIGTERM) // one that has ended needs none
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("worker %d: %w", number, err)
		}
		return nil
	case <-time.After(p.Grace + killMargin):
		_ = cmd.Process.Kill()
		return fmt.Errorf("worker %d did not end in %s and was killed: %w", number, p.Grace+killMargin, <-ended)
	}
}
