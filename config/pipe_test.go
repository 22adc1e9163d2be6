package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestPipeIsReadWhereSomebodyWritesToIt(t *testing.T) {
	name := filepath.Join(t.TempDir(), "weir.toml")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Skip(err)
	}
	if _, err := Load(name); err == nil || !strings.Contains(err.Error(), "is a pipe, and nobody writes to it") {
		t.Errorf("nobody writes: %v", err)
	}
	r, w, err := os.Pipe() // as a shell's <(command)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	read := make(chan error)
	go func() {
		c, err := Load(fmt.Sprintf("/dev/fd/%d", r.Fd()))
		if err == nil && c.Pool.PoolSize != 7 {
			err = fmt.Errorf("pool_size is %d, want 7", c.Pool.PoolSize)
		}
		read <- err
	}()
	_, err = w.WriteString("[pool]\npool_size = 7\n")
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
}
