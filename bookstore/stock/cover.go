package stock

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"

	"weir/bookstore"
)

// A cover is two by three, large enough for a card on a sharp screen.
const (
	coverWidth  = 320
	coverHeight = 480
	panelTop    = 320 // the picture is above, title and author are below
)

// palette is what one cover is painted with. ink is read on paper.
type palette struct {
	sky, far, near, light color.RGBA
	paper, ink            color.RGBA
}

func rgb(hex uint32) color.RGBA {
	return color.RGBA{R: uint8(hex >> 16), G: uint8(hex >> 8), B: uint8(hex), A: 255}
}

var palettes = []palette{
	{rgb(0x1d3557), rgb(0x457b9d), rgb(0xa8dadc), rgb(0xf4d35e), rgb(0xf1faee), rgb(0x1d3557)},
	{rgb(0xf4a261), rgb(0xe76f51), rgb(0x9b2226), rgb(0xffe8c2), rgb(0xfff6e9), rgb(0x6a1b1e)},
	{rgb(0x264653), rgb(0x2a9d8f), rgb(0x8ab17d), rgb(0xe9c46a), rgb(0xfdf8e7), rgb(0x264653)},
	{rgb(0x3d2c5f), rgb(0x6d4c91), rgb(0xb185db), rgb(0xf7d6e0), rgb(0xfaf3fb), rgb(0x3d2c5f)},
	{rgb(0xbfd7ea), rgb(0x7fa8c9), rgb(0x35608a), rgb(0xffffff), rgb(0x0b3954), rgb(0xf2f7fb)},
	{rgb(0xffd6ba), rgb(0xffb4a2), rgb(0xb5838d), rgb(0xfff3e6), rgb(0x5c3d4a), rgb(0xfff3e6)},
	{rgb(0x132a13), rgb(0x31572c), rgb(0x4f772d), rgb(0xecf39e), rgb(0xf6f8e2), rgb(0x132a13)},
	{rgb(0xf2e8cf), rgb(0xa7c957), rgb(0x386641), rgb(0xbc4749), rgb(0xfdfaf1), rgb(0x386641)},
	{rgb(0x0d1b2a), rgb(0x1b263b), rgb(0x415a77), rgb(0xe0e1dd), rgb(0xe0e1dd), rgb(0x0d1b2a)},
	{rgb(0xe63946), rgb(0xa4161a), rgb(0x660708), rgb(0xf5f3f4), rgb(0x161a1d), rgb(0xf5f3f4)},
	{rgb(0x90e0ef), rgb(0x00b4d8), rgb(0x0077b6), rgb(0xfff3b0), rgb(0xf4fbfe), rgb(0x023e8a)},
	{rgb(0xedc4b3), rgb(0xb07d62), rgb(0x774936), rgb(0xfff1e6), rgb(0xfaf0ea), rgb(0x5e3623)},
}

// Cover draws the cover of a book as a PNG, the same for the same title and author.
func Cover(title, author string) ([]byte, error) {
	r := seedOf("cover", title+"\x00"+author)
	p, scene := pick(r, palettes), pick(r, scenes)
	if i := slices.IndexFunc(classics, func(b bookstore.NewBook) bool { return b.Title == title }); i >= 0 {
		// On a shelf of twenty chance would make some alike.
		p, scene = palettes[i*5%len(palettes)], scenes[(i+i/len(palettes))%len(scenes)]
	}
	c := canvas{image.NewRGBA(image.Rect(0, 0, coverWidth, coverHeight))}
	c.fill(image.Rect(0, 0, coverWidth, panelTop), p.sky)
	scene(c, p, r)
	c.fill(image.Rect(0, panelTop, coverWidth, coverHeight), p.paper)
	c.fill(image.Rect(24, panelTop+18, 24+44, panelTop+22), p.ink)
	if err := c.letter(title, author, p.ink); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestSpeed} // flat colours become no smaller by more effort
	if err := encoder.Encode(&b, c.RGBA); err != nil {
		return nil, fmt.Errorf("write a PNG: %w", err)
	}
	return b.Bytes(), nil
}

