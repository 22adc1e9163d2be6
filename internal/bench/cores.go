package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
)

// division says which cores the proxies get, and which PostgreSQL and the clients. Both are as taskset wants them.
type division struct{ proxies, others string }

// othersLeast is how many cores PostgreSQL and the clients need at least, so that a proxy with several loops is kept busy.
const othersLeast = 2

// divide gives each loop a core of its own. It returns false where there are too few.
func divide(cores, loops int) (division, bool) {
	if cores < loops+othersLeast {
		return division{}, false
	}
	return division{fmt.Sprintf("0-%d", loops-1), fmt.Sprintf("%d-%d", loops, cores-1)}, true
}

// pin keeps all threads of a process, and what it starts later, to some cores.
func pin(ctx context.Context, pid int, cores string) error {
	if out, err := exec.CommandContext(ctx, "taskset", "-a", "-c", "-p", cores, strconv.Itoa(pid)).CombinedOutput(); err != nil {
		return fmt.Errorf("pin a process to the cores %s: %w\n%s", cores, err, out)
	}
	return nil
}

// divideCores keeps PostgreSQL and this process, with the pgbench that it starts, off the cores of the proxies.
func (l *Lab) divideCores(ctx context.Context, d division) error {
	for _, pid := range []int{l.pg.PID(), os.Getpid()} {
		if err := pin(ctx, pid, d.others); err != nil {
			return err
		}
	}
	l.cores = d.proxies
	return nil
}

// pinned is a command that runs on the cores of the proxies, if they have some of their own.
func (l *Lab) pinned(cmd *exec.Cmd) *exec.Cmd {
	if l.cores == "" {
		return cmd
	}
	return exec.Command("taskset", append([]string{"-c", l.cores}, cmd.Args...)...)
}
