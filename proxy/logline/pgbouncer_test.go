package logline

import (
	"bytes"
	"log/slog"
	"regexp"
	"strings"
	"testing"
)

func TestLinesHavePgBouncersForm(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(Options{Level: slog.LevelInfo, PgBouncer: true}.handler(&b))
	log.Debug("not shown")
	log.Info("closing because: x (age=0s)", "peer", "10.0.0.1:5000", "user", "bob", "db", "shop")
	log.With("pool", "shop/bob").Warn("no backend", "error", "two\nlines \x1b[0m")
	log.With("pool", "shop/bob").Warn("client got no backend", "peer", "10.0.0.1:5000")
	log.Info("closing because: y (age=0s)", "db", "shop", "user", "bob", "server", "10.0.0.2:5432", "id", uint32(3))
	log.Error("broken", "user", strings.Repeat("u", 10_000), "peer", "unix")
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	want := []string{
		`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ \[\d+\] LOG C-0x[0-9a-f]{10}00: shop/bob@10\.0\.0\.1:5000 closing because: x \(age=0s\)$`,
		`^.* \[\d+\] WARNING no backend pool=shop/bob error=two\?lines \?\[0m$`,
		`^.* \[\d+\] WARNING C-0x[0-9a-f]{10}00: shop/bob@10\.0\.0\.1:5000 client got no backend pool=shop/bob$`,
		`^.* \[\d+\] LOG S-0x000000000300: shop/bob@10\.0\.0\.2:5432 closing because: y \(age=0s\)$`,
		`^.* \[\d+\] ERROR C-0x[0-9a-f]{10}00: \(nodb\)/u{50,200}…@unix broken$`,
	}
	if len(lines) != len(want) {
		t.Fatalf("got %d lines:\n%s", len(lines), b.String())
	}
	for i, w := range want {
		if !regexp.MustCompile(w).MatchString(lines[i]) {
			t.Errorf("got %s, want %s", lines[i], w)
		}
	}
}
