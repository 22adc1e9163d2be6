package bench

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is what one run of weirbench found.
type Report struct {
	Command string    `json:"command"`
	Date    time.Time `json:"date"`
	Machine Machine   `json:"machine"`
	Results []Result  `json:"results"`
}

// Machine is where it ran and with what.
type Machine struct {
	Cores    int      `json:"cores"`
	CPU      string   `json:"cpu"`
	Kernel   string   `json:"kernel"`
	Go       string   `json:"go"`
	Versions []string `json:"versions"` // of PostgreSQL and of each program
}

// Result is a suite's outcome: a table for people, samples for programs.
type Result struct {
	Suite   string `json:"suite"`
	Title   string `json:"title"`
	About   string `json:"about"` // what was done, in a sentence or two
	Table   Table  `json:"table"`
	Samples any    `json:"samples"` // the suite's own type, every round
}

// Table is text in columns.
type Table struct {
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
}

// Describe says where a lab runs and which programs it measures.
func (l *Lab) Describe(ctx context.Context) Machine {
	m := Machine{
		Cores: runtime.NumCPU(), CPU: cpuModel(), Kernel: kernel(), Go: runtime.Version(),
		Versions: []string{l.pg.Version()},
	}
	for _, p := range l.Programs {
		version := p.Version(ctx)
		if !strings.HasPrefix(strings.ToLower(version), p.Name) {
			version = p.Name + ": " + version
		}
		m.Versions = append(m.Versions, version)
	}
	return m
}

func (m Machine) String() string {
	return fmt.Sprintf("%d cores, %s, %s, %s; %s", m.Cores, m.CPU, m.Kernel, m.Go, strings.Join(m.Versions, ", "))
}

// CommandLine is how a reader repeats the run. Paths are cut to their last part: those of this machine help no reader.
func CommandLine(args []string) string {
	words := []string{"go", "run", "./cmd/weirbench"}
	for _, arg := range args {
		name, value, joined := strings.Cut(arg, "=")
		switch {
		case joined && strings.Contains(value, "/"):
			arg = name + "=" + filepath.Base(value)
		case !joined && strings.Contains(arg, "/"):
			arg = filepath.Base(arg)
		}
		if strings.ContainsAny(arg, " \t'\"$*") {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}

// Print writes a result for the terminal.
func (r Result) Print(w io.Writer) error {
	fmt.Fprintf(w, "\n%s\n%s\n\n", r.Title, r.About)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(r.Table.Columns, "\t"))
	for _, row := range r.Table.Rows {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// markdown is the table as GitHub draws it.
func (t Table) markdown() string {
	var b strings.Builder
	line := func(cells []string) {
		b.WriteString("|")
		for _, cell := range cells {
			b.WriteString(" " + strings.ReplaceAll(cell, "|", `\|`) + " |")
		}
		b.WriteString("\n")
	}
	line(t.Columns)
	rule := make([]string, len(t.Columns))
	for i := range rule {
		rule[i] = "---"
	}
	line(rule)
	for _, row := range t.Rows {
		line(row)
	}
	return b.String()
}

// OverTLS makes the result one of its own beside that of the same suite without TLS.
func (r Result) OverTLS() Result {
	r.Suite += "-tls"
	r.Title += ", with TLS"
	r.About = "Clients use TLS; between proxy and PostgreSQL there is none. " + r.About
	return r
}

// goal is what the project set itself for a figure.
type goal struct {
	bound   float64
	atLeast bool   // else at most
	format  string // of the bound
}

// verdict holds a figure against the goal; empty without one.
func (g *goal) verdict(figure float64) string {
	if g == nil {
		return ""
	}
	sign, met := "≤", figure <= g.bound
	if g.atLeast {
		sign, met = "≥", figure >= g.bound
	}
	word := "missed"
	if met {
		word = "met"
	}
	return fmt.Sprintf("%s "+g.format+" %s", sign, g.bound, word)
}
