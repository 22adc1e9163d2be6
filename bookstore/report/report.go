// Package report tells what a comparison measured: one table, and a few lines that say in plain words what happened.
//
// A Report is a plain value; nothing here measures, and no sentence says more than the figures it was given. It
// imports load for its results.
package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"weir/bookstore/load"
)

// Way is how the application reached PostgreSQL.
type Way string

// The two ways.
const (
	Direct Way = "direct"
	Weir   Way = "weir"
)

// Row is one load on one way. Sizes are the peaks of samples, in bytes.
type Row struct {
	Clients  int
	Way      Way
	Load     *load.Result
	Backends int   // of clients, in pg_stat_activity, without the sampler's
	Postgres int64 // all of the server's processes
	API      int64
	Proxy    int64 // 0 on the direct way
}

// Setup is what the rows have in common.
type Setup struct {
	Server         string // PostgreSQL's version
	Path           string // what was asked for
	Cores          int
	MaxConnections int           // of the server
	Reserved       int           // of these, for superusers
	PoolConns      int           // that the application's pools may open
	PoolSize       int           // backends that weir may open
	WarmUp         time.Duration // of each turn, not counted
	Pss            bool          // sizes are proportional; otherwise resident, which counts shared memory in each process
}

// Report is a comparison.
type Report struct {
	Setup Setup
	Rows  []Row
}

// Write prints table and words.
func (r *Report) Write(w io.Writer) error {
	if err := r.Table(w); err != nil {
		return err
	}
	for _, line := range r.Words() {
		if _, err := fmt.Fprintf(w, "\n%s\n", wrap("* "+line, lineMax)); err != nil {
			return err
		}
	}
	return nil
}

// lineMax is the width of the table, so of the words too.
const lineMax = 100

// Table prints a line for each row.
func (r *Report) Table(w io.Writer) error {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "clients\tway\trequests\terrors\tok/s\tp50\tp95\tp99\tbackends\tPostgreSQL\tAPI\tweir\t")
	for i, row := range r.Rows {
		if i > 0 && row.Clients != r.Rows[i-1].Clients {
			fmt.Fprintln(tw, strings.Repeat("\t", 12))
		}
		ok := row.Load.Succeeded
		fmt.Fprintln(tw, strings.Join([]string{
			strconv.Itoa(row.Clients), string(row.Way), count(row.Load.Requests()), errorsCell(row.Load),
			count(int64(row.Load.PerSecond() + 0.5)),
			duration(ok.Percentile(50)), duration(ok.Percentile(95)), duration(ok.Percentile(99)),
			strconv.Itoa(row.Backends), size(row.Postgres), size(row.API), proxyCell(row),
		}, "\t")+"\t")
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	kind := "proportional set size (Pss)"
	if !r.Setup.Pss {
		kind = "resident set size, shared memory counted in every process"
	}
	for line := range strings.Lines(b.String()) {
		fmt.Fprintln(w, strings.TrimRight(line, " \n"))
	}
	note := fmt.Sprintf("GET %s, a new TCP connection each, after %s of warm-up. ok/s and latencies: answered requests only. "+
		"backends: peak in pg_stat_activity. Memory: peak, %s.", r.Setup.Path, r.Setup.WarmUp, kind)
	_, err := fmt.Fprintf(w, "\n%s\n", wrap(note, lineMax))
	return err
}

func errorsCell(l *load.Result) string {
	if l.Failed.Count() == 0 {
		return "0"
	}
	return fmt.Sprintf("%s (%s)", count(l.Failed.Count()), percent(l.Failed.Count(), l.Requests()))
}

func proxyCell(row Row) string {
	if row.Way == Direct {
		return "-"
	}
	return size(row.Proxy)
}

// percent never says 0% or 100% of what is neither.
func percent(part, all int64) string {
	p := float64(part) / float64(max(all, 1)) * 100
	switch {
	case part > 0 && p < 1:
		return "<1%"
	case part < all && p > 99:
		return ">99%"
	}
	return fmt.Sprintf("%.0f%%", p)
}

// count writes 12345 as 12,345.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func duration(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1fms", d.Seconds()*1000)
	case d < 10*time.Second:
		return fmt.Sprintf("%.0fms", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.1fs", d.Seconds())
}

func size(bytes int64) string { return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20)) }

// wrap breaks a text into lines; those after a bullet's first are indented by two.
func wrap(text string, width int) string {
	var b strings.Builder
	indent := ""
	if strings.HasPrefix(text, "* ") {
		indent = "  "
	}
	line := 0
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case line+1+len(word) > width:
			b.WriteString("\n" + indent)
			line = len(indent)
		default:
			b.WriteByte(' ')
			line++
		}
		b.WriteString(word)
		line += len(word)
	}
	return b.String()
}
