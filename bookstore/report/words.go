package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"weir/bookstore/load"
)

// Words says what happened, in sentences that stand alone.
func (r *Report) Words() []string {
	direct, proxied := r.of(Direct), r.of(Weir)
	if len(direct) == 0 || len(proxied) == 0 {
		return nil
	}
	words := []string{r.directErrors(direct), r.proxiedErrors(proxied), r.memory(direct, proxied), r.speed(direct, proxied)}
	var overflows int64
	for _, row := range r.Rows {
		overflows += row.Load.ListenOverflows
	}
	if overflows > 0 {
		words = append(words, fmt.Sprintf("%s times a TCP connection met a full accept queue, PostgreSQL's (twice max_connections) or "+
			"another, and the kernel tried again after a second or more.", count(overflows)))
	}
	return words
}

func (r *Report) of(way Way) []Row {
	return slices.DeleteFunc(slices.Clone(r.Rows), func(row Row) bool { return row.Way != way })
}

// failures adds up the failures of rows and lists their kinds, most frequent first.
func failures(rows []Row) (failed, requests int64, kinds string) {
	sum := map[load.Kind]int64{}
	for _, row := range rows {
		failed += row.Load.Failed.Count()
		requests += row.Load.Requests()
		for kind, n := range row.Load.Kinds {
			sum[kind] += n
		}
	}
	sorted := slices.SortedFunc(maps.Keys(sum), func(a, b load.Kind) int {
		return cmp.Or(cmp.Compare(sum[b], sum[a]), cmp.Compare(a, b))
	})
	parts := make([]string, len(sorted))
	for i, kind := range sorted {
		parts[i] = fmt.Sprintf("%s times %s", count(sum[kind]), kindText(kind))
	}
	return failed, requests, strings.Join(parts, ", ")
}

func kindText(kind load.Kind) string {
	if state := kind.SQLState(); state != "" {
		return strings.TrimSuffix(string(kind), " "+state) + " with SQLSTATE " + state
	}
	return string(kind)
}

// tooManyClients is too_many_connections, "sorry, too many clients already".
const tooManyClients = "53300"

func (r *Report) directErrors(rows []Row) string {
	failed, requests, kinds := failures(rows)
	if failed == 0 {
		return fmt.Sprintf("Directly, none of %s requests failed: the application never needed more than the %d connections that "+
			"the server leaves to it.", count(requests), r.Setup.MaxConnections-r.Setup.Reserved)
	}
	var at []string
	refused := false
	for _, row := range rows {
		if n := row.Load.Failed.Count(); n > 0 {
			at = append(at, fmt.Sprintf("%s of %s with %d clients", count(n), count(row.Load.Requests()), row.Clients))
		}
		for kind := range row.Load.Kinds {
			refused = refused || kind.SQLState() == tooManyClients
		}
	}
	text := fmt.Sprintf("Directly, requests failed: %s (%s).", strings.Join(at, ", "), kinds)
	if refused {
		text += fmt.Sprintf(" 53300 is PostgreSQL's \"too many clients already\": the application's pools may open %d connections, "+
			"the server takes %d and keeps %d of them for superusers.", r.Setup.PoolConns, r.Setup.MaxConnections, r.Setup.Reserved)
	}
	return text
}

func (r *Report) proxiedErrors(rows []Row) string {
	failed, requests, kinds := failures(rows)
	if failed > 0 {
		return fmt.Sprintf("Through weir, %s of %s requests failed: %s.", count(failed), count(requests), kinds)
	}
	return fmt.Sprintf("Through weir, none of %s requests failed: no more than %d backends served up to %d clients, and whoever "+
		"found all of them busy waited for the next free one.", count(requests), peak(rows, backends), rows[len(rows)-1].Clients)
}

func (r *Report) memory(direct, proxied []Row) string {
	text := fmt.Sprintf("PostgreSQL's memory was %s with up to %d backends directly, and %s with up to %d through weir, "+
		"which itself took at most %s.",
		span(direct, postgres), peak(direct, backends), span(proxied, postgres), peak(proxied, backends), size(peak(proxied, proxy)))
	if each, ok := backendCost(r.Rows); ok {
		text += fmt.Sprintf(" Each backend cost about %.1f MiB.", each/(1<<20))
	}
	return text
}

func (r *Report) speed(direct, proxied []Row) string {
	d, p := direct[len(direct)-1], proxied[len(proxied)-1]
	text := fmt.Sprintf("With %d clients, %s requests a second were answered directly and %s through weir",
		d.Clients, count(int64(d.Load.PerSecond()+0.5)), count(int64(p.Load.PerSecond()+0.5)))
	switch ratio := p.Load.PerSecond() / max(d.Load.PerSecond(), 0.001); {
	case ratio < 0.95:
		text += ", less by what the extra hop costs on the same cores"
	case ratio <= 1.05:
		text += ", as good as equal"
	case d.Load.Failed.Count() > 0:
		text += ", more because nothing was spent on refusing connections and opening new ones"
	default:
		text += ", more because fewer backends compete for the cores"
	}
	return text + fmt.Sprintf(". A pooler adds no CPU: load, application, PostgreSQL and weir share %d cores here, so with more "+
		"clients each waits longer, whichever way it goes.", r.Setup.Cores)
}

func backends(r Row) int64 { return int64(r.Backends) }
func postgres(r Row) int64 { return r.Postgres }
func proxy(r Row) int64    { return r.Proxy }

func peak(rows []Row, of func(Row) int64) int64 {
	most := int64(0)
	for _, row := range rows {
		most = max(most, of(row))
	}
	return most
}

// span writes the least and the most, or one of them if they look alike.
func span(rows []Row, of func(Row) int64) string {
	least := of(rows[0])
	for _, row := range rows {
		least = min(least, of(row))
	}
	low, high := size(least), size(peak(rows, of))
	if low == high {
		return high
	}
	return strings.TrimSuffix(low, " MiB") + " to " + high
}

// backendsApart is how far the rows' backends must lie apart before a line through them says anything.
const backendsApart = 20

// backendCost is the slope in bytes of PostgreSQL's memory over the number of backends, by least squares.
func backendCost(rows []Row) (float64, bool) {
	var n, sx, sy, sxx, sxy float64
	lo, hi := rows[0].Backends, rows[0].Backends
	for _, row := range rows {
		x, y := float64(row.Backends), float64(row.Postgres)
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
		lo, hi = min(lo, row.Backends), max(hi, row.Backends)
	}
	if hi-lo < backendsApart {
		return 0, false
	}
	slope := (n*sxy - sx*sy) / (n*sxx - sx*sx)
	return slope, slope > 0
}
