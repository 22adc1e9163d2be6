package proxy_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgproto3/v2"

	"weir/proxy/status"
)

// What one client prepares takes a bounded part of weir's memory. The error names the bound, and costs the one statement.
func TestPreparedTextsOfOneClientAreBounded(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\nmax_prepared_bytes = \"100KiB\"")
	c, other := enter(t, w, d), enter(t, w, d)
	text := func(i int) string { return fmt.Sprintf("SELECT %d --%s", i, strings.Repeat("x", 15_000)) }
	prepare := func(i int) step { return synced(t, parse(fmt.Sprint("s", i), text(i))) }
	fits := 0
	var err error
	for ; err == nil && fits < 20; fits++ {
		c.SendBytes(prepare(fits).send)
		err = c.Answer().Err()
	}
	fits--
	if e := refused(t, err, "53400"); !strings.Contains(e.Message+e.Detail+e.Hint, "max_prepared_bytes") {
		t.Errorf("the error is %+v", e)
	}
	if fits < 5 || fits > 6 {
		t.Errorf("%d statements of 15 kB have found room in 100 KiB", fits)
	}
	use := func(i int) {
		t.Helper()
		if got := c.first(runs(t, fmt.Sprint("s", i))); got != fmt.Sprint(i) {
			t.Errorf("statement %d gives %q", i, got)
		}
	}
	for i := range fits {
		use(i)
	}
	other.first(parsesAndRuns(t, "s", text(99))) // has a bound of its own
	c.first(synced(t, &pgproto3.Close{ObjectType: 'S', Name: "s0"}))
	c.first(prepare(100))
	use(100)
	c.first(parsesAndRuns(t, "", text(101))) // the unnamed one takes the place of the one before it

	// In a pipeline what follows it up to the Sync is thrown away, and a transaction has failed.
	batch := append([]pgproto3.FrontendMessage{parse("long", text(102))}, &pgproto3.Bind{PreparedStatement: "long"}, &pgproto3.Execute{})
	c.Query("BEGIN")
	c.SendBytes(synced(t, batch...).send)
	if a := c.Answer(); len(a.Rows) > 0 || len(a.Errs) != 1 || c.status != 'E' {
		t.Errorf("rows %v, errors %v, status %c", a.Rows, a.Errs, c.status)
	}
	c.Query("ROLLBACK")
	c.Query("DEALLOCATE ALL")
	c.first(prepare(0))
	use(0)
	other.Query("SELECT 1")
}

// A client that sends more than can be answered is not read, and what it sends is not gone through again and again.
func TestPipelineOfManyParsesHoldsUpNobody(t *testing.T) {
	many := 150_000
	if instrumented {
		many = 8_000
	}
	d := database(t)
	d.Exec(t, "CREATE TABLE book ()")
	w := start(t, d, "[loops]\ncount = 1\n[pool]\npool_size = 2\nmax_prepared_bytes = \"0B\"")
	holder := enterDirectly(t, d)
	holder.Query("BEGIN; LOCK book")
	c, other := enter(t, w, d), enter(t, w, d)
	c.inBackground("TABLE book")
	expectActive(t, w, 1)
	var flood []byte
	for i := range many {
		flood = append(flood, encode(t, parse(fmt.Sprint(i), ""))...)
	}
	flood = append(flood, encode(t, &pgproto3.Sync{})...)
	sent := make(chan error, 1)
	go func() { sent <- c.TrySendBytes(flood) }()
	expectPool(t, w, "parked", func(p status.Pool) bool { return p.ParkedBytes > 0 })
	for range 20 {
		other.Query("SELECT 1")
	}
	holder.Query("COMMIT")
	c.Answer()
	var done atomic.Bool
	completed := make(chan int, 1)
	go func() {
		defer done.Store(true)
		n := 0
		for {
			m, err := c.TryReceive()
			if _, ok := m.(*pgproto3.ReadyForQuery); ok || err != nil {
				completed <- n
				return
			}
			if _, ok := m.(*pgproto3.ParseComplete); ok {
				n++
			}
		}
	}()
	served := 0
	for !done.Load() {
		other.Query("SELECT 1")
		served++
	}
	if n := <-completed; n != many {
		t.Errorf("%d Parses are answered", n)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if served < many/7500 { // where the loop stood still it was once, or twice
		t.Errorf("another client was served %d times meanwhile", served)
	}
	t.Logf("another client was served %d times meanwhile", served)
}

// A statement's length, and how it arrives, are no reason to keep a backend.
func TestLongStatementsHoldNoBackend(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE TABLE wide (a int, b int)")
	w := start(t, d, "[pool]\npool_size = 1")
	read := func() (n uint64) {
		for _, l := range w.Proxy.Snapshot().Loops {
			n += l.BytesRead
		}
		return n
	}
	for _, size := range []int{10_000, 20_000, 100_000} {
		texts := map[string]string{
			"comment": "SELECT 'long' /*" + strings.Repeat("x", size) + "*/",
			"literal": "SELECT 'long' WHERE '" + strings.Repeat("''", size/2) + "' <> ''",
			"rows":    "INSERT INTO wide VALUES (0, 0)" + strings.Repeat(", (1, 2)", size/8) + " RETURNING 'long'",
			"list":    "SELECT 'long' WHERE 7 IN (7" + strings.Repeat(", $1", size/4) + ") -- BEGIN; SET a = b",
		}
		for what, text := range texts {
			for _, name := range []string{"", "s"} {
				for _, pieces := range []bool{false, true} {
					if pieces && size != 20_000 {
						continue // one size is enough
					}
					t.Run(fmt.Sprintf("%s of %d, %q, pieces %v", what, size, name, pieces), func(t *testing.T) {
						c, other := enter(t, w, d), enter(t, w, d)
						send := func(p []byte) {
							if pieces {
								before := read()
								c.SendBytes(p[:len(p)/2])
								eventually(t, func() string {
									if read() < before+uint64(len(p)/2) {
										return "the first half is not read"
									}
									return ""
								})
								p = p[len(p)/2:]
							}
							c.SendBytes(p)
						}
						var values []string
						var types []uint32
						if what == "list" {
							values, types = []string{"7"}, []uint32{23}
						}
						send(encode(t, &pgproto3.Parse{Name: name, Query: text, ParameterOIDs: types},
							&pgproto3.Describe{ObjectType: 'S', Name: name}, &pgproto3.Sync{}))
						if err := c.Answer().Err(); err != nil {
							t.Fatal(err)
						}
						for range 2 {
							other.first(parsesAndRuns(t, "", "SELECT 'the other'")) // c holds no backend
							if got := c.first(runs(t, name, values...)); got != "long" {
								t.Errorf("it gives %q", got)
							}
						}
						other.Query("SELECT 1")
						c.Terminate()
						other.Terminate()
					})
				}
			}
			send := func(t *testing.T) {
				c, other := enter(t, w, d), enter(t, w, d)
				if what != "list" && c.Query(text) != "long" {
					t.Error("no answer")
				}
				other.Query("SELECT 1")
				c.Terminate()
				other.Terminate()
			}
			t.Run(fmt.Sprintf("%s of %d, simple", what, size), send)
		}
	}
}
