package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgproto3/v2"

	"weir/internal/pgserver"
)

// sClient is OpenSSL's own client. It sends what it is given, but takes a line that begins with certain letters for a command to
// TLS itself.
type sClient struct {
	t     *testing.T
	stdin io.WriteCloser
	mu    sync.Mutex
	out   bytes.Buffer
}

func openSClient(t *testing.T, w *weirUnderTest, args ...string) *sClient {
	t.Helper()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl")
	}
	dir := t.TempDir()
	ca := authority.Write(dir, "ca")
	cmd := exec.Command(openssl, append([]string{"s_client", "-connect", w.Addr, "-servername", "localhost", "-CAfile", ca, "-verify_return_error"}, args...)...)
	c := &sClient{t: t}
	cmd.Stdout, cmd.Stderr = c, c
	if c.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return c
}

func (c *sClient) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(p)
}

func (c *sClient) send(p []byte) {
	c.t.Helper()
	if _, err := c.stdin.Write(p); err != nil {
		c.t.Fatal(err)
	}
}

// until waits for a text and forgets what came up to it.
func (c *sClient) until(text string) {
	c.t.Helper()
	eventually(c.t, func() string {
		c.mu.Lock()
		defer c.mu.Unlock()
		if i := bytes.Index(c.out.Bytes(), []byte(text)); i >= 0 {
			c.out.Next(i + len(text))
			return ""
		}
		return fmt.Sprintf("no %q in %q", text, c.out.String())
	})
}

// login sends a startup packet and waits until the server is ready.
func (c *sClient) login(d *pgserver.Database) {
	c.t.Helper()
	c.until("Verify return code: 0 (ok)")
	c.send(encode(c.t, &pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: map[string]string{
		"user": d.Server.Superuser(), "database": d.Name,
	}}))
	c.until("Z\x00\x00\x00\x05I")
}

func (c *sClient) ask(text string) {
	c.t.Helper()
	c.send(extendedBytes("SELECT '" + text + "'"))
	c.until("D\x00\x00\x00\x0e\x00\x01\x00\x00\x00\x04" + text)
}

// TestOpenSSLTalksToWeir: another TLS than Go's, in both versions, and asked for in both ways.
func TestOpenSSLTalksToWeir(t *testing.T) {
	d := database(t)
	w := startWithTLS(t, d, "")
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		for name, how := range map[string][]string{"asked": {"-starttls", "postgres"}, "direct": {"-alpn", "postgresql"}} {
			t.Run(name+version, func(t *testing.T) {
				c := openSClient(t, w, append(how, version)...)
				c.login(d)
				c.ask("fish")
			})
		}
	}
	t.Run("old versions are refused", func(t *testing.T) {
		openSClient(t, w, "-starttls", "postgres", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0").until("alert protocol version")
	})
}

// TestNewKeysFromOpenSSL: a client changes its keys and asks for weir's new ones, between queries and again.
func TestNewKeysFromOpenSSL(t *testing.T) {
	d := database(t)
	w := startWithTLS(t, d, "")
	c := openSClient(t, w, "-starttls", "postgres", "-tls1_3")
	c.login(d)
	for i := range 5 {
		c.send([]byte("K\n"))
		c.until("KEYUPDATE")
		c.ask(fmt.Sprintf("key%d", i))
	}
}

// TestRenegotiationIsRefused: TLS 1.2 lets a client ask for another handshake. PostgreSQL refuses that, and so does weir.
func TestRenegotiationIsRefused(t *testing.T) {
	d := database(t)
	w := startWithTLS(t, d, "")
	c := openSClient(t, w, "-starttls", "postgres", "-tls1_2")
	c.login(d)
	c.send([]byte("R\n"))
	c.until("RENEGOTIATING")
	eventually(t, func() string {
		if p := w.Proxy.Snapshot().Pools[0]; clientCount(p) > 0 {
			return fmt.Sprintf("%v", p.Clients)
		}
		return ""
	})
	if strings.Contains(w.Log.String(), "level=ERROR") {
		t.Error("an error was logged")
	}
	enter(t, w, d).Query("SELECT 1")
}