// scenes are the pictures that there are; each is composed anew by chance.
var scenes = []func(canvas, palette, *rand.Rand){hills, waves, rays, skyline, moons, leaves, tiles}

// hills are ranges that come nearer, under a sun.
func hills(c canvas, p palette, r *rand.Rand) {
	c.disc(60+200*r.Float64(), 70+60*r.Float64(), 32+22*r.Float64(), p.light)
	for i := range 4 {
		high, phase := 26+14*r.Float64(), 2*math.Pi*r.Float64()
		length := 90 + 60*r.Float64()
		base := 150 + 48*float64(i)
		c.below(func(x float64) float64 {
			return base + high*math.Sin(x/length*2+phase) + high/2*math.Sin(x/length*5+2*phase)
		}, mix(p.far, p.near, float64(i)/3))
	}
}

// waves are a sea, and a sail on it.
func waves(c canvas, p palette, r *rand.Rand) {
	c.disc(80+160*r.Float64(), 90, 44, p.light)
	at := 70 + 150*r.Float64()
	c.shape(p.paper, at, 205, at, 120, at+52, 198)
	c.shape(mix(p.paper, p.near, 0.35), at-6, 203, at-6, 138, at-36, 200)
	c.shape(p.ink, at-44, 208, at+58, 208, at+40, 226, at-28, 226)
	for i := range 5 {
		phase, base := 2*math.Pi*r.Float64(), 222+22*float64(i)
		c.below(func(x float64) float64 { return base + 7*math.Sin(x/22+phase) }, mix(p.far, p.near, float64(i)/4))
	}
}

// rays go out from a point at the horizon.
func rays(c canvas, p palette, r *rand.Rand) {
	x, y := 60+200*r.Float64(), 210+60*r.Float64()
	const n = 14
	turn := r.Float64()
	for i := range n {
		from, to := (float64(i)+turn)*2*math.Pi/n, (float64(i)+turn+0.5)*2*math.Pi/n
		c.shape(mix(p.sky, p.far, 0.7), x, y, x+600*math.Cos(from), y+600*math.Sin(from), x+600*math.Cos(to), y+600*math.Sin(to))
	}
	for i := range 3 {
		c.disc(x, y, 92-26*float64(i), []color.RGBA{p.near, p.light, p.far}[i])
	}
}

// skyline are houses, some windows of which are lit.
func skyline(c canvas, p palette, r *rand.Rand) {
	c.disc(50+220*r.Float64(), 70, 26, p.light)
	for layer := range 2 {
		for x := -10; x < coverWidth; {
			w, top := 34+r.IntN(30), 110+70*layer+r.IntN(90)
			wall := p.far
			if layer == 1 {
				wall = p.near
			}
			c.fill(image.Rect(x, top, x+w, panelTop), wall)
			for wy := top + 12; layer == 1 && wy < panelTop-10; wy += 20 {
				for wx := x + 8; wx < x+w-10; wx += 14 {
					if r.IntN(3) == 0 {
						c.fill(image.Rect(wx, wy, wx+7, wy+10), p.light)
					}
				}
			}
			x += w + r.IntN(6)
		}
	}
}

// moons are discs with rings, over dots.
func moons(c canvas, p palette, r *rand.Rand) {
	for range 60 {
		c.disc(coverWidth*r.Float64(), panelTop*r.Float64(), 0.8+1.4*r.Float64(), p.light)
	}
	for i := range 3 {
		x, y, size := 50+220*r.Float64(), 50+90*float64(i)+30*r.Float64(), 26+34*r.Float64()
		c.disc(x, y, size, []color.RGBA{p.far, p.near, p.light}[i])
		c.disc(x+size*0.32, y-size*0.22, size*0.86, mix([]color.RGBA{p.far, p.near, p.light}[i], p.sky, 0.25))
		c.shape(p.light, x-size*1.5, y+size*0.5, x+size*1.5, y-size*0.5, x+size*1.5, y-size*0.5+3, x-size*1.5, y+size*0.5+3)
	}
}

