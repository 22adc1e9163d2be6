package console

import (
	"slices"
	"strings"
	"time"

	"weir/proxy/status"
)

// Column is a column of a table.
type Column struct {
	Name string
	Kind Kind
}

// Table is what one SHOW shows.
type Table struct {
	Name    string // upper case
	Help    string // what it shows, a sentence for the docs
	Own     bool   // weir's, and not PgBouncer's
	Columns []Column
	Rows    func(v *View) [][]any
}

// column is a column with where its values come from.
type column[T any] struct {
	name  string
	kind  Kind
	value func(T) any
}

// newTable makes a Table of rows of one type.
func newTable[T any](name, help string, rows func(v *View) []T, columns []column[T]) Table {
	t := Table{Name: name, Help: help}
	for _, c := range columns {
		t.Columns = append(t.Columns, Column{c.name, c.kind})
	}
	t.Rows = func(v *View) [][]any {
		items := rows(v)
		all, values := make([][]any, len(items)), make([]any, len(items)*len(columns))
		for i, item := range items {
			row := values[i*len(columns) : (i+1)*len(columns)]
			for j, c := range columns {
				row[j] = c.value(item)
			}
			all[i] = row
		}
		return all
	}
	return t
}

// own marks a table as weir's.
func own(t Table) Table {
	t.Own = true
	return t
}

// View is one look at weir. What it has seen stays the same within one command.
type View struct {
	Source
	Stats   *Stats
	Version string // weir's
	Console Usage  // of the console itself

	now      time.Time
	snapshot *status.Snapshot
}

// Usage is what the console itself has done.
type Usage struct {
	Clients                         int
	Logins, Queries, Received, Sent uint64
	QueryTime                       time.Duration
}

// look is the View's snapshot.
func (v *View) look() *status.Snapshot {
	if v.snapshot == nil {
		s := v.Snapshot()
		v.snapshot = &s
		v.now = s.At
	}
	return v.snapshot
}

// tables are all SHOWs.
var tables = slices.Concat(connectionTables, poolTables, statsTables, settingTables, ownTables)

// find is the table of that name.
func find(name string) (Table, bool) {
	i := slices.IndexFunc(tables, func(t Table) bool { return t.Name == name })
	if i < 0 {
		return Table{}, false
	}
	return tables[i], true
}

// Known reports whether SHOW knows that word.
func Known(name string) bool {
	_, ok := find(name)
	return ok || name == "HELP" || driverSetting(strings.ToLower(name))
}

// ago is the time of something that long before the look.
func (v *View) ago(d time.Duration) time.Time {
	if v.now.IsZero() {
		v.now = time.Now()
	}
	return v.now.Add(-d)
}

// orNil is NULL for the zero value.
func orNil[T comparable](v T) any {
	if v == *new(T) {
		return nil
	}
	return v
}

// clamp fits a number into int4.
func clamp(n int64) int { return int(max(min(n, 1<<31-1), -1<<31)) }

func seconds(d time.Duration) int { return clamp(int64(d / time.Second)) }

func microseconds(d time.Duration) int { return int(d % time.Second / time.Microsecond) }
