package proxy

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"weir/proxy/backend"
	"weir/proxy/generation"
	"weir/proxy/logline"
)

// TestNoticesDoNotFillTheLog: a server may have one for each of a thousand dials.
func TestNoticesDoNotFillTheLog(t *testing.T) {
	var log bytes.Buffer
	n := newServerNotices(slog.New(slog.NewTextHandler(&log, nil)))
	hear := n.of(generation.PoolKey{Database: "shop", User: "app"})
	begun := time.Now().Unix()
	for range 1000 {
		hear(backend.ServerMessage{Severity: "WARNING", Code: "01000", Message: "soon", Detail: "very"})
	}
	seconds := time.Now().Unix() - begun + 1
	if lines := bytes.Count(log.Bytes(), []byte("\n")); lines < logline.PerSecond || lines > logline.PerSecond*int(seconds) {
		t.Errorf("%d lines in at most %d seconds", lines, seconds)
	}
	for _, want := range []string{"level=WARN", "pool=shop/app", "sqlstate=01000", "notice=soon", "detail=very"} {
		if !bytes.Contains(log.Bytes(), []byte(want)) {
			t.Errorf("no %s in %s", want, log.Bytes())
		}
	}
}
