package report

import (
	"encoding/csv"
	"io"
	"strconv"
)

// WriteRowsCSV writes a line for each row of ladder and walk. Sizes are in bytes, latencies in milliseconds.
func (r *Report) WriteRowsCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{ // Error tells what went wrong
		"part", "clients", "way", "max_connections", "requests", "succeeded", "failed", "succeeded_per_second",
		"ok_mean_ms", "ok_p50_ms", "ok_p90_ms", "ok_p95_ms", "ok_p99_ms", "ok_max_ms", "failed_p50_ms", "failed_p99_ms",
		"backends", "postgres_bytes", "api_bytes", "proxy_bytes", "waiting", "wait_mean_ms", "wait_p99_ms",
		"postgres_cores", "api_cores", "proxy_cores", "load_cores", "others_cores",
	})
	for _, part := range []struct {
		name string
		rows []Row
	}{{"ladder", r.Rows}, {"walk", r.Walk}} {
		for _, row := range part.rows {
			l, wait := &row.Load, row.Wait
			if wait == nil {
				wait = &Wait{}
			}
			_ = out.Write([]string{
				part.name, strconv.Itoa(row.Clients), r.name(row.Way), strconv.Itoa(row.MaxConnections),
				number(l.Requests), number(l.Succeeded), number(l.Failed), decimal(l.PerSecond),
				decimal(l.Latency.Mean), decimal(l.Latency.P50), decimal(l.Latency.P90), decimal(l.Latency.P95), decimal(l.Latency.P99), decimal(l.Latency.Max),
				decimal(l.FailureLatency.P50), decimal(l.FailureLatency.P99),
				strconv.Itoa(row.Backends()), number(row.Postgres()), number(row.API()), number(row.Proxy()),
				strconv.Itoa(row.Waiting()), decimal(wait.Mean), decimal(wait.P99),
				decimal(row.CPU.Postgres), decimal(row.CPU.API), decimal(row.CPU.Proxy), decimal(row.CPU.Load), decimal(row.CPU.Others),
			})
		}
	}
	out.Flush()
	return out.Error()
}

// WriteSamplesCSV writes a line for each sample. What was not looked at is empty.
func (r *Report) WriteSamplesCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{ // Error tells what went wrong
		"part", "clients", "way", "max_connections", "at_seconds", "warm_up", "active", "idle", "idle_in_transaction", "other",
		"succeeded", "failed", "proxy_waiting", "proxy_oldest_wait_seconds", "proxy_backends",
		"postgres_memory_bytes", "postgres_page_tables_bytes", "api_bytes", "proxy_bytes",
		"postgres_cpu_seconds", "api_cpu_seconds", "proxy_cpu_seconds", "load_cpu_seconds", "machine_cpu_seconds",
	})
	for _, part := range []struct {
		name string
		rows []Row
	}{{"ladder", r.Rows}, {"walk", r.Walk}} {
		for _, row := range part.rows {
			for _, s := range row.Samples {
				_ = out.Write(append([]string{
					part.name, strconv.Itoa(row.Clients), r.name(row.Way), strconv.Itoa(row.MaxConnections),
				}, s.cells()...))
			}
		}
	}
	out.Flush()
	return out.Error()
}

func (s *Sample) cells() []string {
	cells := []string{
		decimal(s.At), strconv.FormatBool(s.WarmUp),
		strconv.Itoa(s.Sessions.Active), strconv.Itoa(s.Sessions.Idle), strconv.Itoa(s.Sessions.IdleInTransaction),
		strconv.Itoa(s.Sessions.Other), number(s.Succeeded), number(s.Failed),
	}
	if q := s.Queue; q != nil {
		cells = append(cells, strconv.Itoa(q.Waiting), decimal(q.Oldest), strconv.Itoa(q.Backends))
	} else {
		cells = append(cells, "", "", "")
	}
	if p := s.Programs; p != nil {
		return append(cells, number(p.Postgres.Memory), number(p.Postgres.PageTables), number(p.API.Memory), number(p.Proxy.Memory),
			decimal(p.Postgres.CPU), decimal(p.API.CPU), decimal(p.Proxy.CPU), decimal(p.Load.CPU), decimal(p.Machine))
	}
	return append(cells, "", "", "", "", "", "", "", "", "")
}

func number(n int64) string    { return strconv.FormatInt(n, 10) }
func decimal(f float64) string { return strconv.FormatFloat(f, 'f', 3, 64) }
