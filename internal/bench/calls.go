package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// CallCount is how many system calls a proxy made per transaction, and who counted.
type CallCount struct {
	PerTransaction float64 `json:"per_transaction"`
	Tool           string  `json:"tool"`
}

// callsTurn is a turn of its own: a tracer slows the target down, most of all strace.
const callsTurn = 3 * time.Second

// countCalls runs a short load while a tracer counts. perf counts in the kernel and hardly disturbs; strace stops the
// target at each call, which changes how many events one poll finds, so its count is the second choice.
func (l *Lab) countCalls(ctx context.Context, t *target, load pgbenchArgs) (CallCount, error) {
	load.duration = callsTurn
	var errs []error
	for _, tracer := range []struct {
		tool string
		args []string
		read func(string) (int64, error)
	}{
		{"perf", []string{"stat", "-x", ";", "-e", "raw_syscalls:sys_enter", "-p", strconv.Itoa(t.PID)}, parsePerf},
		{"strace", []string{"-c", "-U", "calls,name", "-f", "-p", strconv.Itoa(t.PID)}, parseStrace},
	} {
		calls, transactions, err := l.trace(ctx, t, load, tracer.tool, tracer.args, tracer.read)
		if err == nil {
			return CallCount{PerTransaction: float64(calls) / float64(transactions), Tool: tracer.tool}, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", tracer.tool, err))
	}
	return CallCount{}, errors.Join(errs...)
}

// attachWait lets the tracer reach the target before the load begins; neither tool says when it has. A late one
// misses a few logins.
const attachWait = 300 * time.Millisecond

func (l *Lab) trace(ctx context.Context, t *target, load pgbenchArgs, tool string, args []string, read func(string) (int64, error)) (calls, transactions int64, err error) {
	path, err := exec.LookPath(tool)
	if err != nil {
		return 0, 0, err
	}
	var out strings.Builder
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // seen: an interrupted perf interrupts its whole group, us too
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	waitErr := sleep(ctx, attachWait)
	run, loadErr := l.runPgbench(ctx, t.addr, load)
	_ = cmd.Process.Signal(os.Interrupt) // both print what they have and end; their exit code says only that
	_ = cmd.Wait()
	if err := errors.Join(waitErr, loadErr); err != nil {
		return 0, 0, err
	}
	if calls, err = read(out.String()); err != nil {
		return 0, 0, fmt.Errorf("%w\n%s", err, tail(out.String()))
	}
	return calls, run.Transactions, nil
}

// parsePerf reads `perf stat -x ;`: value;unit;event;... The value is text when the kernel does not let us count.
func parsePerf(out string) (int64, error) {
	for line := range strings.Lines(out) {
		fields := strings.Split(line, ";")
		if len(fields) < 3 || fields[2] != "raw_syscalls:sys_enter" {
			continue
		}
		n, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil || n == 0 {
			return 0, fmt.Errorf("not counted (%s)", fields[0])
		}
		return n, nil
	}
	return 0, errors.New("no count in its output")
}

// parseStrace reads `strace -c -U calls,name`, whose last line is the sum and "total".
func parseStrace(out string) (int64, error) {
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) == 2 && fields[1] == "total" {
			return strconv.ParseInt(fields[0], 10, 64)
		}
	}
	return 0, errors.New("no total in its output")
}
