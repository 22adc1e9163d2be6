package proxy_test

import (
	"io"
	"net"
	"runtime"
	"testing"

	"weir/proxy/status"
)

// The budget of the data path (README, docs/performance.md): what a simple round trip may cost in the steady state.
const (
	budgetRoundTrips = 2000
	budgetCalls      = 4 // read the client, write the backend, read the backend, write the client
	// That of crypto/tls in this test's client: weir keeps it from allocating (proxy/socket).
	budgetAllocsTLS = 1
)

// TestRoundTripKeepsToItsBudget counts what the kernel and the allocator were asked for. The client reuses its buffers, so what
// is allocated is weir's; a collection or a timer of the runtime's own may add a few objects in all, never one per round trip.
func TestRoundTripKeepsToItsBudget(t *testing.T) {
	roundTripKeepsToItsBudget(t, start, inPlainText, budgetRoundTrips/10)
}

// TestRoundTripWithTLSKeepsToItsBudget: no system call more than in plain text.
func TestRoundTripWithTLSKeepsToItsBudget(t *testing.T) {
	roundTripKeepsToItsBudget(t, startWithTLS, "", budgetAllocsTLS*budgetRoundTrips+budgetRoundTrips/10)
}

func roundTripKeepsToItsBudget(t *testing.T, start starter, more string, budgetAllocs uint64) {
	for name, request := range map[string][]byte{
		"simple":   queryBytes("SELECT 1"),
		"extended": extendedBytes("SELECT 1"),
		"prepared": preparedBytes("s", 1),
		"pipeline": preparedBytes("s", 10), // in one round trip
	} {
		t.Run(name, func(t *testing.T) {
			d := database(t)
			w := start(t, d, "[pool]\npool_size = 1\n"+more)
			c := enter(t, w, d)
			answer := make([]byte, 4096)
			roundTrips(t, c.conn, parsingBytes("s", "SELECT 1"), answer, 1)
			roundTrips(t, c.conn, request, answer, 100) // the pool dials, the buffers are made

			before, beforeAllocs := w.loop(), mallocs()
			roundTrips(t, c.conn, request, answer, budgetRoundTrips)
			allocs := mallocs() - beforeAllocs
			after := w.loop()

			// A call more or less: an answer may have been cut in two by the kernel, or end in an edge without bytes.
			calls := after.Reads + after.Writes - before.Reads - before.Writes
			if calls > budgetCalls*budgetRoundTrips*101/100 {
				t.Errorf("%d round trips made %d system calls on sockets, budget %d each", budgetRoundTrips, calls, budgetCalls)
			}
			t.Logf("%d allocations", allocs)
			if !instrumented && allocs > budgetAllocs {
				t.Errorf("%d round trips allocated %d objects", budgetRoundTrips, allocs)
			}
		})
	}
}

func (w *weirUnderTest) loop() status.Loop { return w.Proxy.Snapshot().Loops[0] }

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// roundTrips sends the request n times and reads up to each ReadyForQuery, without allocating.
func roundTrips(t *testing.T, conn net.Conn, request, answer []byte, n int) {
	t.Helper()
	for range n {
		if _, err := conn.Write(request); err != nil {
			t.Fatal(err)
		}
		for got := 0; got < 6 || answer[got-6] != 'Z'; {
			m, err := conn.Read(answer[got:])
			if err != nil && err != io.EOF || m == 0 {
				t.Fatal("the answer ended: ", err)
			}
			got += m
		}
	}
}

// extendedBytes is what a driver sends for an unnamed statement: Parse, Bind, Describe, Execute, Sync.
func extendedBytes(sql string) []byte {
	b := appendRaw(nil, 'P', "\x00"+sql+"\x00\x00\x00")
	return append(b, preparedBytes("", 1)...)
}

// parsingBytes is what a driver sends to prepare a statement: Parse, Sync.
func parsingBytes(name, sql string) []byte {
	return appendRaw(appendRaw(nil, 'P', name+"\x00"+sql+"\x00\x00\x00"), 'S', "")
}

// preparedBytes is what a driver sends for n runs of a prepared statement: Bind, Describe, Execute of each, one Sync.
func preparedBytes(name string, n int) []byte {
	var b []byte
	for range n {
		b = appendRaw(b, 'B', "\x00"+name+"\x00\x00\x00\x00\x00\x00\x00")
		b = appendRaw(b, 'D', "P\x00")
		b = appendRaw(b, 'E', "\x00\x00\x00\x00\x00")
	}
	return appendRaw(b, 'S', "")
}

func appendRaw(b []byte, kind byte, body string) []byte {
	n := len(body) + 4
	return append(append(b, kind, byte(n>>24), byte(n>>16), byte(n>>8), byte(n)), body...)
}
