package report

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"regexp"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// chart is a drawing before it is drawn: gonum.org/v1/plot lays out axes and marks, finish makes its SVG fit the page.
type chart struct {
	name          string // what a screen reader says first
	desc          string // and then: what is to be seen, in words
	width, height vg.Length
	x, y          axis
	legend        []mark
	under         []plot.Plotter // drawn first, below the grid
	layers        []plot.Plotter // drawn in this order, above it
	headroom      vg.Length      // above the axes, for what layers write there
	hits          *hits
}

// axis is one of the two.
type axis struct {
	label    string
	min, max float64
	ticks    []plot.Tick
	log      bool
}

// mark is a series' look, with its name in the legend.
type mark struct {
	name  string
	ink   ink
	dash  []vg.Length
	shape draw.GlyphDrawer // nil: a line without points
	fill  bool             // an area or a bar
}

// point is a value, with what a tooltip says of it.
type point struct {
	x, y float64
	tip  string
}

// Sizes in points, which are the SVG's units. A chart is drawn so small that its text is readable when a phone is as
// wide as it.
const (
	chartWidth  vg.Length = 410
	chartHeight vg.Length = 255
	wideWidth   vg.Length = 960
	textSize    vg.Length = 12
	lineWidth   vg.Length = 2
	glyphRadius vg.Length = 3.5
	hitRadius   vg.Length = 9
	legendRow   vg.Length = 24
)

var (
	dashed = []vg.Length{6, 3}
	dotted = []vg.Length{1.5, 2.5}
)

// style is the look of all text.
func style(c ink) draw.TextStyle {
	return draw.TextStyle{
		Color: c, Font: font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, textSize),
		Handler: plot.DefaultTextHandler,
	}
}

// svg draws the chart for the page.
func (c *chart) svg() string {
	if c.width == 0 {
		c.width, c.height = chartWidth, chartHeight
	}
	canvas := vgsvg.New(c.width, c.height)
	c.hits = &hits{height: c.height}
	full := draw.New(canvas)
	body := full
	body.Max.Y -= c.headroom
	if len(c.legend) > 0 {
		body.Max.Y -= c.drawLegend(full)
	}
	c.plot().Draw(body)
	var b bytes.Buffer
	_, _ = canvas.WriteTo(&b) // a buffer takes all
	return c.forPage(b.String())
}

// drawPart draws the chart into a part of a larger drawing, below a heading.
func (c *chart) drawPart(part draw.Canvas, heading string) {
	c.hits = &hits{}
	bold := style(inkText)
	bold.Font.Weight = 3 // bold, as x/image/font counts
	part.FillText(bold, vg.Point{X: part.Min.X + 4, Y: part.Max.Y - 14}, heading)
	part.Max.Y -= 20
	c.plot().Draw(part)
}

func (c *chart) plot() *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	for _, a := range []struct {
		to   *plot.Axis
		from *axis
	}{{&p.X, &c.x}, {&p.Y, &c.y}} {
		a.to.Min, a.to.Max = a.from.min, a.from.max
		a.to.Label.Text = a.from.label
		a.to.Label.TextStyle, a.to.Tick.Label = style(inkMuted), style(inkMuted)
		a.to.Tick.LineStyle = draw.LineStyle{Color: inkMuted}
		a.to.LineStyle.Width = 0
		a.to.Padding = 4
		a.to.Tick.Marker = plot.ConstantTicks(a.from.ticks)
		if a.from.log {
			a.to.Scale = plot.LogScale{}
		}
	}
	p.X.Tick.Length, p.X.Tick.LineStyle.Width = 4, 1
	p.X.LineStyle = draw.LineStyle{Color: inkMuted, Width: 1}
	p.X.Padding = 0
	p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = draw.XCenter, draw.YTop
	p.Y.Tick.Label.XAlign, p.Y.Tick.Label.YAlign = draw.XRight, draw.YCenter
	p.X.Label.TextStyle.XAlign, p.X.Label.TextStyle.YAlign = draw.XCenter, draw.YBottom
	p.Y.Label.TextStyle.XAlign = draw.XCenter
	p.Y.Label.TextStyle.YAlign = draw.YBottom
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = c.x.min, c.x.max, c.y.min, c.y.max
	p.Add(c.under...)
	p.Add(&gridLines{ticks: c.y.ticks})
	p.Add(c.layers...)
	p.Add(c.hits)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = c.x.min, c.x.max, c.y.min, c.y.max // Add widens them
	return p
}

// drawLegend draws a row of marks and names at the top, more rows where one is too narrow, and returns their height.
func (c *chart) drawLegend(to draw.Canvas) vg.Length {
	s := style(inkText)
	s.YAlign = draw.YCenter
	x, y := to.Min.X+4, to.Max.Y-legendRow/2
	for _, m := range c.legend {
		width := 30 + s.Width(m.name) + 14
		if x+width > to.Max.X && x > to.Min.X+4 {
			x, y = to.Min.X+4, y-18
		}
		m.sample(&to, x, y)
		to.FillText(s, vg.Point{X: x + 28, Y: y}, m.name)
		x += width
	}
	return to.Max.Y - y + legendRow/2 + 2
}

