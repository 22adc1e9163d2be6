package config

import (
	"errors"
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

func TestEmptyFilesAreNotLoaded(t *testing.T) {
	dir := t.TempDir()
	file, rules := filepath.Join(dir, "weir.toml"), filepath.Join(dir, "hba")
	for _, c := range []struct{ file, rules, want string }{
		{"", "local all all trust\n", "is empty"},
		{"\n \r\n", "local all all trust\n", "is empty"},
		{"[auth]\ntype = \"hba\"\nhba_file = \"hba\"\n", "", "contains no entries"},
		{"[auth]\ntype = \"hba\"\nhba_file = \"hba\"\n", "# later\n", "contains no entries"},
	} {
		if err := errors.Join(os.WriteFile(file, []byte(c.file), 0o600), os.WriteFile(rules, []byte(c.rules), 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(file); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q with rules %q: %v, want %q", c.file, c.rules, err, c.want)
		}
	}
}
