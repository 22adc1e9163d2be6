package bench

import (
	"fmt"
	"strconv"
	"time"
)

// What the model is given, as measured with weirbench scale and with /proc on 2026-11-29 under the load "simple, 64 clients": CPU for each
// transaction. A move of a backend is taken to cost what handing a logged-in client to another loop does, the wake-up of that loop included.
const (
	modelTransaction = 8 * time.Microsecond
	modelQuery       = 25700 * time.Nanosecond // of PostgreSQL
	modelPgbench     = 5700 * time.Nanosecond  // of pgbench
	modelMessage     = 7500 * time.Nanosecond  // of each of two loops
	modelPatience    = 300 * time.Microsecond
)

// modelCase is a Model with a name.
type modelCase struct {
	name string
	Model
}

// modelCases are what the page asks of the model: loops with all that they can use, machines on which all share the cores, and few
// backends for many clients.
func modelCases() (all []modelCase) {
	add := func(name string, m Model) {
		m.Transaction, m.Query, m.Message, m.Patience, m.Seed = modelTransaction, modelQuery, modelMessage, modelPatience, 1
		all = append(all, modelCase{name, m})
	}
	for _, loops := range []int{1, 2, 8, 64} {
		add("PostgreSQL elsewhere, with cores enough", Model{Loops: loops, Clients: 64 * loops, Backends: 16 * loops, Cores: 16 * loops})
	}
	for _, machine := range []struct{ cores, loops int }{{8, 1}, {8, 7}, {64, 8}, {64, 56}} {
		share := float64(modelQuery) / float64(modelTransaction+modelQuery+modelPgbench)
		add(fmt.Sprintf("%d cores for all", machine.cores), Model{
			Loops: machine.loops, Clients: 16 * machine.cores, Backends: 4 * machine.cores, Cores: int(share * float64(machine.cores)),
		})
	}
	for _, loops := range []int{1, 4, 8, 64} {
		add("few backends", Model{Loops: loops, Clients: 1000, Backends: 10, Cores: 10})
	}
	return all
}

// ModelSuite says what more loops give, on paper.
func ModelSuite(d time.Duration) Result {
	t := Table{Columns: []string{"case", "loops", "clients", "backends", "cores of PostgreSQL", "per second", "busiest loop", "PostgreSQL", "moves per transaction", "p99 by median", "Jain"}}
	outcomes := map[string]Outcome{}
	for _, c := range modelCases() {
		o := c.Run(d)
		outcomes[fmt.Sprintf("%s, %d loops", c.name, c.Loops)] = o
		percent := func(x float64) string { return fmt.Sprintf("%.0f %%", 100*x) }
		t.Rows = append(t.Rows, []string{
			c.name, strconv.Itoa(c.Loops), strconv.Itoa(c.Clients), strconv.Itoa(c.Backends), strconv.Itoa(c.Cores), fmt.Sprintf("%.0f", o.PerSecond),
			percent(o.LoopUse), percent(o.ServerUse), fmt.Sprintf("%.3f", o.Moves), fmt.Sprintf("%.2f", float64(o.P99)/float64(o.Median)), fmt.Sprintf("%.3f", o.Jain),
		})
	}
	return Result{
		Suite: "model",
		Title: "Many loops, on paper",
		About: fmt.Sprintf("A simulation of one pool over several loops (`internal/bench/model.go`), with costs as measured: %v of a loop for each "+
			"transaction, %v of PostgreSQL, %v of pgbench; %v of each of two loops for a backend that moves. A backend that comes free goes to "+
			"another loop's client if that has waited longer by %v and a quarter of what its own loop's client has waited. Clients do not think. Where all share a machine's cores, PostgreSQL gets its part of them.",
			modelTransaction, modelQuery, modelPgbench, modelMessage, modelPatience),
		Table:   t,
		Samples: outcomes,
	}
}
