package storefront_test

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	"github.com/chromedp/chromedp/kb"
)

// chromium finds a browser. The test runs only when asked to (make test-browser), and where there is one.
func chromium(t *testing.T) string {
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

// person sits before a browser.
type person struct {
	t    *testing.T
	ctx  context.Context
	shop *shop
	dir  string // for pictures; "" takes none

	mu         sync.Mutex
	complaints []string // of the browser, about a page
}

// sit starts a browser that has contact to the shop alone.
func sit(t *testing.T, s *shop) *person {
	t.Helper()
	allocator, stop := chromedp.NewExecAllocator(t.Context(),
		chromedp.ExecPath(chromium(t)), chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Headless, chromedp.DisableGPU,
		chromedp.NoSandbox, // it will not run as root with one
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 900),
	)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(cancel)
	p := &person{t: t, ctx: ctx, shop: s, dir: os.Getenv("WEIR_SCREENSHOTS")}
	if err := chromedp.Listen(ctx, p.listen); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *person) listen(event any) {
	complain := func(format string, args ...any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.complaints = append(p.complaints, fmt.Sprintf(format, args...))
	}
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		complain("console.%s: %v", e.Type, e.Args)
	case *runtime.EventExceptionThrown:
		complain("exception: %s", e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		complain("log: %s: %s", e.Entry.Level, e.Entry.Text)
	case *network.EventRequestWillBeSent:
		if u := e.Request.URL; !strings.HasPrefix(u, p.shop.url+"/") && !strings.HasPrefix(u, "data:") {
			complain("request: %s", u)
		}
	}
}

// do carries out steps; they are the test, so it ends with the first that cannot be done.
func (p *person) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatalf("at %s: %v", p.at(), err)
	}
}

func find[T any](p *person, expression string) T {
	p.t.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

func (p *person) at() string {
	at, err := chromedp.Run(p.ctx, chromedp.Location())
	if err != nil {
		return err.Error()
	}
	return strings.TrimPrefix(at, p.shop.url)
}

// open goes to a page, and complains about whatever the browser complains about.
func (p *person) open(path string) {
	p.t.Helper()
	p.do(chromedp.Navigate(p.shop.url+path), chromedp.WaitReady(chromedp.CSS("main")))
}

// until waits for a page that says something: what a person does after pressing a button.
func (p *person) until(text string) {
	p.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		said, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("document.body ? document.body.innerText : ''"))
		if err == nil && strings.Contains(said, text) {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s does not say %q: %v\n%s", p.at(), text, err, said)
		}
		time.Sleep(30 * time.Millisecond)
	}
}

// tab presses Tab until what has the focus begins with a text, as somebody does who has no mouse.
func (p *person) tab(text string) {
	p.t.Helper()
	var passed []string
	for range 80 {
		p.do(chromedp.KeyEvent(kb.Tab))
		focus := find[struct {
			Text    string `json:"text"`
			Outline string `json:"outline"`
		}](p, `(() => {
			const e = document.activeElement;
			const text = (e.labels && e.labels.length ? e.labels[0] : e).textContent;
			return { text: text.replace(/\s+/g, ' ').trim(), outline: getComputedStyle(e).outlineStyle };
		})()`)
		passed = append(passed, focus.Text)
		if strings.HasPrefix(focus.Text, text) {
			if focus.Outline == "none" {
				p.t.Errorf("%s: nobody sees that %q has the focus", p.at(), text)
			}
			return
		}
	}
	p.t.Fatalf("%s: no way to %q by keyboard, only to %q", p.at(), text, passed)
}

func (p *person) press(text string) {
	p.t.Helper()
	p.tab(text)
	p.do(chromedp.KeyEvent(kb.Enter))
}

func (p *person) write(label, text string) {
	p.t.Helper()
	p.tab(label)
	p.do(chromedp.KeyEvent(text))
}

//go:embed testdata/audit.js
var auditScript string

// look checks the page that is open, and takes a picture of it.
func (p *person) look(name string, expected ...string) {
	p.t.Helper()
	for _, wrong := range find[[]string](p, auditScript) {
		p.t.Errorf("%s (%s): %s", name, p.at(), wrong)
	}
	p.complained(name, expected...)
	p.picture(name)
}

// complained fails the test if the browser has complained about anything that is not expected.
func (p *person) complained(name string, expected ...string) {
	p.t.Helper()
	p.mu.Lock()
	complaints := p.complaints
	p.complaints = nil
	p.mu.Unlock()
complaint:
	for _, c := range complaints {
		for _, e := range expected {
			if strings.Contains(c, e) {
				continue complaint
			}
		}
		p.t.Errorf("%s (%s): %s", name, p.at(), c)
	}
}

func (p *person) picture(name string) {
	p.t.Helper()
	if p.dir == "" {
		return
	}
	// Pictures further down come only when somebody gets there.
	find[bool](p, `document.querySelectorAll('img').forEach((i) => { i.loading = 'eager'; }) || true`)
	p.do(chromedp.Sleep(150 * time.Millisecond))
	shot, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "shop-"+name+".png"), shot, 0o600); err != nil {
		p.t.Error(err)
	}
}

// as changes the window and what the person's system is set to.
func (p *person) as(scheme string, width int64) {
	p.t.Helper()
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		p.t.Fatal(err)
	}
	p.do(chromedp.EmulateViewport(width, 900))
}

// everywhere looks at pages in each window and scheme.
func (p *person) everywhere(pages map[string]func()) {
	p.t.Helper()
	grounds := map[string]string{}
	for _, scheme := range []string{"light", "dark"} {
		for device, width := range map[string]int64{"desk": 1280, "phone": 390, "small": 320} {
			p.as(scheme, width)
			for name, open := range pages {
				open()
				expected := []string(nil)
				if name == "nowhere" {
					expected = []string{"404"}
				}
				if name == "wrong" {
					expected = []string{"401", "422"}
				}
				p.look(scheme+"-"+device+"-"+name, expected...)
			}
			grounds[scheme] = find[string](p, "getComputedStyle(document.body).backgroundColor")
		}
	}
	if grounds["light"] == grounds["dark"] {
		p.t.Errorf("light and dark look alike: %v", grounds)
	}
}

func (p *person) opens(path string) func() { return func() { p.open(path) } }
