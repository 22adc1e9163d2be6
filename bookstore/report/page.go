package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is what page.html shows.
type page struct {
	Title      string
	Lead       string
	Tiles      []tile
	Answers    []Answer
	Sections   []section
	Tables     []pageTable
	Setup      [][2]string
	Note       string
	Unfinished string
}

// tile is one figure of both ways.
type tile struct {
	Name            string
	Direct, Proxied string
	DirectWay       string
	ProxiedWay      string
}

type section struct {
	Title   string
	Figures []figure
}

type figure struct {
	Title, Caption string
	SVG            template.HTML
	Wide           bool
}

type pageTable struct {
	Title string
	Head  []string
	Rows  [][]string
}

// WritePage writes the report as one HTML page: no script, nothing from outside.
func (r *Report) WritePage(w io.Writer) error {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, r.page()); err != nil {
		return fmt.Errorf("make the report's page: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (r *Report) page() page {
	p := page{
		Title: "PostgreSQL direct and through " + r.Setup.Proxy, Tiles: r.tiles(), Answers: r.Answers(), Sections: r.sections(),
		Setup: r.setupLines(), Note: r.note(), Unfinished: r.Unfinished,
	}
	p.Lead = fmt.Sprintf("A book shop of %s under growing load, its pools as large as those of the shop that it rebuilds: "+
		"connected to the server directly, and through %s with nothing changed but the address.",
		plural(r.Setup.Processes, "process"), r.Setup.Proxy)
	p.addTable("Every turn", r.ladderTable())
	p.addTable("The original's tuning, directly", r.walkTable())
	return p
}

// addTable adds a table, without the empty rows between its groups, unless it has no rows.
func (p *page) addTable(title string, cells [][]string) {
	if len(cells) == 1 {
		return
	}
	table := pageTable{Title: title, Head: cells[0]}
	for _, row := range cells[1:] {
		if row != nil {
			table.Rows = append(table.Rows, row)
		}
	}
	p.Tables = append(p.Tables, table)
}

// tiles compare the top of the ladder.
func (r *Report) tiles() []tile {
	d, p := r.of(Direct), r.of(Proxied)
	if len(d) == 0 || len(p) == 0 {
		return nil
	}
	directFailed, _, _ := failures(d)
	proxiedFailed, _, _ := failures(p)
	last := func(rows []Row) *Row { return &rows[len(rows)-1] }
	tiles := []tile{
		{Name: "requests failed", Direct: count(directFailed), Proxied: count(proxiedFailed)},
		{Name: "backends at most", Direct: count(peak(d, backends)), Proxied: count(peak(p, backends))},
	}
	if r.Setup.Memory != NotMeasured {
		tiles = append(tiles, tile{Name: "memory of PostgreSQL at most", Direct: size(peak(d, postgres)), Proxied: size(peak(p, postgres))})
	}
	tiles = append(tiles, tile{
		Name:   "answered a second with " + plural(last(p).Clients, "client"),
		Direct: rate(last(d).Load.PerSecond), Proxied: rate(last(p).Load.PerSecond),
	})
	for i := range tiles {
		tiles[i].DirectWay, tiles[i].ProxiedWay = "direct", r.Setup.Proxy
	}
	return tiles
}

func (r *Report) sections() []section {
	all := []section{
		{"Over the number of clients", []figure{
			newFigure("Failed requests", "", r.errorsChart()),
			newFigure("Answered requests", "Successes only. A pooler makes no core faster, and takes a part of them; it must not lose requests.", r.throughputChart()),
			newFigure("Latency", "Of answered requests; failures are left out, for they would flatter.", r.latencyChart()),
			newFigure("Sessions", "Backends of clients, the most that were seen.", r.sessionsChart()),
			newFigure("Memory", "All of the server's processes, page tables included, at most.", r.memoryChart()),
			newFigure("CPU", "Left bars direct, right bars through "+r.Setup.Proxy+".", r.cpuChart()),
			newFigure("Queue", "What clients waited for a backend. The histogram's buckets double, so a p99 is an upper bound.", r.waitChart()),
			newFigure("The cost of a backend", "Every turn is a point: whatever the way, memory follows the number of backends.", r.costChart()),
		}},
		{"Over time", []figure{
			newFigure("Memory", "Turn by turn; the numbers above are concurrent clients.", r.memoryOverTime()),
			newFigure("Sessions", "By state in pg_stat_activity.", r.sessionsOverTime()),
		}},
	}
	for i := range all {
		kept := all[i].Figures[:0]
		for _, f := range all[i].Figures {
			if f.SVG != "" {
				kept = append(kept, f)
			}
		}
		all[i].Figures = kept
	}
	return all
}

// newFigure draws a chart; nil, and one without a value, is none.
func newFigure(title, caption string, c *chart) figure {
	if c == nil || len(c.hits.points) == 0 {
		return figure{}
	}
	svg := template.HTML(c.svg()) //nolint:gosec // drawn here, its texts escaped
	return figure{Title: title, Caption: caption, SVG: svg, Wide: c.width > chartWidth}
}

func (r *Report) setupLines() [][2]string {
	s := &r.Setup
	lines := [][2]string{
		{"Date", s.Started.UTC().Format(time.RFC1123)},
		{"Machine", fmt.Sprintf("%s; %s for everything", s.Machine, plural(s.Cores, "core"))},
		{"Server", fmt.Sprintf("%s, max_connections = %d, %d of them for superusers", s.Server, s.MaxConnections, s.Reserved)},
		{"Application", fmt.Sprintf("%s, each with pools of %d (database/sql) and %d + %d (pgx): %s connections at most",
			plural(s.Processes, "process"), s.SyncPool, s.AsyncPool, s.AsyncOverflow, count(s.MayOpen()))},
	}
	if s.PoolSize > 0 {
		lines = append(lines, [2]string{"Proxy", fmt.Sprintf("%s, %s", s.Proxy, plural(s.PoolSize, "backend"))})
		if s.Private {
			lines[len(lines)-1][1] += " in transaction mode (pool_size = min_pool_size)"
		}
	}
	return append(lines, [2]string{"Load", fmt.Sprintf("GET %s, a new TCP connection each, %g s a turn after a warm-up of %g to %g s, until the pools no longer grow; "+
		"direct and %s alternate", s.Asked, s.Duration, s.WarmUp, 3*s.WarmUp, s.Proxy)})
}

// Sizes of the chart that stands alone.
const (
	panelHeight  vg.Length = 290
	footerHeight vg.Length = 22
)

// WriteChart writes the one picture that sums the comparison up, as a README shows it: an SVG that stands alone, light
// or dark as its reader prefers.
func (r *Report) WriteChart(w io.Writer) error {
	sheet := &chart{
		name: r.page().Title, desc: r.Paragraph(), width: wideWidth, height: legendRow + panelHeight + footerHeight,
		legend: []mark{r.mark(Direct), r.mark(Proxied)},
	}
	canvas := vgsvg.New(sheet.width, sheet.height)
	full := draw.New(canvas)
	full.FillPolygon(inkPaper, rectangle(full.Min, full.Max))
	sheet.drawLegend(full)
	panels := []struct {
		heading string
		chart   *chart
	}{
		{"Failed requests, %", r.errorsChart()},
		{"Answered requests a second", r.throughputChart()},
		{"PostgreSQL's memory, MiB", r.memoryChart()},
	}
	width := sheet.width / vg.Length(len(panels))
	for i, p := range panels {
		part := draw.Crop(full, width*vg.Length(i), -width*vg.Length(len(panels)-1-i), footerHeight, -legendRow)
		part.Min.X, part.Max.X = part.Min.X+6, part.Max.X-12
		p.chart.y.label = ""
		p.chart.drawPart(part, p.heading)
	}
	s := style(inkMuted)
	server, _, _ := strings.Cut(r.Setup.Server, " (") // without the distributor's version
	full.FillText(s, vg.Point{X: 10, Y: 7}, fmt.Sprintf("bookstore compare, GET %s, %s, max_connections %d, %s, %s",
		r.Setup.Asked, server, r.Setup.MaxConnections, plural(r.Setup.Cores, "core"), r.Setup.Started.UTC().Format(time.DateOnly)))
	var b bytes.Buffer
	_, _ = canvas.WriteTo(&b) // a buffer takes all
	_, err := io.WriteString(w, sheet.standAlone(b.String()))
	return err
}
