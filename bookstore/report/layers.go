package report

import (
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// gridLines are thin lines across, behind everything.
type gridLines struct{ ticks []plot.Tick }

func (g *gridLines) Plot(c draw.Canvas, p *plot.Plot) {
	_, y := p.Transforms(&c)
	for _, t := range g.ticks {
		if t.Label == "" || t.Value < p.Y.Min || t.Value > p.Y.Max {
			continue
		}
		c.StrokeLine2(draw.LineStyle{Color: inkGrid, Width: 1}, c.Min.X, y(t.Value), c.Max.X, y(t.Value))
	}
}

// line joins points, and marks each if its mark has a shape.
type line struct {
	mark   mark
	points []point
}

func (l *line) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	at := make([]vg.Point, len(l.points))
	for i, pt := range l.points {
		at[i] = vg.Point{X: x(pt.x), Y: y(pt.y)}
	}
	if !l.mark.loose() {
		c.StrokeLines(draw.LineStyle{Color: l.mark.ink, Width: lineWidth, Dashes: l.mark.dash}, at)
	}
	if l.mark.shape == nil {
		return
	}
	for _, pt := range at {
		c.DrawGlyphNoClip(draw.GlyphStyle{Color: l.mark.ink, Radius: glyphRadius, Shape: l.mark.shape}, pt)
	}
}

// area fills between two lines with the same xs.
type area struct {
	ink      ink
	low, top []point
}

func (a *area) Plot(c draw.Canvas, p *plot.Plot) {
	if len(a.top) < 2 {
		return
	}
	x, y := p.Transforms(&c)
	var outline []vg.Point
	for _, pt := range a.top {
		outline = append(outline, vg.Point{X: x(pt.x), Y: y(pt.y)})
	}
	for i := range a.low {
		pt := a.low[len(a.low)-1-i]
		outline = append(outline, vg.Point{X: x(pt.x), Y: y(pt.y)})
	}
	c.FillPolygon(a.ink, outline)
}

// bar is a rectangle from y0 to y1, centred on x.
type bar struct {
	ink       ink
	x, y0, y1 float64
	shift     vg.Length // of its centre
	width     vg.Length
}

func (b *bar) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	middle := x(b.x) + b.shift
	c.FillPolygon(b.ink, rectangle(vg.Point{X: middle - b.width/2, Y: y(b.y0)}, vg.Point{X: middle + b.width/2, Y: y(b.y1)}))
}

// stripe shades the whole height between two xs, and headroom above.
type stripe struct {
	from, to float64
	headroom vg.Length
}

func (s *stripe) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	c.FillPolygon(inkBand, rectangle(vg.Point{X: x(s.from), Y: c.Min.Y}, vg.Point{X: x(s.to), Y: c.Max.Y + s.headroom}))
}

// heading writes above the axes, in the middle between two xs.
type heading struct {
	from, to float64
	text     string
}

func (h *heading) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	s := style(inkMuted)
	s.XAlign = draw.XCenter
	c.FillText(s, vg.Point{X: (x(h.from) + x(h.to)) / 2, Y: c.Max.Y + 6}, h.text)
}

// diamond is a glyph that differs from gonum's in shape.
type diamond struct{}

func (diamond) DrawGlyph(c *draw.Canvas, s draw.GlyphStyle, at vg.Point) {
	r := s.Radius * 1.3
	c.FillPolygon(s.Color, []vg.Point{{X: at.X - r, Y: at.Y}, {X: at.X, Y: at.Y + r}, {X: at.X + r, Y: at.Y}, {X: at.X, Y: at.Y - r}})
}
