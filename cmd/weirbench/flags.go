package main

import (
	"cmp"
	"time"

	"weir/internal/bench"
)

// commandLine is all flags. Those with the default 0 have one per suite, and a shorter one under --quick.
type commandLine struct {
	All      struct{}      `cmd:"" help:"All suites, one after the other."`
	CPU      cpuFlags      `cmd:"" name:"cpu" help:"CPU time of the proxy per transaction, under pgbench -S."`
	Idle     idleFlags     `cmd:"" help:"Memory of idle logged-in clients."`
	Crowd    crowdFlags    `cmd:"" help:"Very many idle clients, their logins at a steady rate, and what others notice of them."`
	Fair     fairFlags     `cmd:"" help:"Waits of many clients on few backends."`
	Slow     slowFlags     `cmd:"" help:"Memory while a client, or the server, is slow."`
	Prepared preparedFlags `cmd:"" help:"CPU time of the proxy per prepared statement, and per pipeline of them (PgBouncer 1.21 or later)."`
	Connect  connectFlags  `cmd:"" help:"CPU time of the proxy per connection, under pgbench -C."`
	Scale    scaleFlags    `cmd:"" help:"One loop, two loops and the rival: transactions, connections, bulk, idle clients."`
	Bulk     bulkFlags     `cmd:"" help:"CPU time of the proxy per gigabyte of large results and COPY."`
	Model    struct{}      `cmd:"" help:"What many loops give, simulated with measured costs."`

	PgBouncer    string   `name:"pgbouncer" default:"pgbouncer" placeholder:"PATH" help:"The rival (${default}; none leaves it out)."`
	Weir         []string `placeholder:"[NAME=]PATH" help:"A weir to measure; may be given several times, and as none. Without it weir is built from the source here."`
	Rounds       int      `placeholder:"N" help:"Interleaved rounds."`
	Quick        bool     `help:"Short turns, few rounds, small sizes. Leaves the performance page alone."`
	TLS          bool     `name:"tls" help:"Clients use TLS."`
	ServerSocket bool     `help:"Proxies reach PostgreSQL over its unix socket instead of TCP."`
	Doc          string   `default:"docs/performance.md" placeholder:"PATH" help:"The page whose sections are refreshed (${default}; none for no page)."`
	JSON         string   `name:"json" placeholder:"PATH" help:"Write every sample as JSON; - is standard output."`
}

// Embedded flags of the suites. "all" runs each with its defaults.

type loadFlags struct {
	Clients  []int         `short:"c" placeholder:"N,..." help:"Numbers of clients."`
	Modes    []string      `short:"M" enum:"simple,extended,prepared,pipeline,key kept" help:"Query modes of pgbench (simple, extended, prepared), or pipeline: pipelines of prepared statements."`
	Jobs     int           `short:"j" default:"2" help:"Threads of pgbench (${default})."`
	Duration time.Duration `short:"T" placeholder:"D" help:"One target's turn."`
	Backends int           `default:"16" help:"Pool size (${default})."`
}

type cpuFlags struct {
	loadFlags
	Calls bool `negatable:"" default:"true" help:"Count system calls, too, with perf or strace."`
}

type connectFlags struct{ loadFlags }

type preparedFlags = cpuFlags

type scaleFlags struct {
	loadFlags
	Loops []int `default:"1,2" placeholder:"N,..." help:"Numbers of loops (${default})."`
	Size  int64 `placeholder:"BYTES" help:"Of a transfer."`
	Idle  int   `placeholder:"N" help:"Idle clients."`
}

type bulkFlags struct {
	Loops []int `default:"1,2" placeholder:"N,..." help:"Numbers of loops (${default})."`
	Size  int64 `placeholder:"BYTES" help:"Of a transfer."`
}

type idleFlags struct {
	Clients  int `short:"c" placeholder:"N" help:"Clients."`
	Workers  int `default:"64" help:"How many log in at the same time (${default})."`
	Backends int `default:"16" help:"Pool size (${default})."`
}

type crowdFlags struct {
	Clients  int           `short:"c" placeholder:"N" help:"Clients."`
	Rate     int           `default:"2000" help:"Logins a second (${default})."`
	Loops    int           `default:"4" help:"Loops of weir (${default})."`
	Backends int           `default:"16" help:"Pool size (${default})."`
	Duration time.Duration `short:"T" placeholder:"D" help:"How long others are watched before and after."`
}

type fairFlags struct {
	Loops    []int         `placeholder:"N,..." help:"Numbers of loops; without it weir chooses."`
	Clients  int           `short:"c" placeholder:"N" help:"Clients."`
	Backends int           `default:"10" help:"Pool size (${default})."`
	Duration time.Duration `short:"T" placeholder:"D" help:"One target's turn."`
	Query    string        `default:"select 1" help:"What each sends (${default})."`
}

