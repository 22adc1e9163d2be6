package proxy_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/browsertest"
)

// viewer looks at weir's page in a browser.
type viewer struct {
	t          *testing.T
	ctx        context.Context
	page       string
	complaints *browsertest.Complaints
}

func watch(t *testing.T, page string) *viewer {
	t.Helper()
	v := &viewer{t: t, ctx: browsertest.Open(t, 1280, 2*time.Minute), page: page}
	v.complaints = browsertest.Listen(v.ctx, t, func(u string) bool { return u == page+"/" || strings.HasPrefix(u, page+"/live") })
	return v
}

func (v *viewer) do(steps ...chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	if err := chromedp.Do(v.ctx, steps...); err != nil {
		v.t.Fatal(err)
	}
}

func inPage[T any](v *viewer, expression string) T {
	v.t.Helper()
	value, err := chromedp.Run(v.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		v.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

func (v *viewer) text() string {
	return inPage[string](v, "document.body ? document.body.innerText : ''")
}

func (v *viewer) as(scheme string, width int64) {
	v.t.Helper()
	if err := browsertest.Prefer(v.ctx, scheme); err != nil {
		v.t.Fatal(err)
	}
	v.do(chromedp.EmulateViewport(width, 900))
}

// look holds the page to what the shop's pages are held to, and takes a picture of it where pictures are wanted.
func (v *viewer) look(name string) {
	v.t.Helper()
	audit, err := os.ReadFile("../bookstore/storefront/testdata/audit.js")
	if err != nil {
		v.t.Fatal(err)
	}
	for _, wrong := range inPage[[]string](v, string(audit)) {
		v.t.Errorf("%s: %s", name, wrong)
	}
	for _, c := range v.complaints.Take() {
		v.t.Errorf("%s: %s", name, c)
	}
	dir := os.Getenv("WEIR_SCREENSHOTS")
	if dir == "" {
		return
	}
	shot, err := chromedp.Run(v.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		v.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "live-"+name+".png"), shot, 0o600); err != nil {
		v.t.Error(err)
	}
}

// crowd are clients that all want a backend at once, until the test ends.
func crowd(t *testing.T, to func(app string) string, n int) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(func() { stop(); all.Wait() })
	for i := range n {
		conn, err := pgconn.Connect(ctx, to([]string{"shop-web", "shop-api", "shop-mail"}[i%3]))
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			defer func() { _ = conn.Close(context.Background()) }()
			for i := 0; ctx.Err() == nil; i++ {
				sql := fmt.Sprintf("SELECT pg_sleep(%d / 1000.)", i%5)
				if i%500 == 7 {
					sql = "SELECT * FROM nowhere"
				}
				_, _ = conn.Exec(context.Background(), sql).ReadAll()
			}
		})
	}
}

func TestBrowserSeesWhatWeirDoes(t *testing.T) {
	browsertest.Chromium(t)
	d := database(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") // and closed: no server is there
	if err != nil {
		t.Fatal(err)
	}
	nowhere := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	w := start(t, d, fmt.Sprintf("[http]\naddress = \"127.0.0.1:0\"\n[pool]\npool_size = 4\n[timeouts]\nserver_login_retry = \"60s\"\n"+
		"[databases.reports]\nhost = \"127.0.0.1\"\nport = %d\n[databases.shop]\nhost = \"127.0.0.1\"\nport = %d\ndbname = %q\n",
		nowhere, d.Server.Port(), d.Name))
	to := func(database, app string) string {
		return strings.Replace(w.DSN(d, "application_name", app), "/"+d.Name, "/"+database, 1)
	}
	v := watch(t, "http://"+w.Proxy.HTTPAddress())
	v.do(chromedp.Navigate(v.page+"/"), chromedp.WaitReady(chromedp.CSS("main .good")))
	v.look("idle")

	pinned, err := pgconn.Connect(t.Context(), to("shop", "nightly-import"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pinned.Close(context.Background()) }()
	ask(t, pinned, "CREATE TEMPORARY TABLE import (id int)")
	patient, leave := context.WithCancel(t.Context())
	var left sync.WaitGroup
	defer left.Wait()
	defer leave()
	left.Go(func() { // waits for the server that is not there
		_, _ = pgconn.Connect(patient, to("reports", "reporting"))
	})
	crowd(t, func(app string) string { return to("shop", app) }, 24)
	eventually(t, func() string {
		text := v.text()
		for _, part := range []string{"Server down", "reporting", "nightly-import", "temporary object", "42P01", "shop-", "CREATE TEMPORARY TABLE import"} {
			if !strings.Contains(text, part) {
				return "the page, which nobody has loaded again, does not say " + part + ":\n" + text
			}
		}
		if n := inPage[int](v, "document.querySelectorAll('svg path[d*=L]').length"); n < 3 {
			return fmt.Sprintf("%d curves", n)
		}
		return ""
	})
	if os.Getenv("WEIR_SCREENSHOTS") != "" {
		time.Sleep(30 * time.Second) // a curve to look at
	}
	inks := map[string]string{}
	for _, scheme := range []string{"light", "dark"} {
		for device, width := range map[string]int64{"desk": 1280, "wide": 841, "tablet": 740, "phone": 390, "small": 320} {
			v.as(scheme, width)
			v.look(scheme + "-" + device)
		}
		inks[scheme] = inPage[string](v, "getComputedStyle(document.body).backgroundColor")
	}
	if inks["light"] == inks["dark"] {
		t.Errorf("light and dark look alike: %v", inks)
	}
	v.withoutScript()
}

// withoutScript finds the same figures on the page, and that it is loaded again by itself.
func (v *viewer) withoutScript() {
	v.t.Helper()
	if _, err := chromedp.Call(v.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		v.t.Fatal(err)
	}
	v.do(chromedp.Navigate(v.page+"/live"), chromedp.WaitReady(chromedp.CSS("main .tiles")))
	const seen = "document.querySelector('time').textContent"
	first := inPage[string](v, seen)
	if text := v.text(); !strings.Contains(text, "nightly-import") || strings.Contains(text, "Pause") {
		v.t.Errorf("without its script the page says %s", text)
	}
	eventually(v.t, func() string {
		if now, err := chromedp.Run(v.ctx, chromedp.Evaluate[string](seen)); err != nil || now == first {
			return fmt.Sprintf("the page still has the figures of %s: %v", first, err)
		}
		return ""
	})
}
