package report

import (
	"bytes"
	"context"
	"fmt"
	"image/color"
	"image/png"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"weir/internal/browsertest"
)

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
	if err := browsertest.Prefer(ctx, scheme); err != nil {
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
	browsertest.Chromium(t)
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
				ctx := browsertest.Open(t, width, time.Minute)
				complaints := browsertest.Listen(ctx, t, func(u string) bool { return u == page })
				got, shot, err := visit(ctx, page, scheme, int64(width))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, "report-"+scheme+"-"+name+".png"), shot, 0o644); err != nil {
					t.Error(err)
				}
				for _, complaint := range complaints.Take() {
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
	browsertest.Chromium(t)
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
		ctx := browsertest.Open(t, 960, time.Minute)
		if err := browsertest.Prefer(ctx, scheme); err != nil {
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
