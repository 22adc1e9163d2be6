package livepage

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// A picture is this many units wide and high; the page stretches it.
const (
	width, height = 300.0, 60.0
	momentStep    = 5 * time.Second
)

// moments are the history of the whole in steps that are long enough for percentiles.
func (s *Sampler) moments() []Moment {
	var all []Moment
	n, last := int64(momentStep/s.whole.step), s.whole.slot(s.latest.At)
	last -= last%n + 1 // the end of the last step that is over
	for end := last - int64(len(s.whole.points)) + 2*n; end <= last; end += n {
		sum := new(point)
		for slot := end - n + 1; slot <= end; slot++ {
			sum.add(s.whole.at(slot))
		}
		m := Moment{Ago: float64(last-end) * s.whole.step.Seconds(), Waiting: sum.waiting}
		if sum.took > 0 {
			queries := sum.perSecond(sum.queries)
			t := timesOf(&sum.query)
			m.Queries, m.P50, m.P99 = &queries, t.P50, t.P99
		}
		all = append(all, m)
	}
	return all
}

// Curve is a line of a picture.
type Curve struct {
	Name, Path string
	Area       string // below the line; empty: none
	Class      string
}

// Picture is a chart of the last minutes.
type Picture struct {
	Title, Max, Sum string // Sum says in words what is to be seen
	Curves          []Curve
	Empty           bool
}

func (v *View) pictures() []Picture {
	queries := func(m Moment) *float64 { return m.Queries }
	waiting := func(m Moment) *float64 {
		if m.Queries == nil {
			return nil
		}
		n := float64(m.Waiting)
		return &n
	}
	return []Picture{
		v.picture("Queries per second", func(n float64) string { return rate(n) + " /s" }, line{"queries", "one", queries, true}),
		v.picture("Query time", seconds, line{"p99", "two", func(m Moment) *float64 { return m.P99 }, false},
			line{"p50", "one", func(m Moment) *float64 { return m.P50 }, false}),
		v.picture("Clients waiting", func(n float64) string { return grouped(int64(n)) }, line{"waiting", "two", waiting, true}),
	}
}

// line says what of the moments a curve shows.
type line struct {
	name, class string
	of          func(Moment) *float64
	area        bool
}

func (v *View) picture(title string, write func(float64) string, lines ...line) Picture {
	p, most := Picture{Title: title, Empty: true}, 0.0
	var said []string
	for _, l := range lines {
		highest := 0.0
		for _, m := range v.History {
			if n := l.of(m); n != nil {
				p.Empty = false
				highest = max(highest, *n)
			}
		}
		said = append(said, l.name+" at most "+write(highest))
		most = max(most, highest)
	}
	most = ceiling(most)
	for _, l := range lines {
		p.Curves = append(p.Curves, v.curve(l, most))
	}
	p.Max, p.Sum = write(most), strings.Join(said, ", ")
	return p
}

func (v *View) curve(l line, most float64) Curve {
	c := Curve{Name: l.name, Class: l.class}
	var path, area strings.Builder
	span := history.Seconds() - 2*momentStep.Seconds()
	open, x := false, 0.0
	for _, m := range v.History {
		n := l.of(m)
		if n == nil {
			if open {
				fmt.Fprintf(&area, "V%g Z", height)
			}
			open = false
			continue
		}
		x = width * (1 - m.Ago/span)
		y := height * (1 - *n/most)
		if !open {
			fmt.Fprintf(&path, "M%.1f %.1fh0", x, y) // one without neighbours is a dot
			fmt.Fprintf(&area, "M%.1f %g L%.1f %.1f", x, height, x, y)
		} else {
			fmt.Fprintf(&path, "L%.1f %.1f", x, y)
			fmt.Fprintf(&area, "L%.1f %.1f", x, y)
		}
		open = true
	}
	if open {
		fmt.Fprintf(&area, "V%g Z", height)
	}
	c.Path = path.String()
	if l.area {
		c.Area = area.String()
	}
	return c
}

// ceiling is the least of 1, 2 and 5 with zeros that is not less than n.
func ceiling(n float64) float64 {
	if n <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(n)))
	for _, times := range []float64{1, 2, 5} {
		if n <= times*power*(1+1e-9) {
			return times * power
		}
	}
	return 10 * power
}
