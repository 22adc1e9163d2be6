// Package report tells what a comparison measured: in the terminal as tables and a paragraph of plain words, as a page
// with charts that needs nothing from outside, and as JSON and CSV for whoever wants to know more.
//
// A Report is a plain value that JSON keeps whole; nothing here measures, and no sentence says more than the figures it
// was given. It imports load for its results, and gonum.org/v1/plot, which draws.
package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"weir/bookstore/load"
)

// Way is how the application reached PostgreSQL.
type Way string

// The two ways.
const (
	Direct  Way = "direct"
	Proxied Way = "proxied"
)

// Report is a comparison.
type Report struct {
	Setup Setup `json:"setup"`
	Rows  []Row `json:"rows"`
	// Walk repeats the original's tuning: the same load directly on servers with ever more connections.
	Walk []Row `json:"walk,omitempty"`
	// Unfinished says why rows are missing; empty when none are.
	Unfinished string `json:"unfinished,omitempty"`
}

// Setup is what the rows have in common. Durations are in seconds.
type Setup struct {
	Started        time.Time `json:"started"`
	Machine        string    `json:"machine"` // processor, memory, system
	Cores          int       `json:"cores"`
	Server         string    `json:"server"` // PostgreSQL's version
	Proxy          string    `json:"proxy"`  // the name of the proxy: weir
	Asked          string    `json:"asked"`  // what the clients ask for
	MaxConnections int       `json:"max_connections"`
	Reserved       int       `json:"superuser_reserved_connections"`
	Processes      int       `json:"application_processes"`
	SyncPool       int       `json:"sync_pool"`       // of each process
	AsyncPool      int       `json:"async_pool"`      // of each process
	AsyncOverflow  int       `json:"async_overflow"`  // of each process
	PoolSize       int       `json:"proxy_pool_size"` // backends that the proxy may open; 0: not known
	WarmUp         float64   `json:"warm_up_seconds"`
	Duration       float64   `json:"duration_seconds"`
	Memory         Memory    `json:"memory"`
	Private        bool      `json:"private"` // everything was started for the comparison, and nothing else used the server
}

// MayOpen is how many connections the application's pools may open together.
func (s *Setup) MayOpen() int { return s.Processes * (s.SyncPool + s.AsyncPool + s.AsyncOverflow) }

// Memory is what kind of figure the sizes of processes are.
type Memory string

// The kinds.
const (
	Pss         Memory = "pss" // proportional: shared memory counts once
	Resident    Memory = "rss" // shared memory counts in every process
	NotMeasured Memory = ""    // the server's processes cannot be seen from here
)

// Row is one load on one way.
type Row struct {
	Clients        int          `json:"clients"`
	Way            Way          `json:"way"`
	MaxConnections int          `json:"max_connections"`
	Load           load.Summary `json:"load"`
	Wait           *Wait        `json:"wait,omitempty"` // in the proxy's queue, while the load was measured
	CPU            CPU          `json:"cpu_cores"`
	Samples        []Sample     `json:"samples"`
}

// Wait is how long clients of the proxy waited for a backend, in milliseconds. Percentiles are the upper bounds of the
// histogram's buckets, which double: the true value is at most that and more than half of it.
type Wait struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
}

// CPU is how many cores a program kept busy while the load was measured, on average.
type CPU struct {
	Postgres float64 `json:"postgres"`
	API      float64 `json:"api"`
	Proxy    float64 `json:"proxy"`
	Load     float64 `json:"load"` // the load generator, sampling included
	// Others is what else kept the machine's cores busy, or took them away; 0 also where that is not known.
	Others float64 `json:"others"`
}

// Sample is one look.
type Sample struct {
	At        float64   `json:"at"` // seconds since Setup.Started
	WarmUp    bool      `json:"warm_up"`
	Sessions  Sessions  `json:"sessions"`
	Succeeded int64     `json:"succeeded"` // so far, in this row
	Failed    int64     `json:"failed"`
	Queue     *Queue    `json:"queue,omitempty"`    // of the proxy
	Programs  *Programs `json:"programs,omitempty"` // looked at less often where that takes long
}