// leaves grow from stems.
func leaves(c canvas, p palette, r *rand.Rand) {
	c.disc(coverWidth/2, 150, 116, mix(p.sky, p.light, 0.35))
	for i := range 3 {
		x, lean := 70+90*float64(i)+20*r.Float64(), 40*r.Float64()-20
		top := 60 + 60*r.Float64()
		c.shape(p.near, x-2, panelTop, x+2, panelTop, x+lean+1, top, x+lean-1, top)
		for y, side := top, 1.0; y < panelTop-30; y, side = y+26, -side {
			at := x + lean*(panelTop-y)/(panelTop-top)
			size := 22 + 24*(y-top)/(panelTop-top)
			c.leaf(at, y+14, side*size, []color.RGBA{p.far, p.near}[i%2])
		}
	}
}

// tiles are quarter discs, each turned by chance.
func tiles(c canvas, p palette, r *rand.Rand) {
	const size = 80
	inks := []color.RGBA{p.far, p.near, p.light, mix(p.far, p.light, 0.5)}
	for y := 0; y < panelTop; y += size {
		for x := 0; x < coverWidth; x += size {
			corner := r.IntN(4)
			cx, cy := float64(x+size*(corner%2)), float64(y+size*(corner/2))
			part := canvas{c.SubImage(image.Rect(x, y, x+size, y+size)).(*image.RGBA)}
			part.fill(part.Bounds(), mix(p.sky, pick(r, inks), 0.25))
			part.disc(cx, cy, size, pick(r, inks))
			part.disc(cx, cy, size/2, p.sky)
		}
	}
}

// mix is a colour between two.
func mix(a, b color.RGBA, t float64) color.RGBA {
	at := func(x, y uint8) uint8 { return uint8(float64(x) + t*(float64(y)-float64(x))) }
	return color.RGBA{at(a.R, b.R), at(a.G, b.G), at(a.B, b.B), 255}
}

// canvas is what is drawn on, with smooth edges. Nothing is drawn beyond its bounds.
type canvas struct{ *image.RGBA }

func (c canvas) fill(r image.Rectangle, ink color.RGBA) {
	draw.Draw(c.RGBA, r, image.NewUniform(ink), image.Point{}, draw.Src)
}

// paint draws a path that stays within left, top, right and bottom. Only there is anything computed. The rasterizer's
// origin is the corner, so the path adds dx and dy to what it draws.
func (c canvas) paint(ink color.RGBA, left, top, right, bottom float64, path func(z *vector.Rasterizer, dx, dy float32)) {
	r := image.Rect(int(math.Floor(left)), int(math.Floor(top)), int(math.Ceil(right)), int(math.Ceil(bottom))).Intersect(c.Bounds())
	if r.Empty() {
		return
	}
	z := vector.NewRasterizer(r.Dx(), r.Dy())
	path(z, float32(-r.Min.X), float32(-r.Min.Y))
	z.ClosePath()
	z.Draw(c.RGBA, r, image.NewUniform(ink), image.Point{})
}

// shape draws a polygon of x, y, x, y, ...
func (c canvas) shape(ink color.RGBA, points ...float64) {
	left, top, right, bottom := points[0], points[1], points[0], points[1]
	for i := 2; i < len(points); i += 2 {
		left, right = min(left, points[i]), max(right, points[i])
		top, bottom = min(top, points[i+1]), max(bottom, points[i+1])
	}
	c.paint(ink, left, top, right, bottom, func(z *vector.Rasterizer, dx, dy float32) {
		z.MoveTo(float32(points[0])+dx, float32(points[1])+dy)
		for i := 2; i < len(points); i += 2 {
			z.LineTo(float32(points[i])+dx, float32(points[i+1])+dy)
		}
	})
}

// below draws all that is under a curve.
func (c canvas) below(y func(x float64) float64, ink color.RGBA) {
	points := []float64{0, panelTop}
	for x := 0.0; x <= coverWidth; x += 4 {
		points = append(points, x, y(x))
	}
	c.shape(ink, append(points, coverWidth, panelTop)...)
}

