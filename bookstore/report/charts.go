package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

func (r *Report) mark(way Way) mark {
	if way == Proxied {
		return mark{name: "through " + r.Setup.Proxy, ink: inkProxied, shape: draw.BoxGlyph{}}
	}
	return mark{name: "direct", ink: inkDirect, shape: draw.CircleGlyph{}}
}

// ways are both, the one that is to lie on top last.
var ways = []Way{Direct, Proxied}

// rungs are the ladder's clients in order.
func (r *Report) rungs() []int {
	var rungs []int
	for _, row := range r.Rows {
		rungs = append(rungs, row.Clients)
	}
	slices.Sort(rungs)
	return slices.Compact(rungs)
}

// ladder starts a chart over the rungs, evenly spaced whatever their distance.
func (r *Report) ladder(name, label string) *chart {
	c := &chart{name: name, x: axis{label: "concurrent clients", min: -0.35}, y: axis{label: label}, hits: &hits{}}
	rungs := r.rungs()
	for i, n := range rungs {
		c.x.ticks = append(c.x.ticks, plot.Tick{Value: float64(i), Label: count(n)})
	}
	c.x.max = float64(len(rungs)) - 0.65
	return c
}

// overRungs takes one value of each row of a way.
func (r *Report) overRungs(way Way, of func(*Row) (float64, string)) []point {
	rungs := r.rungs()
	var points []point
	for _, row := range r.of(way) {
		y, shown := of(&row)
		if math.IsNaN(y) {
			continue
		}
		points = append(points, point{
			x: float64(slices.Index(rungs, row.Clients)), y: y,
			tip: fmt.Sprintf("%s, %s: %s", plural(row.Clients, "client"), r.mark(way).name, shown),
		})
	}
	return points
}

// scaleY gives the chart an axis from 0 that holds all points.
func (c *chart) scaleY(format func(float64) string, series ...[]point) {
	c.y.ticks, c.y.max = niceTicks(extent(series...), 5, format)
}

// draw adds a series.
func (c *chart) draw(m mark, points []point) {
	c.layers = append(c.layers, &line{mark: m, points: points})
	c.hits.add(points)
}

// bothWays is a chart with one line for each way.
func (r *Report) bothWays(name, label string, format func(float64) string, of func(*Row) (float64, string)) *chart {
	c := r.ladder(name, label)
	var all [][]point
	for _, way := range ways {
		points := r.overRungs(way, of)
		if len(points) == 0 {
			continue
		}
		all = append(all, points)
		c.legend = append(c.legend, r.mark(way))
		c.draw(r.mark(way), points)
	}
	c.scaleY(format, all...)
	c.desc = describe(c.hits.points)
	return c
}

// describe tells a chart's values to whoever cannot see it.
func describe(points []point) string {
	text := ""
	for _, p := range points {
		if p.tip != "" {
			text += p.tip + ". "
		}
	}
	return text
}

func (r *Report) errorsChart() *chart {
	return r.bothWays("Failed requests by concurrent clients", "failed, % of requests", plain, func(row *Row) (float64, string) {
		share := 100 * float64(row.Load.Failed) / float64(max(row.Load.Requests, 1))
		return share, fmt.Sprintf("%s of %s requests failed", count(row.Load.Failed), count(row.Load.Requests))
	})
}

func (r *Report) throughputChart() *chart {
	return r.bothWays("Answered requests a second by concurrent clients", "answered a second", plain, func(row *Row) (float64, string) {
		return row.Load.PerSecond, rate(row.Load.PerSecond) + " answered a second"
	})
}

func (r *Report) sessionsChart() *chart {
	c := r.bothWays("PostgreSQL's backends by concurrent clients", "backends", plain, func(row *Row) (float64, string) {
		return float64(row.Backends()), plural(row.Backends(), "backend")
	})
	return c
}

func (r *Report) memoryChart() *chart {
	return r.bothWays("PostgreSQL's memory by concurrent clients", "PostgreSQL's memory, MiB", plain, func(row *Row) (float64, string) {
		if row.Postgres() == 0 {
			return math.NaN(), ""
		}
		return float64(row.Postgres()) / mib, size(row.Postgres())
	})
}