func (m mark) sample(to *draw.Canvas, x, y vg.Length) {
	if m.fill {
		to.FillPolygon(m.ink, rectangle(vg.Point{X: x + 4, Y: y - 5}, vg.Point{X: x + 22, Y: y + 5}))
		return
	}
	if !m.loose() {
		to.StrokeLine2(draw.LineStyle{Color: m.ink, Width: lineWidth, Dashes: m.dash}, x, y, x+22, y)
	}
	if m.shape != nil {
		to.DrawGlyphNoClip(draw.GlyphStyle{Color: m.ink, Radius: glyphRadius, Shape: m.shape}, vg.Point{X: x + 11, Y: y})
	}
}

// loose marks are points that no line joins.
func (m mark) loose() bool { return m.dash != nil && len(m.dash) == 0 }

// scattered is the dash of points that no line joins.
var scattered = []vg.Length{}

func rectangle(min, max vg.Point) []vg.Point {
	return []vg.Point{min, {X: max.X, Y: min.Y}, max, {X: min.X, Y: max.Y}}
}

// niceTicks are about n round steps from 0 that reach max.
func niceTicks(max float64, n int, format func(float64) string) (ticks []plot.Tick, top float64) {
	if max <= 0 {
		max = 1
	}
	step := math.Pow(10, math.Floor(math.Log10(max/float64(n))))
	for _, factor := range []float64{1, 2, 2.5, 5, 10} {
		if step*factor*float64(n) >= max {
			step *= factor
			break
		}
	}
	for i := 0; ; i++ {
		v := float64(i) * step
		ticks = append(ticks, plot.Tick{Value: v, Label: format(v)})
		if v >= max {
			return ticks, v
		}
	}
}

// plain writes a tick's number.
func plain(v float64) string {
	if v != math.Trunc(v) {
		return fmt.Sprintf("%g", math.Round(v*1000)/1000)
	}
	return count(int64(v))
}

// hits collects where values were drawn, for tooltips.
type hits struct {
	height vg.Length
	points []point
	at     []vg.Point
}

func (h *hits) add(p []point) { h.points = append(h.points, p...) }

// Plot implements plot.Plotter: it draws nothing and learns the scale.
func (h *hits) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for _, pt := range h.points {
		h.at = append(h.at, vg.Point{X: x(pt.x), Y: y(pt.y)})
	}
}

// forPage turns gonum's SVG into one for the page: without a size of its own, with names for screen readers, with the
// page's colours and fonts, and with tooltips.
func (c *chart) forPage(svg string) string {
	var b strings.Builder
	c.begin(&b, "")
	b.WriteString(colour(body(svg), ink.variable))
	for i, at := range c.hits.at {
		if c.hits.points[i].tip == "" {
			continue
		}
		fmt.Fprintf(&b, `<circle class="hit" cx="%.1f" cy="%.1f" r="%g"><title>%s</title></circle>`+"\n",
			at.X.Points(), (c.hits.height - at.Y).Points(), hitRadius.Points(), html.EscapeString(c.hits.points[i].tip))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// standAlone turns gonum's SVG into one that needs no page: it has a size, and brings its colours along.
func (c *chart) standAlone(svg string) string {
	var b strings.Builder
	c.begin(&b, fmt.Sprintf(` width="%g" height="%g"`, c.width.Points(), c.height.Points()))
	b.WriteString(darkStyle())
	b.WriteString(colour(body(svg), ink.light))
	b.WriteString("</svg>\n")
	return b.String()
}

func (c *chart) begin(b *strings.Builder, size string) {
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg"%s viewBox="0 0 %g %g" role="img"><title>%s</title><desc>%s</desc>`,
		size, c.width.Points(), c.height.Points(), html.EscapeString(c.name), html.EscapeString(c.desc))
	b.WriteString("\n")
}

// body is what gonum has drawn, with our fonts, and without what says nothing.
func body(svg string) string {
	_, body, _ := strings.Cut(svg, "<svg")
	_, body, _ = strings.Cut(body, ">\n")
	body = strings.TrimSuffix(strings.TrimSpace(body), "</svg>")
	body = fontFamily.ReplaceAllString(body, "font-family:"+fonts+";")
	return strings.NewReplacer("font-variant:normal;", "", "font-style:normal;", "", "font-weight:normal;", "",
		";font-style:normal", "", "\n\t style", " style", "\n\tstyle", " style").Replace(body)
}

// fonts have the widths that gonum laid the texts out with, where there are any such.
const fonts = "'Liberation Sans',Arial,Helvetica,sans-serif"

var fontFamily = regexp.MustCompile(`font-family:[^;"]*;`)

// extent is the largest y of all points.
func extent(series ...[]point) (most float64) {
	for _, p := range slices.Concat(series...) {
		most = max(most, p.y)
	}
	return most
}