func (c canvas) disc(x, y, radius float64, ink color.RGBA) {
	const bend = 0.5522847498 // of the cubic curve that is nearest to a quarter of a circle
	k, rad, cx, cy := float32(bend*radius), float32(radius), float32(x), float32(y)
	c.paint(ink, x-radius, y-radius, x+radius, y+radius, func(z *vector.Rasterizer, dx, dy float32) {
		cx, cy := cx+dx, cy+dy
		z.MoveTo(cx+rad, cy)
		z.CubeTo(cx+rad, cy+k, cx+k, cy+rad, cx, cy+rad)
		z.CubeTo(cx-k, cy+rad, cx-rad, cy+k, cx-rad, cy)
		z.CubeTo(cx-rad, cy-k, cx-k, cy-rad, cx, cy-rad)
		z.CubeTo(cx+k, cy-rad, cx+rad, cy-k, cx+rad, cy)
	})
}

// leaf grows from a point to the side, to the left if length is negative.
func (c canvas) leaf(x, y, length float64, ink color.RGBA) {
	// The curves stay within the hull of their points.
	c.paint(ink, min(x, x+length), y-28, max(x, x+length), y+4, func(z *vector.Rasterizer, dx, dy float32) {
		at := func(px, py float64) (float32, float32) { return float32(px) + dx, float32(py) + dy }
		ax, ay := at(x, y)
		tx, ty := at(x+length, y-22)
		lx, ly := at(x+length*0.3, y-28)
		hx, hy := at(x+length*0.8, y+4)
		z.MoveTo(ax, ay)
		z.QuadTo(lx, ly, tx, ty)
		z.QuadTo(hx, hy, ax, ay)
	})
}

// letter writes title and author on the panel, the title in the largest size that fits.
func (c canvas) letter(title, author string, ink color.RGBA) error {
	const left, right = 24, coverWidth - 20
	for _, size := range []float64{30, 26, 22, 18, 15} {
		face, err := faceOf(bold, size)
		if err != nil {
			return err
		}
		lines := fit(face, title, right-left)
		height := int(size * 1.15)
		if len(lines)*height > 84 && size > 15 {
			continue
		}
		y := panelTop + 30
		for _, l := range lines[:min(len(lines), 6)] {
			y += height
			c.text(face, l, left, y, ink)
		}
		break
	}
	face, err := faceOf(regular, 16)
	if err != nil {
		return err
	}
	lines := fit(face, author, right-left)
	for i, l := range lines[:min(len(lines), 1)] {
		if len(lines) > 1 {
			l += " ..."
		}
		c.text(face, l, left, coverHeight-18+20*i, ink)
	}
	return nil
}

func (c canvas) text(face font.Face, s string, x, y int, ink color.RGBA) {
	d := font.Drawer{Dst: c.RGBA, Src: image.NewUniform(ink), Face: face, Dot: fixed.P(x, y)}
	d.DrawString(s)
}

// The two fonts, read once.
var (
	bold    = sync.OnceValues(func() (*opentype.Font, error) { return opentype.Parse(gobold.TTF) })
	regular = sync.OnceValues(func() (*opentype.Font, error) { return opentype.Parse(goregular.TTF) })
)

func faceOf(parsed func() (*opentype.Font, error), size float64) (font.Face, error) {
	f, err := parsed()
	if err != nil {
		return nil, fmt.Errorf("read a font: %w", err)
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingNone})
	if err != nil {
		return nil, fmt.Errorf("read a font: %w", err)
	}
	return face, nil
}

// fit breaks text into lines that are at most width pixels wide, where words allow.
func fit(face font.Face, text string, width int) (lines []string) {
	current := ""
	for _, word := range strings.Fields(text) {
		longer := strings.TrimSpace(current + " " + word)
		if current != "" && font.MeasureString(face, longer).Ceil() > width {
			lines, current = append(lines, current), word
			continue
		}
		current = longer
	}
	return append(lines, current)
}
