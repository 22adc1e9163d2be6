package fleet

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What workers do once they live is tested with the program that has some: cmd/bookstore.
func TestFleetThatCannotStartSaysSo(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	err = Run(ctx, Options{
		Listener: listener.(*net.TCPListener), Processes: 2, Program: filepath.Join(t.TempDir(), "nothing"), Stderr: os.Stderr,
		Log: slog.New(slog.DiscardHandler),
	})
	if ctx.Err() != nil || err == nil || !strings.Contains(err.Error(), "start worker") {
		t.Errorf("it ended with %v; the test's time is up: %v", err, ctx.Err())
	}
}