type slowFlags struct {
	Size     int64         `placeholder:"BYTES" help:"Of a transfer."`
	Stall    time.Duration `placeholder:"D" help:"How long the slow side is slow."`
	Backends int           `default:"16" help:"Pool size (${default})."`
}

// choose is the value given, or the default of a quick or of a full run.
func choose[T comparable](given T, quick bool, short, full T) T {
	if quick {
		return cmp.Or(given, short)
	}
	return cmp.Or(given, full)
}

func (f loadFlags) options(c *commandLine, clients []int, modes ...string) bench.CPUOptions {
	if len(f.Clients) > 0 {
		clients = f.Clients
	}
	if len(f.Modes) > 0 {
		modes = f.Modes
	}
	return bench.CPUOptions{
		Modes: modes, Clients: clients, Jobs: f.Jobs, Backends: f.Backends,
		Rounds:   choose(c.Rounds, c.Quick, 3, 5),
		Duration: choose(f.Duration, c.Quick, 2*time.Second, 8*time.Second),
	}
}

func (c *commandLine) cpu() bench.CPUOptions {
	opts := c.CPU.options(c, []int{8, 64, 256}, "simple")
	opts.Calls = c.CPU.Calls
	return opts
}

func (c *commandLine) prepared() bench.CPUOptions {
	opts := c.Prepared.options(c, []int{64}, "prepared", "pipeline")
	opts.Calls = c.Prepared.Calls
	return opts
}

func (c *commandLine) connect() bench.CPUOptions {
	return c.Connect.options(c, []int{8}, "simple", "key kept")
}

func (c *commandLine) scale() bench.ScaleOptions {
	load := c.Scale.options(c, []int{8, 64, 256}, "simple", "prepared")
	connect := c.Scale.options(c, []int{8}, "key kept")
	connect.Modes, connect.Clients = []string{"key kept"}, []int{8}
	return bench.ScaleOptions{
		Loops: c.Scale.Loops, Load: load, Connect: connect,
		Size: choose(c.Scale.Size, c.Quick, 100e6, 1e9),
		Idle: bench.IdleOptions{
			Clients: choose(c.Scale.Idle, c.Quick, 2000, 20000), Rounds: choose(c.Rounds, c.Quick, 1, 3), Workers: 64, Backends: c.Scale.Backends,
		},
	}
}

func (c *commandLine) bulk() bench.ScaleOptions {
	return bench.ScaleOptions{
		Loops: c.Bulk.Loops, Size: choose(c.Bulk.Size, c.Quick, 100e6, 1e9),
		Load: bench.CPUOptions{Rounds: choose(c.Rounds, c.Quick, 3, 7), Backends: 4},
	}
}

func (c *commandLine) idle() bench.IdleOptions {
	return bench.IdleOptions{
		Clients: choose(c.Idle.Clients, c.Quick, 2000, 10000),
		Rounds:  choose(c.Rounds, c.Quick, 1, 3),
		Workers: c.Idle.Workers, Backends: c.Idle.Backends,
	}
}

func (c *commandLine) crowd() bench.CrowdOptions {
	return bench.CrowdOptions{
		Clients: choose(c.Crowd.Clients, c.Quick, 2000, 100_000), Rate: cmp.Or(c.Crowd.Rate, 2000), Loops: cmp.Or(c.Crowd.Loops, 4),
		Backends: cmp.Or(c.Crowd.Backends, 16), Rounds: cmp.Or(c.Rounds, 1), Beside: 4,
		Phase: choose(c.Crowd.Duration, c.Quick, 2*time.Second, 10*time.Second),
	}
}

func (c *commandLine) fair() bench.FairOptions {
	return bench.FairOptions{
		Loops:    c.Fair.Loops,
		Clients:  cmp.Or(c.Fair.Clients, 1000),
		Rounds:   choose(c.Rounds, c.Quick, 1, 3),
		Duration: choose(c.Fair.Duration, c.Quick, 3*time.Second, 8*time.Second),
		Backends: c.Fair.Backends, Query: c.Fair.Query,
	}
}

func (c *commandLine) slow() bench.SlowOptions {
	return bench.SlowOptions{
		Size:     choose(c.Slow.Size, c.Quick, 100e6, 1e9),
		Stall:    choose(c.Slow.Stall, c.Quick, 2*time.Second, 5*time.Second),
		Rounds:   choose(c.Rounds, c.Quick, 1, 3),
		Backends: c.Slow.Backends,
	}
}
