// Package browsertest starts headless Chromium for tests of pages, and collects what the browser complains of.
//
// It is support for tests, so it depends on nothing of weir.
package browsertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Chromium finds a browser. The test runs only when asked to (make test-browser), and where there is one.
func Chromium(t *testing.T) string {
	t.Helper()
	if os.Getenv("WEIR_TEST_BROWSER") == "" {
		t.Skip("set WEIR_TEST_BROWSER=1, or say make test-browser")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("there is no Chromium here")
	return ""
}

// Open starts a browser with a window of that width, which has no contact to anything that its page does not name and ends with the test, or
// after patience.
func Open(t *testing.T, width int, patience time.Duration) context.Context {
	t.Helper()
	allocator, stop := chromedp.NewExecAllocator(t.Context(),
		chromedp.ExecPath(Chromium(t)), chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Headless, chromedp.DisableGPU,
		chromedp.NoSandbox, // it will not run as root with one
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(width, 900),
	)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	ctx, cancel := context.WithTimeout(ctx, patience)
	t.Cleanup(cancel)
	return ctx
}

// Prefer has the page know that its reader prefers a colour scheme, light or dark.
func Prefer(ctx context.Context, scheme string) error {
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
	return err
}

// Complaints are what a page says on its console and whatever it asks for that is not its own.
type Complaints struct {
	own func(url string) bool

	mu   sync.Mutex
	list []string
}

// Listen collects the complaints of a browser; own tells the requests that are as they should be.
func Listen(ctx context.Context, t *testing.T, own func(url string) bool) *Complaints {
	t.Helper()
	c := &Complaints{own: own}
	if err := chromedp.Listen(ctx, c.listen); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	return c
}

// Take returns the complaints since it was last called.
func (c *Complaints) Take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.list
	c.list = nil
	return list
}

func (c *Complaints) add(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, fmt.Sprintf(format, args...))
}

func (c *Complaints) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		c.add("console.%s: %v", e.Type, e.Args)
	case *runtime.EventExceptionThrown:
		c.add("exception: %s", e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		c.add("log: %s: %s", e.Entry.Level, e.Entry.Text)
	case *network.EventRequestWillBeSent:
		if u := e.Request.URL; !c.own(u) && !strings.HasPrefix(u, "data:") {
			c.add("request: %s", u)
		}
	}
}
