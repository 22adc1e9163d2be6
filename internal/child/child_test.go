package child

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

func logFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestOutputAndEndOfAProgramAreKept(t *testing.T) {
	log := logFile(t)
	p, err := Start(exec.Command("sh", "-c", "echo said; echo so >&2; exit 3"), log, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if exit, ok := errors.AsType[*exec.ExitError](p.Err()); !ok || exit.ExitCode() != 3 {
		t.Errorf("it has ended with %v", p.Err())
	}
	if said, err := os.ReadFile(log.Name()); err != nil || string(said) != "said\nso\n" {
		t.Errorf("it has said %q, %v", said, err)
	}
}

func TestProgramLeadsItsOwnGroup(t *testing.T) {
	p, err := Start(exec.Command("sleep", "3600"), logFile(t), syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	if group, err := syscall.Getpgid(p.PID); err != nil || group != p.PID {
		t.Errorf("process %d is in group %d, %v", p.PID, group, err)
	}
	if err := syscall.Kill(-p.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
}

func TestProgramThatIsNotThereIsNotStarted(t *testing.T) {
	if _, err := Start(exec.Command(filepath.Join(t.TempDir(), "none")), logFile(t), syscall.SIGKILL); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
