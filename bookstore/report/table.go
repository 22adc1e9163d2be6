package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// WriteText prints the tables and the words.
func (r *Report) WriteText(w io.Writer) error {
	p := &printer{w: w}
	if len(r.Rows) > 0 {
		p.table(r.ladderTable())
		p.text("\n%s\n", wrap(r.note(), lineMax))
	}
	if len(r.Walk) > 0 {
		p.text("\nThe original's tuning, directly, with %s:\n\n", plural(r.Walk[0].Clients, "client"))
		p.table(r.walkTable())
	}
	if r.Unfinished != "" {
		p.text("\n%s\n", wrap("The comparison did not finish: "+r.Unfinished, lineMax))
	}
	if words := r.Paragraph(); words != "" {
		p.text("\n%s\n", wrap(words, lineMax))
	}
	return p.err
}

// ladderTable is that of the numbers of clients, each a group.
func (r *Report) ladderTable() [][]string {
	cells := [][]string{r.head("clients")}
	for i := range r.Rows {
		row := &r.Rows[i]
		if i > 0 && row.Clients != r.Rows[i-1].Clients {
			cells = append(cells, nil)
		}
		cells = append(cells, r.cells(row.Clients, row))
	}
	return cells
}

// walkTable is that of the original's tuning.
func (r *Report) walkTable() [][]string {
	cells := [][]string{r.head("max_connections")}
	for i := range r.Walk {
		cells = append(cells, r.cells(r.Walk[i].MaxConnections, &r.Walk[i]))
	}
	return cells
}

func (r *Report) head(first string) []string {
	return []string{first, "way", "requests", "errors", "ok/s", "p50", "p95", "p99", "backends", "PostgreSQL", "API", r.Setup.Proxy}
}

func (r *Report) cells(first int, row *Row) []string {
	ok := row.Load.Latency
	return []string{
		count(first), r.name(row.Way), count(row.Load.Requests), errorsCell(row), rate(row.Load.PerSecond),
		latency(ok.P50), latency(ok.P95), latency(ok.P99), strconv.Itoa(row.Backends()),
		sizeCell(row.Postgres()), sizeCell(row.API()), sizeCell(row.Proxy()),
	}
}

func errorsCell(row *Row) string {
	if row.Load.Failed == 0 {
		return "0"
	}
	return fmt.Sprintf("%s (%s)", count(row.Load.Failed), percent(row.Load.Failed, row.Load.Requests))
}

func sizeCell(bytes int64) string {
	if bytes == 0 {
		return "-"
	}
	return size(bytes)
}

// note says how the figures were got.
func (r *Report) note() string {
	s := &r.Setup
	memory := "Memory: peak, proportional set size (Pss) and PostgreSQL's page tables."
	switch s.Memory {
	case Resident:
		memory = "Memory: peak of the resident set size, shared memory counted in every process."
	case NotMeasured:
		memory = "PostgreSQL's memory was not measured: its processes cannot be seen from here."
	case Pss:
	}
	return fmt.Sprintf("GET %s, a new TCP connection each, for %g s after %g s of warm-up. ok/s and latencies: answered requests only. "+
		"backends: peak in pg_stat_activity. %s", s.Asked, s.Duration, s.WarmUp, memory)
}

// printer writes until something fails.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) text(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// table aligns cells to the right; an empty row separates groups.
func (p *printer) table(cells [][]string) {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range cells {
		if row == nil {
			row = make([]string, len(cells[0]))
		}
		fmt.Fprintln(tw, strings.Join(row, "\t")+"\t")
	}
	if err := tw.Flush(); err != nil && p.err == nil {
		p.err = err
	}
	for line := range strings.Lines(b.String()) {
		p.text("%s\n", strings.TrimRight(line, " \n"))
	}
}
