package descriptors

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"weir/config"
)

func pools(t *testing.T, clients, size int) *config.Config {
	t.Helper()
	text := fmt.Sprintf("[limits]\nmax_client_conn = %d\n[pool]\npool_size = %d\n[databases.\"*\"]\nhost = \"h\"\n[databases.shop]\nhost = \"h\"\nreserve_pool_size = 5\nmax_db_connections = 22\n", clients, size)
	c, err := config.Parse("test.toml", []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBackendsKeepTheirDescriptors(t *testing.T) {
	for _, limit := range []int{32, 64, 256, 1024, 65536, 0} {
		for _, size := range []int{1, 20, 1000} {
			c := pools(t, 10_000, size)
			d := ShareOut(limit, c, 2)
			if want := min(size+5, 22) + size; backendsOf(c) != want {
				t.Errorf("pool_size %d: %d backends, want %d", size, backendsOf(c), want)
			}
			if d.clients(c) < 1 || d.Logins(c) < 4 || d.bound >= d.Limit {
				t.Errorf("limit %d, pool_size %d: %+v, %d clients, %d logins", limit, size, d, d.clients(c), d.Logins(c))
			}
			if d.Limit >= d.need && d.clients(c) < 10_000 {
				t.Errorf("limit %d is enough, and %d clients fit", limit, d.clients(c))
			}
			if d.Limit-d.bound < min(backendsOf(c)+spareMin, limit*2/5) {
				t.Errorf("limit %d, pool_size %d: %d are kept for backends and spare", limit, size, d.Limit-d.bound)
			}
		}
	}
}

func TestLimitThatIsTooLowIsSaidWithWhatIsNeeded(t *testing.T) {
	var text strings.Builder
	log := slog.New(slog.NewTextHandler(&text, nil))
	c := pools(t, 1000, 20)
	ShareOut(65536, c, 1).Warn(log, c)
	if text.Len() > 0 {
		t.Errorf("enough, and %s", &text)
	}
	unlimited := pools(t, 1000, 262_143)
	if d := ShareOut(65536, unlimited, 1); backendsOf(unlimited) > 2*1000 || d.clients(unlimited) < 1000 {
		t.Errorf("pools without a limit have %d backends, and leave room for %d clients", backendsOf(unlimited), d.clients(unlimited))
	}
	ShareOut(65536, unlimited, 1).Warn(log, unlimited)
	if text.Len() > 0 {
		t.Errorf("pools have no limit, and %s", &text)
	}
	ShareOut(256, c, 1).Warn(log, c)
	for _, want := range []string{"descriptors are short", "limit=256", "need=10", "max_client_conn=1000", "backends=42"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in %s", want, &text)
		}
	}
}
