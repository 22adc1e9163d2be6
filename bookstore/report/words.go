package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"weir/bookstore/load"
)

// Answer is what this run has to say to one of the questions that the original's author was left with.
type Answer struct {
	Question string
	Text     string // sentences that stand alone
}

// Paragraph is all answers in one piece.
func (r *Report) Paragraph() string {
	var texts []string
	for _, a := range r.Answers() {
		texts = append(texts, a.Text)
	}
	return strings.Join(texts, " ")
}

// Answers answers the author's questions with this run's figures. Without rows of both ways there is nothing to say.
func (r *Report) Answers() []Answer {
	direct, proxied := r.of(Direct), r.of(Proxied)
	if len(direct) == 0 || len(proxied) == 0 {
		return nil
	}
	all := []Answer{
		{"Where do the errors come from?", r.directErrors(direct)},
		{"What becomes of them through " + r.Setup.Proxy + "?", r.proxiedErrors(proxied)},
		{"Why more connections than the pool?", r.connections(direct)},
		{"Where does the memory go? Is it a leak?", r.memory(direct, proxied)},
		{"Why was a failing run so fast?", failuresAreFast(direct)},
		{"Why did more connections not make it faster?", r.speed(direct, proxied)},
		{"What does a pooler not do?", r.limits()},
		{"Did the network stand in the way?", r.overflows()},
		{"Was the machine its own?", r.others()},
	}
	return slices.DeleteFunc(all, func(a Answer) bool { return a.Text == "" })
}

