package report

import (
	"cmp"
	"fmt"
	"slices"

	"gonum.org/v1/plot/vg"
)

const timeHeight vg.Length = 300

// timeline starts a chart over the whole run, its turns as stripes.
func (r *Report) timeline(name, label string) (*chart, []Row) {
	rows := slices.Concat(r.Rows, r.Walk)
	rows = slices.DeleteFunc(rows, func(row Row) bool { return len(row.Samples) == 0 })
	slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Compare(a.Samples[0].At, b.Samples[0].At) })
	c := &chart{name: name, width: wideWidth, height: timeHeight, x: axis{label: "seconds since the start"}, y: axis{label: label}, hits: &hits{}}
	if len(rows) == 0 {
		return c, nil
	}
	all, last := rows, rows[len(rows)-1].Samples
	c.x.ticks, _ = niceTicks(last[len(last)-1].At, 10, plain)
	c.x.max = last[len(last)-1].At
	// Turns of the same load stand together: a stripe and a heading for each group.
	c.headroom = headroom
	shaded := false
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].Clients == rows[0].Clients && rows[n].MaxConnections == rows[0].MaxConnections {
			n++
		}
		group := rows[:n]
		from, end := group[0].Samples[0].At, group[n-1].Samples
		to := end[len(end)-1].At
		text := count(group[0].Clients)
		if group[0].MaxConnections != r.Setup.MaxConnections {
			text = fmt.Sprint("max ", group[0].MaxConnections)
		}
		c.layers = append(c.layers, &heading{from: from, to: to, text: text})
		if rows = rows[n:]; len(rows) > 0 {
			to = rows[0].Samples[0].At
		}
		if shaded {
			c.under = append(c.under, &stripe{from: from, to: to, headroom: headroom})
		}
		shaded = !shaded
	}
	return c, all
}

// headroom is where the groups' headings stand.
const headroom vg.Length = 20

// memoryOverTime draws each turn's memory in its way's colour.
func (r *Report) memoryOverTime() *chart {
	c, rows := r.timeline("PostgreSQL's memory over time", "PostgreSQL's memory, MiB")
	var all [][]point
	for _, row := range rows {
		var points, floor []point
		for _, s := range row.Samples {
			if s.Programs == nil || s.Programs.Postgres.Size() == 0 {
				continue
			}
			p := s.Programs.Postgres
			points = append(points, point{
				x: s.At, y: float64(p.Size()) / mib,
				tip: fmt.Sprintf("%s, %s, at %.0f s: %s, of these %s page tables", plural(row.Clients, "client"), r.mark(row.Way).name,
					s.At, size(p.Size()), size(p.PageTables)),
			})
			floor = append(floor, point{x: s.At})
		}
		m := r.mark(row.Way)
		m.shape = nil
		soft := inkDirectSoft
		if row.Way == Proxied {
			soft = inkProxiedSoft
		}
		c.layers = append(c.layers, &area{ink: soft, low: floor, top: points}, &line{mark: m, points: points})
		c.hits.add(points)
		all = append(all, points)
	}
	c.legend = []mark{{name: "direct", ink: inkDirect}, {name: "through " + r.Setup.Proxy, ink: inkProxied}}
	c.scaleY(plain, all...)
	c.desc = "One stretch for each turn; the numbers above are concurrent clients. The table and samples.csv have the values."
	return c
}

// sessionsOverTime stacks the sessions by state.
func (r *Report) sessionsOverTime() *chart {
	c, rows := r.timeline("Sessions in pg_stat_activity by state over time", "sessions")
	states := []struct {
		mark mark
		of   func(Sessions) int
	}{
		{mark{name: "active", ink: inkFifth, fill: true}, func(s Sessions) int { return s.Active }},
		{mark{name: "idle in transaction", ink: inkThird, fill: true}, func(s Sessions) int { return s.IdleInTransaction }},
		{mark{name: "idle", ink: inkFifthSoft, fill: true}, func(s Sessions) int { return s.Idle }},
		{mark{name: "logging in", ink: inkFourth, fill: true}, func(s Sessions) int { return s.Other }},
	}
	for _, s := range states {
		c.legend = append(c.legend, s.mark)
	}
	most := 0
	for _, row := range rows {
		low := make([]point, len(row.Samples))
		for i, s := range row.Samples {
			low[i] = point{x: s.At}
			most = max(most, s.Sessions.Total())
		}
		for _, state := range states {
			top := make([]point, len(low))
			for i, s := range row.Samples {
				top[i] = point{x: s.At, y: low[i].y + float64(state.of(s.Sessions))}
			}
			c.layers = append(c.layers, &area{ink: state.mark.ink, low: low, top: top})
			low = top
		}
		for _, s := range row.Samples {
			c.hits.add([]point{{
				x: s.At, y: float64(s.Sessions.Total()),
				tip: fmt.Sprintf("%s, %s, at %.0f s: %d active, %d idle, %d idle in transaction, %d logging in", plural(row.Clients, "client"),
					r.mark(row.Way).name, s.At, s.Sessions.Active, s.Sessions.Idle, s.Sessions.IdleInTransaction, s.Sessions.Other),
			}})
		}
	}
	c.y.ticks, c.y.max = niceTicks(float64(most), 5, plain)
	c.desc = "One stretch for each turn; the numbers above are concurrent clients. samples.csv has the values."
	return c
}
