package stock

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"
)

// A page is A5, in points.
const (
	pageWidth  = 420
	pageHeight = 595
	margin     = 56
)

// line is text at a size, with the space above it.
type line struct {
	size, above int
	bold        bool
	text        string
}

// PDF is a small book: a page with the title, and one that says what it is. It uses the fonts that every reader has,
// so letters beyond western Europe's lose their accents or become question marks.
func PDF(title, author, description string) []byte {
	first := []line{}
	for _, l := range wrap(title, 22) {
		first = append(first, line{size: 28, above: 10, bold: true, text: l})
	}
	for _, l := range wrap(author, 40) {
		first = append(first, line{size: 15, above: 12, text: l})
	}
	second := []line{{size: 15, bold: true, text: "About this copy"}}
	for _, paragraph := range []string{
		description,
		"The bookstore is a demonstration of weir, a pooler for PostgreSQL connections. Its books are as short as their " +
			"loads are long: this page is all there is to read.",
		"What you hold travelled from a table in PostgreSQL through a pooled connection that served somebody else a " +
			"moment before, and somebody else a moment later.",
	} {
		for i, l := range wrap(paragraph, 52) {
			above := 3
			if i == 0 {
				above = 14
			}
			second = append(second, line{size: 12, above: above, text: l})
		}
	}

	var d document
	d.object("<< /Type /Catalog /Pages 2 0 R >>")
	d.object("<< /Type /Pages /Kids [5 0 R 7 0 R] /Count 2 >>")
	d.object("<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman /Encoding /WinAnsiEncoding >>")
	d.object("<< /Type /Font /Subtype /Type1 /BaseFont /Times-Bold /Encoding /WinAnsiEncoding >>")
	d.page(first, pageHeight*2/3)
	d.page(second, pageHeight-margin)
	return d.close(title, author)
}

// wrap breaks text into lines of at most n characters, where words allow.
func wrap(text string, n int) (lines []string) {
	current := ""
	for _, word := range strings.Fields(text) {
		switch {
		case current == "":
			current = word
		case len([]rune(current))+1+len([]rune(word)) <= n:
			current += " " + word
		default:
			lines, current = append(lines, current), word
		}
	}
	if current != "" {
		lines = append(lines, current)
	}
	return lines
}

// document writes the objects of a PDF (ISO 32000-1, 7.5), numbered from 1, and remembers where each begins.
type document struct {
	bytes.Buffer
	offsets []int
}

func (d *document) object(body string) {
	if d.Len() == 0 {
		fmt.Fprint(d, "%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
	}
	d.offsets = append(d.offsets, d.Len())
	fmt.Fprintf(d, "%d 0 obj\n%s\nendobj\n", len(d.offsets), body)
}

// page writes two objects: the page, and what stands on it from y downwards.
func (d *document) page(lines []line, y int) {
	d.object(fmt.Sprintf("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents %d 0 R "+
		"/Resources << /Font << /R 3 0 R /B 4 0 R >> >> >>", pageWidth, pageHeight, len(d.offsets)+2))
	var content strings.Builder
	for _, l := range lines {
		y -= l.above + l.size
		if y < margin {
			break
		}
		font := "R"
		if l.bold {
			font = "B"
		}
		fmt.Fprintf(&content, "BT /%s %d Tf %d %d Td %s Tj ET\n", font, l.size, margin, y, literal(l.text))
	}
	d.object(fmt.Sprintf("<< /Length %d >>\nstream\n%sendstream", content.Len(), content.String()))
}

// literal is a string as a PDF holds it (7.3.4.2), in the encoding of its fonts.
func literal(s string) string {
	var b strings.Builder
	b.WriteByte('(')
	for _, r := range s {
		c, ok := charmap.Windows1252.EncodeRune(r)
		if !ok { // the letter without its accent
			c, ok = charmap.Windows1252.EncodeRune([]rune(norm.NFD.String(string(r)))[0])
		}
		if !ok || c < ' ' {
			c = '?'
		}
		if strings.IndexByte(`()\`, c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	b.WriteByte(')')
	return b.String()
}

func (d *document) close(title, author string) []byte {
	d.object(fmt.Sprintf("<< /Title %s /Author %s /Producer (bookstore) >>", literal(title), literal(author)))
	start, n := d.Len(), len(d.offsets)
	fmt.Fprintf(d, "xref\n0 %d\n0000000000 65535 f \n", n+1)
	for _, offset := range d.offsets {
		fmt.Fprintf(d, "%010d 00000 n \n", offset)
	}
	fmt.Fprintf(d, "trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n", n+1, n, start)
	return d.Bytes()
}
