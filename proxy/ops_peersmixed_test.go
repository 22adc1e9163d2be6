package proxy_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"weir/internal/pgserver"
)

// A PgBouncer and a weir with the same [peers] pass on each other's requests. Skipped where no PgBouncer is installed.
func TestPgBouncerAndWeirPassOnEachOthersRequests(t *testing.T) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		t.Skip("no pgbouncer here")
	}
	d := database(t)
	bouncerAt := freeAddress(t)
	_, port, _ := net.SplitHostPort(bouncerAt)
	w := start(t, d, peerAt(300, t.TempDir())+fmt.Sprintf("[peers.2]\nhost = \"127.0.0.1\"\nport = %s\npgbouncer = true\n", port))
	bouncer := startBouncer(t, d, program, bouncerAt, w.Addr)
	defer w.Stop()
	defer bouncer()

	behind := *w // clients of PgBouncer
	behind.Addr = bouncerAt
	cancelsItsOwn(t, d, viaPeer(t, d, &behind, "tcp", w.Addr))
	for _, version := range []string{"3.0", "3.2"} {
		cancelsItsOwn(t, d, viaPeer(t, d, w, "tcp", bouncerAt, "max_protocol_version", version))
	}
	if p := w.peers(); p.Passed != 1 || p.Received != 2 || len(p.Failed) != 0 {
		t.Errorf("%+v", p)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// startBouncer runs a PgBouncer with the id 2, whose peer 300 is at an address, until stop is called.
func startBouncer(t *testing.T, d *pgserver.Database, program, at, peer string) (stop func()) {
	t.Helper()
	version, err := exec.Command(program, "--version").Output()
	if n := regexp.MustCompile(`1\.(\d+)`).FindSubmatch(version); err != nil || n == nil || atoi(t, string(n[1])) < 21 {
		t.Skipf("%s has other keys, %v", version, err)
	}
	_, port, _ := net.SplitHostPort(at)
	_, peerPort, _ := net.SplitHostPort(peer)
	file := filepath.Join(t.TempDir(), "pgbouncer.ini")
	text := fmt.Sprintf("[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=%s\nunix_socket_dir=\nauth_type=any\npool_mode=transaction\npeer_id=2\n"+
		"[databases]\n%s = host=127.0.0.1 port=%d user=%s\n[peers]\n300 = host=127.0.0.1 port=%s\n",
		port, d.Name, d.Server.Port(), d.Server.Superuser(), peerPort)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, file)
	log := new(logCapture)
	cmd.Stdout, cmd.Stderr = log, log
	if os.Getuid() == 0 { // it does not serve as root
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if err := os.Chmod(filepath.Dir(filepath.Dir(file)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		c, err := new(net.Dialer).DialContext(context.Background(), "tcp", at)
		if err != nil {
			return err.Error() + "\n" + log.String()
		}
		_ = c.Close()
		return ""
	})
	return func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log("PgBouncer's log:\n" + log.String())
		}
	}
}
