// Package manpage writes manual pages from what is described elsewhere: a command line's own description, a table of settings.
//
// It knows the few requests of man(7) that both man-db and mandoc take, and nothing of weir.
package manpage

import (
	"fmt"
	"strings"
)

// Page is a manual page that grows from its title to its end.
type Page struct{ b strings.Builder }

// New begins a page: name(section), with one line of what it is.
func New(name string, section int, manual, line string) *Page {
	p := new(Page)
	p.b.WriteString(".\\\" Generated: change what it is made from.\n")
	fmt.Fprintf(&p.b, ".TH %s %d \"\" \"weir\" \"%s\"\n", strings.ToUpper(Escape(name)), section, Escape(manual))
	p.b.WriteString(".nh\n.ad l\n") // names of settings stay whole
	p.Section("NAME")
	fmt.Fprintf(&p.b, "%s \\- %s\n", Escape(name), Escape(line))
	return p
}

// Section begins a section.
func (p *Page) Section(title string) { fmt.Fprintf(&p.b, ".SH \"%s\"\n", Escape(title)) }

// Subsection begins a part of a section.
func (p *Page) Subsection(title string) { fmt.Fprintf(&p.b, ".SS \"%s\"\n", Escape(title)) }

// Text adds a paragraph.
func (p *Page) Text(text string) { fmt.Fprintf(&p.b, ".PP\n%s\n", lines(text)) }

// Item adds a term and, indented below it, what it means.
func (p *Page) Item(term string, paragraphs ...string) {
	fmt.Fprintf(&p.b, ".TP\n\\fB%s\\fR\n", Escape(term))
	for i, text := range paragraphs {
		if i > 0 {
			p.b.WriteString(".IP\n")
		}
		p.b.WriteString(lines(text) + "\n")
	}
}

// String is the page.
func (p *Page) String() string { return p.b.String() }

// Escape has every character of a text shown as it is: a hyphen that can be copied, no backslash that means something.
func Escape(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, `"`, `\(dq`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(text)
}

// lines is a paragraph, a line of the source for each 100 characters or so.
func lines(text string) string {
	var b strings.Builder
	width := 0
	for word := range strings.FieldsSeq(Escape(text)) {
		switch {
		case width == 0:
		case width+len(word) > 100:
			b.WriteByte('\n')
			width = 0
		default:
			b.WriteByte(' ')
		}
		if width == 0 {
			word = guard(word)
		}
		b.WriteString(word)
		width += len(word) + 1
	}
	return b.String()
}

// guard keeps a line from being read as a request.
func guard(line string) string {
	if strings.HasPrefix(line, ".") {
		return `\&` + line
	}
	return line
}
