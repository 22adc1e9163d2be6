package report

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
)

func pageOf(t *testing.T, r *Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WritePage(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// wellFormed checks that a drawing is XML, and returns its texts.
func wellFormed(t *testing.T, svg string) (texts []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		if chars, ok := token.(xml.CharData); ok && strings.TrimSpace(string(chars)) != "" {
			texts = append(texts, strings.TrimSpace(string(chars)))
		}
	}
}

var (
	drawing = regexp.MustCompile(`(?s)<svg.*?</svg>`)
	fixed   = regexp.MustCompile(`(fill|stroke):#[0-9A-Fa-f]{6}`)
	outside = regexp.MustCompile(`(?i)(src|href|url\()\s*=?\s*["']?\s*(https?:)?//|<script|@import|<link[^>]+stylesheet`)
)

func TestPageNeedsNothingFromOutsideAndNoScript(t *testing.T) {
	page := pageOf(t, example())
	if found := outside.FindString(page); found != "" {
		t.Errorf("the page has %q", found)
	}
}

func TestEveryChartIsDrawnNamedAndColouredByThePage(t *testing.T) {
	r := example()
	r.Walk = []Row{row(1000, Direct, measured(1, nil), 97, 225, 1, 0)}
	page := pageOf(t, r)
	drawings := drawing.FindAllString(page, -1)
	if len(drawings) != 10 {
		t.Errorf("%d charts, want 10", len(drawings))
	}
	for _, svg := range drawings {
		texts := wellFormed(t, svg)
		if len(texts) < 3 || !strings.Contains(svg, `role="img"`) || !strings.Contains(svg, "<desc>") {
			t.Errorf("a chart without a name or a description: %q", texts)
		}
		if found := fixed.FindString(svg); found != "" {
			t.Errorf("%s: %s is a colour that dark mode cannot change", texts[0], found)
		}
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Errorf("%s: a value that is no number was drawn", texts[0])
		}
	}
	for _, want := range []string{
		"400 clients, direct: 1,000 of 4,000 requests failed", "400 clients, through weir: 71 MiB", "max_connections 400: 97 backends, 225 MiB",
		"31 MiB + 2.00 MiB for each backend", "the original: 400 backends, 811 MiB",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
}

func TestPageEscapesWhatItWasTold(t *testing.T) {
	r := example()
	r.Setup.Proxy = `<b>&"x`
	r.Unfinished = "<script>alert(1)</script>"
	page := pageOf(t, r)
	if strings.Contains(page, "<b>") || strings.Contains(page, "<script>") {
		t.Error("a name became markup")
	}
	for _, svg := range drawing.FindAllString(page, -1) {
		wellFormed(t, svg)
	}
}

// A comparison that was interrupted, or whose figures are all zero, still has a page.
func TestPageOfPoorResults(t *testing.T) {
	for name, change := range map[string]func(*Report){
		"one row":          func(r *Report) { r.Rows = r.Rows[:1] },
		"the walk alone":   func(r *Report) { r.Walk, r.Rows = r.Rows[:1], nil },
		"nothing answered": func(r *Report) { r.Rows[0].Load, r.Rows[1].Load = measured(0, nil), measured(0, nil) },
		"no samples":       func(r *Report) { r.Rows[0].Samples, r.Rows[3].Samples = nil, nil },
		"no memory, no wait": func(r *Report) {
			r.Setup.Memory = NotMeasured
			r.Rows = []Row{{Clients: 1, Way: Direct}, {Clients: 1, Way: Proxied}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := example()
			change(r)
			page := pageOf(t, r)
			if !strings.Contains(page, "</html>") || strings.Contains(page, "NaN") {
				t.Error("the page is incomplete or shows NaN")
			}
			var chart strings.Builder
			if err := r.WriteChart(&chart); err != nil {
				t.Fatal(err)
			}
			wellFormed(t, chart.String())
		})
	}
}

func TestChartForTheReadmeStandsAlone(t *testing.T) {
	var b strings.Builder
	if err := example().WriteChart(&b); err != nil {
		t.Fatal(err)
	}
	svg := b.String()
	texts := strings.Join(wellFormed(t, svg), "|")
	for _, want := range []string{"Failed requests, %", "Answered requests a second", "PostgreSQL's memory, MiB", "direct", "through weir", "max_connections 400, 2 cores, 2026-11-25"} {
		if !strings.Contains(texts, want) {
			t.Errorf("%q is not in the chart: %s", want, texts)
		}
	}
	if strings.Contains(svg, "var(") || strings.Contains(svg, "http://") && strings.Count(svg, "http://") != 1 {
		t.Error("the chart leans on a page or on something outside")
	}
}

func TestInksKeepTheirStandIns(t *testing.T) {
	seen := map[string]ink{}
	for i := range inks {
		if other, ok := seen[i.standIn()]; ok {
			t.Errorf("inks %d and %d look alike to gonum: %s", i, other, i.standIn())
		}
		seen[i.standIn()] = i
		if inkTable[i].variable == "" || inkTable[i].light == "" {
			t.Errorf("ink %d has no colour", i)
		}
		light, dark, _ := strings.Cut(pageText, "prefers-color-scheme: dark")
		for theme, value := range map[string]string{light: inkTable[i].light, dark: inkTable[i].dark} {
			if strings.Count(theme, inkTable[i].variable+": "+value+";") != 1 {
				t.Errorf("%s is not %s in the page's style", inkTable[i].variable, value)
			}
		}
	}
}

func TestAxisStartsAtZeroAndHoldsTheLargest(t *testing.T) {
	for _, most := range []float64{0, 0.3, 1, 7, 99.9, 100, 101, 12345} {
		ticks, top := niceTicks(most, 5, plain)
		if ticks[0].Value != 0 || top < most || top > 2.6*most+1 || len(ticks) > 7 {
			t.Errorf("largest %v: %d ticks to %v", most, len(ticks), top)
		}
	}
	from, to, ticks := decades(0.7, 1500)
	if from > 0.7 || to < 1500 || ticks[1].Label != "1 ms" || ticks[len(ticks)-1].Label != "10 s" {
		t.Errorf("decades from %v to %v: %v", from, to, ticks)
	}
}
