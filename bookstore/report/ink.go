package report

import (
	"fmt"
	"image/color"
	"strings"
)

// ink names a colour of the page. Charts are drawn in stand-ins for inks; colour puts the page's variables in their
// place, so that one drawing serves light and dark, or fixed colours for a chart that stands alone.
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

// inkTable holds each ink's variable in page.html and its value where no page gives one: the page's light theme.
var inkTable = [inks]struct{ variable, light string }{
	inkText:        {"--text", "#1f2328"},
	inkMuted:       {"--muted", "#57606a"},
	inkGrid:        {"--grid", "#d8dee4"},
	inkBand:        {"--band", "#f3f5f7"},
	inkDirect:      {"--direct", "#c2410c"},
	inkProxied:     {"--proxied", "#0b6bcb"},
	inkThird:       {"--third", "#7a5af5"},
	inkFourth:      {"--fourth", "#6b7280"},
	inkFifth:       {"--fifth", "#0f766e"},
	inkDirectSoft:  {"--direct-soft", "#f4c9b3"},
	inkProxiedSoft: {"--proxied-soft", "#b7d7f5"},
	inkFifthSoft:   {"--fifth-soft", "#a7dcd6"},
	inkPaper:       {"--paper", "#ffffff"},
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

// colour replaces the stand-ins of a drawing.
func colour(svg string, standAlone bool) string {
	var pairs []string
	for i := range inks {
		value := "var(" + inkTable[i].variable + ")"
		if standAlone {
			value = inkTable[i].light
		}
		pairs = append(pairs, i.standIn(), value)
	}
	return strings.NewReplacer(pairs...).Replace(svg)
}
