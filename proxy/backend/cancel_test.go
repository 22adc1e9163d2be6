package backend

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"weir/config"
	"weir/internal/pgserver"
)

// waitFor asks a second backend until a condition on pg_stat_activity holds.
func waitFor(t *testing.T, watcher *Conn, sql string) {
	t.Helper()
	var got string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if got = query(t, watcher, sql); got == "t" {
			return
		}
	}
	t.Fatalf("%s is %q after 30 s", sql, got)
}

func TestCancelEndsWhatTheBackendDoes(t *testing.T) {
	tcp := target(t)
	unix, secret := tcp, tcp
	unix.Host = pgserver.ForTest(t).Server.SocketDir()
	secret.TLS = serverTLS(t, config.TLS{SSLMode: config.SSLVerifyFull, CAFile: authority(t, root)})
	secret.Host = "localhost"
	for name, to := range map[string]Target{"tcp": tcp, "unix": unix, "tls": secret} {
		t.Run(name, func(t *testing.T) {
			c, watcher := mustDial(t, to), mustDial(t, to)
			send(c.stream(), message('Q', "select pg_sleep(3600) /* sleeper */\x00"))
			waitFor(t, watcher, "select exists(select from pg_stat_activity where wait_event = 'PgSleep' and query like '%sleeper%')")
			if err := Cancel(context.Background(), c.Target, c.PID, c.Secret); err != nil {
				t.Fatal(err)
			}
			if got := answer(t, c); got != "57014" {
				t.Errorf("the query ended with %q, want 57014", got)
			}
			if got := query(t, c, "select 'alive'"); got != "alive" {
				t.Errorf("the backend answers %q after the cancel", got)
			}
		})
	}
}

func TestCancelWithAWrongSecretCancelsNothing(t *testing.T) {
	to := target(t)
	c := mustDial(t, to)
	send(c.Net, message('Q', "begin; select pg_sleep(0.2), 'done'; select 'done'\x00"))
	wrong := append([]byte(nil), c.Secret...)
	wrong[0]++
	if err := Cancel(context.Background(), to, c.PID, wrong); err != nil {
		t.Fatal(err)
	}
	if got := answer(t, c); got != "done" {
		t.Errorf("the query ended with %q", got)
	}
}

// TestCancelWaitsForTheServer is what keeps a late signal from the next client:
// Cancel must not return before the server has closed the connection.
func TestCancelWaitsForTheServer(t *testing.T) {
	got, closeNow := make(chan string), make(chan struct{})
	to := serve(t, func(nc net.Conn) {
		got <- readPacket(t, nc, true)
		<-closeNow
	})
	done := make(chan error, 1)
	go func() { done <- Cancel(context.Background(), to, 7, []byte("a secret of 3.2")) }()
	packet := <-got
	if code, pid := binary.BigEndian.Uint32([]byte(packet)), binary.BigEndian.Uint32([]byte(packet[4:])); code != 80877102 || pid != 7 || packet[8:] != "a secret of 3.2" {
		t.Errorf("the packet is %q", packet)
	}
	select {
	case err := <-done:
		t.Errorf("Cancel returned (%v) while the server still held the connection", err)
	case <-time.After(50 * time.Millisecond): // can only miss a bug, never invent one
	}
	close(closeNow)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestCancelEndsWithItsContext(t *testing.T) {
	ctx, giveUp := context.WithCancel(context.Background())
	to := serve(t, func(nc net.Conn) {
		readPacket(t, nc, true)
		giveUp()
		_, _ = io.Copy(io.Discard, nc)
	})
	err := Cancel(ctx, to, 7, []byte("1234"))
	if !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "cancel on "+to.Address()+": wait for the server to close: ") {
		t.Errorf("%v", err)
	}
	to.Port = freeAddr(t).Port
	if err := Cancel(context.Background(), to, 7, []byte("1234")); err == nil {
		t.Error("a cancel that reached nobody has succeeded")
	}
}