// failures adds up the failures of rows and lists their kinds, most frequent first.
func failures(rows []Row) (failed, requests int64, kinds string) {
	sum := map[load.Kind]int64{}
	for _, row := range rows {
		failed += row.Load.Failed
		requests += row.Load.Requests
		for _, e := range row.Load.Errors {
			sum[e.Kind] += e.Count
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

func refused(rows []Row) bool {
	for _, row := range rows {
		for _, e := range row.Load.Errors {
			if e.SQLState == tooManyClients {
				return true
			}
		}
	}
	return false
}

func gaveUp(rows []Row) bool {
	for _, row := range rows {
		for _, e := range row.Load.Errors {
			if e.Kind == "HTTP 503" {
				return true
			}
		}
	}
	return false
}

func (r *Report) directErrors(rows []Row) string {
	failed, requests, kinds := failures(rows)
	if failed == 0 {
		return fmt.Sprintf("Directly, none of %s requests failed: the application never needed more than the %d connections that "+
			"the server leaves to it.", count(requests), r.Setup.MaxConnections-r.Setup.Reserved)
	}
	var at []string
	for _, row := range rows {
		if n := row.Load.Failed; n > 0 {
			at = append(at, fmt.Sprintf("%s of %s with %s", count(n), count(row.Load.Requests), plural(row.Clients, "client")))
		}
	}
	text := fmt.Sprintf("Directly, requests failed: %s (%s).", strings.Join(at, ", "), kinds)
	if gaveUp(rows) {
		text += " A 503 without SQLSTATE is the application, which gave up waiting for a connection or an answer."
	}
	if refused(rows) {
		text += " 53300 is PostgreSQL's \"sorry, too many clients already\": refusals by the server, not time-outs of a pool."
	}
	return text
}

func (r *Report) proxiedErrors(rows []Row) string {
	failed, requests, kinds := failures(rows)
	name := r.Setup.Proxy
	if failed > 0 {
		return fmt.Sprintf("Through %s, %s of %s requests failed: %s.", name, count(failed), count(requests), kinds)
	}
	top := rows[len(rows)-1]
	text := fmt.Sprintf("Through %s, none of %s requests failed: no more than %s served up to %s, and a client that found all of them busy "+
		"waited for the next free one", name, count(requests), plural(int(peak(rows, backends)), "backend"), plural(top.Clients, "client"))
	if top.Wait != nil && top.Wait.Count > 0 {
		text += fmt.Sprintf(", with %s on average %s", plural(top.Clients, "client"), latency(top.Wait.Mean))
	}
	return text + "."
}

// observers is how many places the program that counts the sessions takes itself.
const observers = 1

func (r *Report) connections(direct []Row) string {
	s := &r.Setup
	if s.Processes == 0 {
		return ""
	}
	text := fmt.Sprintf("A pool belongs to a process and an engine, so the application may open %s x (%d + %d + %d) = %s connections, "+
		"and the server takes %d, %d of them for superusers only",
		plural(s.Processes, "process"), s.SyncPool, s.AsyncPool, s.AsyncOverflow, count(s.MayOpen()), s.MaxConnections, s.Reserved)
	if int(peak(direct, backends))+observers >= s.MaxConnections-s.Reserved && s.Private {
		text += "; directly it took every one that it could get, so psql would have been refused, too"
	}
	return text + fmt.Sprintf(". Through %s the limit is set once, for all processes together.", s.Proxy)
}

// What the original's figures say: 324, 811 and 1,068 MiB with 150, 400 and 526 backends.
const originalCost = "31 MiB and 2.0 MiB"

func (r *Report) memory(direct, proxied []Row) string {
	if r.Setup.Memory == NotMeasured {
		return ""
	}
	text := fmt.Sprintf("PostgreSQL's memory was %s with up to %s directly, and %s with up to %s through %s",
		span(direct, postgres), plural(int(peak(direct, backends)), "backend"),
		span(proxied, postgres), plural(int(peak(proxied, backends)), "backend"), r.Setup.Proxy)
	if own := peak(proxied, proxy); own > 0 {
		text += ", which itself took at most " + size(own)
	}
	text += "."
	if fit, ok := r.BackendCost(); ok {
		text += fmt.Sprintf(" It is no leak: the figures lie on a line of %.0f MiB and %.2f MiB for each backend (the original's: %s), and "+
			"a pool keeps what it has opened.", fit.Base/mib, fit.Each/mib, originalCost)
	}
	return text
}

// failuresAreFast compares the latencies of failures and successes where both are many.
func failuresAreFast(direct []Row) string {
	for _, row := range slices.Backward(direct) {
		ok, failed := row.Load.Latency, row.Load.FailureLatency
		if failed.Count*10 < row.Load.Requests || ok.Count == 0 {
			continue
		}
		speed := "no faster: "
		if failed.P50 < 0.8*ok.P50 {
			speed = "faster, and one figure for both would flatter: "
		}
		return fmt.Sprintf("With %s directly, failing was %shalf of the failures took at most %s, half of the successes %s.",
			plural(row.Clients, "client"), speed, latency(failed.P50), latency(ok.P50))
	}
	return ""
}

func (r *Report) speed(direct, proxied []Row) string {
	d, p := direct[len(direct)-1], proxied[len(proxied)-1]
	text := fmt.Sprintf("With %s, %s requests a second were answered directly and %s through %s",
		plural(d.Clients, "client"), rate(d.Load.PerSecond), rate(p.Load.PerSecond), r.Setup.Proxy)
	switch ratio := p.Load.PerSecond / max(d.Load.PerSecond, 0.001); {
	case d.Clients != p.Clients:
	case ratio < 0.95:
		text += ", less by what the extra hop costs on the same cores"
	case ratio <= 1.05:
		text += ", as good as equal"
	case d.Load.Failed > 0:
		text += ", more because nothing was spent on refusing connections and opening new ones"
	default:
		text += ", more because fewer backends compete for the cores"
	}
	if used := d.CPU.Postgres + d.CPU.API + d.CPU.Load; r.Setup.Private && used > 0 {
		text += fmt.Sprintf(". Directly, PostgreSQL kept %.2f cores busy, the application %.2f and the load %.2f; through %s %.2f, %.2f, %.2f "+
			"and %s itself %.2f", d.CPU.Postgres, d.CPU.API, d.CPU.Load, r.Setup.Proxy, p.CPU.Postgres, p.CPU.API, p.CPU.Load,
			r.Setup.Proxy, p.CPU.Proxy)
	}
	return text + "."
}

func (r *Report) limits() string {
	cores := fmt.Sprintf("load, application, PostgreSQL and %s share %s here", r.Setup.Proxy, plural(r.Setup.Cores, "core"))
	if !r.Setup.Private {
		cores = "the cores are as many as before"
	}
	return fmt.Sprintf("A pooler makes no core faster: %s, so with more clients each waits longer, whichever way it goes, and a slow query stays slow. "+
		"It takes away the refusals, the memory, and the work of opening backends and switching between them.", cores)
}

func (r *Report) overflows() string {
	var overflows int64
	for _, row := range r.Rows {
		overflows += row.Load.ListenOverflows
	}
	if overflows == 0 {
		return ""
	}
	return fmt.Sprintf("%s times a TCP connection met a full accept queue, PostgreSQL's (twice max_connections) or another, "+
		"and the kernel tried again after a second or more.", count(overflows))
}

// othersMin is the share of the machine above which what others took of it is worth a word. Below it lie the kernel's own
// work, which counts as nobody's, and the clock's coarseness.
const othersMin = 0.15

// othersOf is how many cores others kept busy during a row; 0 if that was next to nothing, or may have been PostgreSQL.
func (r *Report) othersOf(row *Row) float64 {
	if !r.Setup.Private || row.CPU.Others < othersMin*float64(r.Setup.Cores) {
		return 0
	}
	return row.CPU.Others
}

func (r *Report) others() string {
	var at []string
	for _, row := range r.Rows {
		if cores := r.othersOf(&row); cores > 0 {
			at = append(at, fmt.Sprintf("%.2f with %s %s", cores, plural(row.Clients, "client"), r.wayText(row.Way)))
		}
	}
	if len(at) == 0 {
		return ""
	}
	return fmt.Sprintf("Other programs kept cores busy meanwhile: %s. Without them these turns would have been faster.", strings.Join(at, ", "))
}

func (r *Report) wayText(way Way) string {
	if way == Proxied {
		return "through " + r.Setup.Proxy
	}
	return "directly"
}

func backends(r *Row) int64 { return int64(r.Backends()) }
func postgres(r *Row) int64 { return r.Postgres() }
func proxy(r *Row) int64    { return r.Proxy() }

func peak(rows []Row, of func(*Row) int64) int64 {
	most := int64(0)
	for i := range rows {
		most = max(most, of(&rows[i]))
	}
	return most
}

// span writes the least and the most, or one of them if they look alike.
func span(rows []Row, of func(*Row) int64) string {
	least := of(&rows[0])
	for i := range rows {
		least = min(least, of(&rows[i]))
	}
	low, high := size(least), size(peak(rows, of))
	if low == high {
		return high
	}
	return strings.TrimSuffix(low, " MiB") + " to " + high
}
