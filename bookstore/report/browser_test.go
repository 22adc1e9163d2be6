package report

import (
	"bytes"
	"context"
	"fmt"
	"image/color"
	"image/png"
	"net/url"
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

// browser starts one without contact to anything outside.
func browser(t *testing.T, width int) context.Context {
	t.Helper()
	allocator, stop := chromedp.NewExecAllocator(t.Context(),
		chromedp.ExecPath(chromium(t)), chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Headless, chromedp.DisableGPU,
		chromedp.NoSandbox, // it will not run as root with one
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(width, 900),
	)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// complaints collects what a page says on its console and whatever it asks for beyond itself.
type complaints struct {
	mu   sync.Mutex
	page string
	list []string
}

func (c *complaints) add(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, fmt.Sprintf(format, args...))
}

func (c *complaints) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		c.add("console.%s: %v", e.Type, e.Args)
	case *runtime.EventExceptionThrown:
		c.add("exception: %s", e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		c.add("log: %s: %s", e.Entry.Level, e.Entry.Text)
	case *network.EventRequestWillBeSent:
		if u := e.Request.URL; u != c.page && !strings.HasPrefix(u, "data:") {
			c.add("request: %s", u)
		}
	}
}

// look is what the page looks like, found out in it.
type look struct {
	Width        float64 `json:"width"` // of the page
	Window       float64 `json:"window"`
	Charts       int     `json:"charts"`
	Hidden       int     `json:"hidden"`
	SmallestText float64 `json:"smallestText"` // of the charts that do not scroll, in CSS pixels
	Background   string  `json:"background"`
	Ink          string  `json:"ink"` // of the charts' text
	Direct       string  `json:"direct"`
}

const lookScript = `(() => {
	const svgs = [...document.querySelectorAll('figure svg')];
	const texts = [...document.querySelectorAll('figure:not(.wide) svg text')];
	return {
		width: document.documentElement.scrollWidth, window: window.innerWidth,
		charts: svgs.length, hidden: svgs.filter(s => s.getBoundingClientRect().height < 100).length,
		smallestText: Math.min(...texts.map(t => parseFloat(getComputedStyle(t).fontSize) * Math.hypot(t.getScreenCTM().a, t.getScreenCTM().b))),
		background: getComputedStyle(document.body).backgroundColor,
		ink: getComputedStyle(texts[0]).fill,
		direct: getComputedStyle(document.querySelector('dd.direct')).color,
	};
})()`

// visit opens the page as somebody with this colour scheme and width sees it.
func visit(ctx context.Context, page, scheme string, width int64) (got look, shot []byte, err error) {
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		return got, nil, err
	}
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		return got, nil, err
	}
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		return got, nil, err
	}
	err = chromedp.Do(ctx, chromedp.EmulateViewport(width, 900), chromedp.Navigate(page), chromedp.WaitReady(chromedp.CSS("table.setup")))
	if err != nil {
		return got, nil, err
	}
	if got, err = chromedp.Run(ctx, chromedp.Evaluate[look](lookScript)); err != nil {
		return got, nil, err
	}
	shot, err = chromedp.Run(ctx, chromedp.FullScreenshot(100))
	return got, shot, err
}

func TestPageInABrowser(t *testing.T) {
	chromium(t)
	dir := t.TempDir()
	if keep := os.Getenv("WEIR_SCREENSHOTS"); keep != "" {
		dir = keep
	}
	r := example()
	r.Walk = []Row{row(1000, Direct, measured(1, nil), 97, 225, 1, 0), row(1000, Direct, measured(1, nil), 147, 325, 1, 0)}
	r.Walk[0].MaxConnections, r.Walk[1].MaxConnections = 100, 150
	path := filepath.Join(t.TempDir(), PageFile)
	if err := os.WriteFile(path, []byte(pageOf(t, r)), 0o644); err != nil {
		t.Fatal(err)
	}
	page := (&url.URL{Scheme: "file", Path: path}).String()
	seen := map[string]look{}
	for _, scheme := range []string{"light", "dark"} {
		for name, width := range map[string]int{"desk": 1200, "phone": 390} {
			t.Run(scheme+" "+name, func(t *testing.T) {
				ctx := browser(t, width)
				found := &complaints{page: page}
				if err := chromedp.Listen(ctx, found.listen); err != nil {
					t.Fatal(err)
				}
				got, shot, err := visit(ctx, page, scheme, int64(width))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, "report-"+scheme+"-"+name+".png"), shot, 0o644); err != nil {
					t.Error(err)
				}
				for _, complaint := range found.list {
					t.Error(complaint)
				}
				if got.Width > got.Window {
					t.Errorf("the page is %v wide in a window of %v: it scrolls sideways", got.Width, got.Window)
				}
				if got.Charts != 10 || got.Hidden > 0 || got.SmallestText < 9 {
					t.Errorf("%d charts, %d of them invisible, the smallest text %.1f px; want 10, none, 9", got.Charts, got.Hidden, got.SmallestText)
				}
				seen[scheme+name] = got
			})
		}
	}
	for _, name := range []string{"desk", "phone"} {
		light, dark := seen["light"+name], seen["dark"+name]
		if light.Background == dark.Background || light.Ink == dark.Ink || light.Direct == dark.Direct {
			t.Errorf("%s: light %+v and dark %+v look alike", name, light, dark)
		}
	}
}

// As a README shows it: a picture in a page, which knows what its reader prefers by itself.
func TestChartInABrowserIsLightOrDark(t *testing.T) {
	chromium(t)
	dir := t.TempDir()
	if err := WriteFile(filepath.Join(dir, ChartFile), example().WriteChart); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "readme.html")
	if err := os.WriteFile(path, []byte("<body style='margin: 0'><table class=setup></table><img src="+ChartFile+">"), 0o644); err != nil {
		t.Fatal(err)
	}
	paper := map[string]color.Color{}
	for _, scheme := range []string{"light", "dark"} {
		ctx := browser(t, 960)
		features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
		if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
			t.Fatal(err)
		}
		if err := chromedp.Do(ctx, chromedp.Navigate((&url.URL{Scheme: "file", Path: path}).String()), chromedp.WaitReady(chromedp.CSS("img"))); err != nil {
			t.Fatal(err)
		}
		shot, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		if err != nil {
			t.Fatal(err)
		}
		picture, err := png.Decode(bytes.NewReader(shot))
		if err != nil {
			t.Fatal(err)
		}
		paper[scheme] = picture.At(2, 2)
		if keep := os.Getenv("WEIR_SCREENSHOTS"); keep != "" {
			if err := os.WriteFile(filepath.Join(keep, "chart-"+scheme+".png"), shot, 0o644); err != nil {
				t.Error(err)
			}
		}
	}
	for scheme, want := range map[string]string{"light": inkTable[inkPaper].light, "dark": inkTable[inkPaper].dark} {
		r, g, b, _ := paper[scheme].RGBA()
		if got := fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8); got != want {
			t.Errorf("%s: the paper is %s, want %s", scheme, got, want)
		}
	}
}