// latencyChart shows three percentiles of the successes, on a logarithmic scale: what matters is how many times more.
func (r *Report) latencyChart() *chart {
	c := r.ladder("Latency of answered requests by concurrent clients", "")
	low, high := math.Inf(1), 0.0
	for _, p := range []struct {
		name string
		dash []vg.Length
		of   func(*Row) float64
	}{
		{"p50", nil, func(row *Row) float64 { return row.Load.Latency.P50 }},
		{"p95", dashed, func(row *Row) float64 { return row.Load.Latency.P95 }},
		{"p99", dotted, func(row *Row) float64 { return row.Load.Latency.P99 }},
	} {
		for _, way := range ways {
			m := r.mark(way)
			m.dash = p.dash
			if p.name != "p50" {
				m.shape = nil
			}
			points := r.overRungs(way, func(row *Row) (float64, string) {
				if row.Load.Succeeded == 0 {
					return math.NaN(), ""
				}
				return p.of(row), p.name + " " + latency(p.of(row))
			})
			for _, pt := range points {
				low, high = min(low, pt.y), max(high, pt.y)
			}
			c.draw(m, points)
		}
	}
	c.legend = []mark{
		r.mark(Direct),
		r.mark(Proxied),
		{name: "p50", ink: inkMuted},
		{name: "p95", ink: inkMuted, dash: dashed},
		{name: "p99", ink: inkMuted, dash: dotted},
	}
	c.y.log = true
	c.y.min, c.y.max, c.y.ticks = decades(low, high)
	c.desc = describe(c.hits.points)
	return c
}

// decades are the powers of ten around two values in milliseconds.
func decades(low, high float64) (from, to float64, ticks []plot.Tick) {
	if high <= 0 {
		low, high = 1, 10
	}
	from, to = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
	if from == to {
		to *= 10
	}
	for v := from; v <= to*1.001; v *= 10 {
		label := strconv.FormatFloat(v, 'g', 3, 64) + " ms"
		if v >= 1000 {
			label = plain(v/1000) + " s"
		}
		ticks = append(ticks, plot.Tick{Value: v, Label: label})
	}
	return from, to, ticks
}

// original is what the author's `docker stats` and pg_stat_activity showed: backends and MiB of the database's container.
var original = []point{{x: 150, y: 324}, {x: 400, y: 811.2}, {x: 526, y: 1068}}

// costChart shows memory over backends: whatever the way, one line.
func (r *Report) costChart() *chart {
	c := &chart{name: "PostgreSQL's memory by backends", x: axis{label: "backends"}, y: axis{label: "PostgreSQL's memory, MiB"}, hits: &hits{}}
	var all [][]point
	most := 0.0
	add := func(m mark, points []point) {
		if len(points) == 0 {
			return
		}
		for _, p := range points {
			most = max(most, p.x)
		}
		all = append(all, points)
		c.legend = append(c.legend, m)
		c.draw(m, points)
	}
	scatter := func(rows []Row, m mark, key func(*Row) string) {
		m.dash = scattered
		add(m, costPoints(rows, key))
	}
	theirs := slices.Clone(original)
	for i, p := range theirs {
		theirs[i].tip = fmt.Sprintf("the original: %.0f backends, %.0f MiB", p.x, p.y)
	}
	add(mark{name: "the original, 2021", ink: inkFourth, shape: diamond{}, dash: scattered}, theirs)
	scatter(r.of(Direct), r.mark(Direct), func(row *Row) string { return plural(row.Clients, "client") + ", direct" })
	walk := mark{name: "direct, max_connections varied", ink: inkDirect, shape: draw.PyramidGlyph{}}
	scatter(r.Walk, walk, func(row *Row) string { return fmt.Sprintf("max_connections %d", row.MaxConnections) })
	scatter(r.of(Proxied), r.mark(Proxied), func(row *Row) string { return plural(row.Clients, "client") + ", through " + r.Setup.Proxy })
	c.x.ticks, c.x.max = niceTicks(most, 6, plain)
	if fit, ok := r.BackendCost(); ok {
		ends := []point{{y: fit.Base / mib}, {x: c.x.max, y: (fit.Base + fit.Each*c.x.max) / mib}}
		m := mark{name: fmt.Sprintf("%.0f MiB + %.2f MiB for each backend", fit.Base/mib, fit.Each/mib), ink: inkMuted, dash: dashed}
		c.legend = append(c.legend, m)
		c.layers = slices.Insert(c.layers, 0, plot.Plotter(&line{mark: m, points: ends}))
		all = append(all, ends)
	}
	c.scaleY(plain, all...)
	c.desc = describe(c.hits.points)
	return c
}

