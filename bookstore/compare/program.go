package compare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"weir/internal/child"
)

// program is one that a turn runs. Its methods do nothing on nil: the direct way has no proxy.
type program struct {
	*child.Process
	name    string
	logPath string
	stopped sync.Once
}

// stopWait is how long a program may take to end in good order.
const stopWait = 5 * time.Second

// startProgram runs a program with its output in a file. If we are killed, it is told to end.
func startProgram(logPath string, env []string, name string, args ...string) (*program, error) {
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
	p, err := child.Start(cmd, log, syscall.SIGTERM)
	if err != nil {
		return nil, err
	}
	return &program{Process: p, name: filepath.Base(name), logPath: logPath}, nil
}

// waitReady calls probe until it succeeds. The error of one that never does holds the program's last words.
func (p *program) waitReady(ctx context.Context, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.Done():
			return p.running()
		case <-ctx.Done():
			return fmt.Errorf("it does not answer (%w), and says:\n%s", errors.Join(ctx.Err(), err), p.lastWords())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// running is an error if the program has ended.
func (p *program) running() error {
	if p == nil {
		return nil
	}
	select {
	case <-p.Done():
		return fmt.Errorf("%s ended by itself, saying:\n%s", p.name, p.lastWords())
	default:
		return nil
	}
}

func (p *program) lastWords() string {
	b, err := os.ReadFile(p.logPath)
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
func (p *program) terminate() {
	if p == nil {
		return
	}
	p.stopped.Do(func() {
		select {
		case <-p.Done(): // its number may be another's by now
		default:
			_ = syscall.Kill(-p.PID, syscall.SIGTERM)
		}
	})
}

// stop ends the program: politely, then not. It returns when it has ended.
func (p *program) stop() {
	if p == nil {
		return
	}
	p.terminate()
	select {
	case <-p.Done():
	case <-time.After(stopWait):
		_ = syscall.Kill(-p.PID, syscall.SIGKILL)
		<-p.Done()
	}
}
