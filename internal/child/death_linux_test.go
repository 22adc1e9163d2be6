package child

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// parentOf is set for the process that the test kills.
const parentOf = "WEIR_CHILD_TEST_PARENT"

// A program does not outlive the one that has started it, however that ends. It holds a pipe, which its end closes.
func TestProgramEndsWithItsParent(t *testing.T) {
	if os.Getenv(parentOf) != "" {
		beParent(t)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	parent := exec.Command(os.Args[0], "-test.run=^TestProgramEndsWithItsParent$")
	parent.Env = append(os.Environ(), parentOf+"=1")
	parent.ExtraFiles = []*os.File{w}
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = parent.Process.Kill() }()
	_ = w.Close()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "started\n" {
		t.Fatalf("the parent says %q, %v", line, err)
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	_ = r.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Errorf("the program has outlived its parent: %v", err)
	}
}

// beParent starts a program and waits to be killed.
func beParent(t *testing.T) {
	if _, err := Start(exec.Command("sleep", "3600"), os.NewFile(3, "pipe"), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_, _ = os.Stdout.WriteString("started\n")
	select {}
}