// Sessions are those of clients in pg_stat_activity by state, without the sampler's own.
type Sessions struct {
	Active            int `json:"active"`
	Idle              int `json:"idle"`
	IdleInTransaction int `json:"idle_in_transaction"`
	Other             int `json:"other"` // logging in, fast-path calls, or a state hidden from the sampler's role
}

// Total is all of them.
func (s Sessions) Total() int { return s.Active + s.Idle + s.IdleInTransaction + s.Other }

// Queue is what the proxy's metrics say.
type Queue struct {
	Clients  int     `json:"clients"` // connected
	Waiting  int     `json:"waiting"` // for a backend
	Oldest   float64 `json:"oldest_seconds"`
	Backends int     `json:"backends"`
}

// Programs are the sizes and CPU times of the programs.
type Programs struct {
	Postgres Program `json:"postgres"`
	API      Program `json:"api"` // all processes of the application
	Proxy    Program `json:"proxy"`
	Load     Program `json:"load"`
	Machine  float64 `json:"machine_cpu_seconds,omitempty"` // all that its cores were busy with so far
}

// Program is what the processes of a program use.
type Program struct {
	Memory     int64   `json:"memory"`                // bytes, of the kind that Setup.Memory says
	PageTables int64   `json:"page_tables,omitempty"` // bytes; of PostgreSQL only
	CPU        float64 `json:"cpu_seconds"`           // so far
}

// Size is all memory that a program costs.
func (p Program) Size() int64 { return p.Memory + p.PageTables }

// Backends is the most sessions that were seen.
func (r *Row) Backends() int {
	most := 0
	for _, s := range r.Samples {
		most = max(most, s.Sessions.Total())
	}
	return most
}

// peak is the largest value of a program's figure over the samples.
func (r *Row) peak(of func(*Programs) int64) int64 {
	most := int64(0)
	for _, s := range r.Samples {
		if s.Programs != nil {
			most = max(most, of(s.Programs))
		}
	}
	return most
}

// Postgres is the most memory that PostgreSQL took, page tables included, in bytes.
func (r *Row) Postgres() int64 {
	return r.peak(func(p *Programs) int64 { return p.Postgres.Size() })
}

// API is the most memory that the application took.
func (r *Row) API() int64 { return r.peak(func(p *Programs) int64 { return p.API.Memory }) }

// Proxy is the most memory that the proxy took.
func (r *Row) Proxy() int64 { return r.peak(func(p *Programs) int64 { return p.Proxy.Memory }) }

// Waiting is the most clients that were seen waiting for a backend.
func (r *Row) Waiting() int {
	most := 0
	for _, s := range r.Samples {
		if s.Queue != nil {
			most = max(most, s.Queue.Waiting)
		}
	}
	return most
}

// of returns the ladder's rows of one way, fewest clients first.
func (r *Report) of(way Way) []Row {
	rows := slices.DeleteFunc(slices.Clone(r.Rows), func(row Row) bool { return row.Way != way })
	slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Compare(a.Clients, b.Clients) })
	return rows
}

// name is a way's name for people.
func (r *Report) name(way Way) string {
	if way == Proxied {
		return r.Setup.Proxy
	}
	return string(way)
}

// Write writes the report as JSON.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	return enc.Encode(r)
}

// Read reads what WriteJSON wrote.
func Read(in io.Reader) (*Report, error) {
	r := &Report{}
	if err := json.NewDecoder(in).Decode(r); err != nil {
		return nil, fmt.Errorf("read the comparison's JSON: %w", err)
	}
	if len(r.Rows)+len(r.Walk) == 0 {
		return nil, fmt.Errorf("read the comparison's JSON: it has no rows")
	}
	return r, nil
}