// costPoints are the backends and the memory of turns in which that was measured; key says which turn it was.
func costPoints(rows []Row, key func(*Row) string) (points []point) {
	for _, row := range rows {
		if row.Postgres() == 0 {
			continue
		}
		points = append(points, point{
			x: float64(row.Backends()), y: float64(row.Postgres()) / mib,
			tip: fmt.Sprintf("%s: %s, %s", key(&row), plural(row.Backends(), "backend"), size(row.Postgres())),
		})
	}
	return points
}

// waitChart shows the proxy's queue.
func (r *Report) waitChart() *chart {
	c := r.ladder("Time in the queue of "+r.Setup.Proxy+" by concurrent clients", "ms in the queue")
	var all [][]point
	for _, p := range []struct {
		m  mark
		of func(*Wait) float64
	}{
		{mark{name: "on average", ink: inkProxied, shape: draw.BoxGlyph{}}, func(w *Wait) float64 { return w.Mean }},
		{mark{name: "p99, at most", ink: inkProxied, dash: dashed}, func(w *Wait) float64 { return w.P99 }},
	} {
		points := r.overRungs(Proxied, func(row *Row) (float64, string) {
			if row.Wait == nil {
				return math.NaN(), ""
			}
			return p.of(row.Wait), p.m.name + " " + latency(p.of(row.Wait))
		})
		if len(points) == 0 {
			return nil
		}
		all = append(all, points)
		c.legend = append(c.legend, p.m)
		c.draw(p.m, points)
	}
	c.scaleY(plain, all...)
	c.desc = describe(c.hits.points)
	return c
}

// cpuChart stacks what each program took of the cores, a bar for each way.
func (r *Report) cpuChart() *chart {
	c := r.ladder("Cores kept busy by concurrent clients", "cores kept busy")
	c.x.min, c.x.max = -0.6, float64(len(c.x.ticks))-0.4
	programs := []struct {
		mark mark
		of   func(*CPU) float64
	}{
		{mark{name: "PostgreSQL", ink: inkFifth, fill: true}, func(u *CPU) float64 { return u.Postgres }},
		{mark{name: "bookstore", ink: inkThird, fill: true}, func(u *CPU) float64 { return u.API }},
		{mark{name: "load", ink: inkFourth, fill: true}, func(u *CPU) float64 { return u.Load }},
		{mark{name: r.Setup.Proxy, ink: inkProxied, fill: true}, func(u *CPU) float64 { return u.Proxy }},
	}
	if r.others() != "" {
		programs = append(programs, struct {
			mark mark
			of   func(*CPU) float64
		}{mark{name: "others", ink: inkGrid, fill: true}, func(u *CPU) float64 { return u.Others }})
	}
	for _, p := range programs {
		c.legend = append(c.legend, p.mark)
	}
	width := min(18, 300/vg.Length(max(1, len(c.x.ticks)))/3)
	rungs := r.rungs()
	top := float64(r.Setup.Cores)
	for i, way := range ways {
		for _, row := range r.of(way) {
			x, sum := float64(slices.Index(rungs, row.Clients)), 0.0
			shift := (vg.Length(i)*2 - 1) * (width/2 + 1.5)
			tip := fmt.Sprintf("%s, %s:", plural(row.Clients, "client"), r.mark(way).name)
			for _, p := range programs {
				cores := p.of(&row.CPU)
				c.layers = append(c.layers, &bar{ink: p.mark.ink, x: x, y0: sum, y1: sum + cores, shift: shift, width: width})
				tip += fmt.Sprintf(" %s %.2f", p.mark.name, cores)
				sum += cores
			}
			top = max(top, sum)
			c.hits.add([]point{{x: x + float64(2*i-1)*0.2, y: sum / 2, tip: tip}})
		}
	}
	c.y.ticks, c.y.max = niceTicks(top, 4, plain)
	c.desc = describe(c.hits.points)
	return c
}
