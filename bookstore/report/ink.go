package report

import (
	"fmt"
	"image/color"
	"strings"
)

// ink names a colour of the page. Charts are drawn in stand-ins for inks; colour puts the page's variables in their
// place, so that one drawing serves light and dark, or light colours for a chart that stands alone and brings darkStyle.
type ink int

// The inks. Those of the two ways differ in lightness, too, and their marks in shape.
const (
	inkText ink = iota
	inkMuted
	inkGrid
	inkBand
	inkDirect
	inkProxied
	inkThird
	inkFourth
	inkFifth
	inkDirectSoft
	inkProxiedSoft
	inkFifthSoft
	inkPaper
	inks
)

// inkTable holds each ink's variable in page.html and its values there, light and dark, for where no page gives one.
var inkTable = [inks]struct{ variable, light, dark string }{
	inkText:        {"--text", "#1f2328", "#e6edf3"},
	inkMuted:       {"--muted", "#57606a", "#9aa5b1"},
	inkGrid:        {"--grid", "#d8dee4", "#30363d"},
	inkBand:        {"--band", "#f3f5f7", "#1d232c"},
	inkDirect:      {"--direct", "#c2410c", "#ff8a50"},
	inkProxied:     {"--proxied", "#0b6bcb", "#58a6ff"},
	inkThird:       {"--third", "#7a5af5", "#a78bfa"},
	inkFourth:      {"--fourth", "#6b7280", "#8b949e"},
	inkFifth:       {"--fifth", "#0f766e", "#2dd4bf"},
	inkDirectSoft:  {"--direct-soft", "#f4c9b3", "#4d2a1a"},
	inkProxiedSoft: {"--proxied-soft", "#b7d7f5", "#173a63"},
	inkFifthSoft:   {"--fifth-soft", "#a7dcd6", "#17544e"},
	inkPaper:       {"--paper", "#ffffff", "#161b22"},
}

// RGBA implements color.Color with the stand-in.
func (i ink) RGBA() (r, g, b, a uint32) {
	return color.RGBA{R: 0x11, G: 0x22, B: uint8(i) * 8, A: 0xff}.RGBA()
}

// standIn is the ink as gonum's SVG canvas writes it: it scales the channels by floats, and rounds down.
func (i ink) standIn() string {
	r, g, b, a := i.RGBA()
	scale := 255.0 / float64(a)
	return fmt.Sprintf("#%02X%02X%02X", int(float64(r)*scale), int(float64(g)*scale), int(float64(b)*scale))
}

// variable is the ink on a page.
func (i ink) variable() string { return "var(" + inkTable[i].variable + ")" }

// light is the ink where no page gives it.
func (i ink) light() string { return inkTable[i].light }

// colour replaces the stand-ins of a drawing.
func colour(svg string, value func(ink) string) string {
	var pairs []string
	for i := range inks {
		pairs = append(pairs, i.standIn(), value(i))
	}
	return strings.NewReplacer(pairs...).Replace(svg)
}

// darkStyle gives a chart that stands alone the dark colours where its reader prefers them. It finds marks by their light
// colour: a program that knows no style sheet then still shows a light chart.
func darkStyle() string {
	var b strings.Builder
	b.WriteString("<style>@media (prefers-color-scheme: dark) {\n")
	for _, i := range inkTable {
		for _, property := range []string{"fill", "stroke"} {
			fmt.Fprintf(&b, "[style*='%s:%s'] { %s: %s !important }\n", property, i.light, property, i.dark)
		}
	}
	b.WriteString("}</style>\n")
	return b.String()
}
