package storefront_test

import (
	"context"
	_ "embed"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"weir/internal/browsertest"
)

// person sits before a browser.
type person struct {
	t    *testing.T
	ctx  context.Context
	shop *shop
	dir  string // for pictures; "" takes none

	complaints *browsertest.Complaints
}

// sit starts a browser that has contact to the shop alone.
func sit(t *testing.T, s *shop) *person {
	t.Helper()
	ctx := browsertest.Open(t, 1280, 5*time.Minute)
	p := &person{t: t, ctx: ctx, shop: s, dir: os.Getenv("WEIR_SCREENSHOTS")}
	p.complaints = browsertest.Listen(ctx, t, func(u string) bool { return strings.HasPrefix(u, s.url+"/") })
	return p
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
complaint:
	for _, c := range p.complaints.Take() {
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
	if err := browsertest.Prefer(p.ctx, scheme); err != nil {
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
