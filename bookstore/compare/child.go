package compare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// child is a program that a turn runs. Its methods do nothing on nil: the direct way has no proxy.
type child struct {
	name    string
	pid     int
	logPath string
	done    chan struct{} // closed when it has ended
	stopped sync.Once

	succeeded bool // its exit code was 0; read after done
}

// stopWait is how long a program may take to end in good order.
const stopWait = 5 * time.Second

// startChild runs a program in a process group of its own (Ctrl-C is ours to handle), with its output in a file.
// The goroutine that forks keeps its OS thread while the program runs: the kernel's signal at our death is tied to it.
func startChild(logPath string, env []string, name string, args ...string) (*child, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(cmd.SysProcAttr)

	c := &child{name: filepath.Base(name), logPath: logPath, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer log.Close()
		err := cmd.Start()
		if err != nil {
			started <- err
			return
		}
		c.pid = cmd.Process.Pid
		started <- nil
		c.succeeded = cmd.Wait() == nil // its log says why it ended
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

// waitReady calls probe until it succeeds. The error of one that never does holds the program's last words.
func (c *child) waitReady(ctx context.Context, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-c.done:
			return c.running()
		case <-ctx.Done():
			return fmt.Errorf("it does not answer (%w), and says:\n%s", errors.Join(ctx.Err(), err), c.lastWords())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// running is an error if the program has ended.
func (c *child) running() error {
	if c == nil {
		return nil
	}
	select {
	case <-c.done:
		return fmt.Errorf("%s ended by itself, saying:\n%s", c.name, c.lastWords())
	default:
		return nil
	}
}

func (c *child) lastWords() string {
	b, err := os.ReadFile(c.logPath)
	if err != nil {
		return err.Error()
	}
	if len(b) == 0 {
		return "(nothing)"
	}
	return lastLines(string(b))
}

func lastLines(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

// terminate asks the program to end in good order.
func (c *child) terminate() {
	if c == nil {
		return
	}
	c.stopped.Do(func() {
		select {
		case <-c.done: // its number may be another's by now
		default:
			_ = syscall.Kill(-c.pid, syscall.SIGTERM)
		}
	})
}

// stop ends the program: politely, then not. It returns when it has ended.
func (c *child) stop() {
	if c == nil {
		return
	}
	c.terminate()
	select {
	case <-c.done:
	case <-time.After(stopWait):
		_ = syscall.Kill(-c.pid, syscall.SIGKILL)
		<-c.done
	}
}
