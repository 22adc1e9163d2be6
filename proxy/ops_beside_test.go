package proxy_test

import (
	"flag"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var besideRounds = flag.Int("beside", 0, "rounds of TestSmallClientsBesideALargeTransfer; 0 skips it (make beside)")

const (
	besideClients = 100
	besideBytes   = 1 << 30
	besideAlone   = 20_000 // round trips without the transfer, of all clients
	besideWorse   = 3      // times may be what 99 of 100 round trips take beside the transfer
)

// TestSmallClientsBesideALargeTransfer: a loop that moves 1 GB for one client does not hold up the others. A round measures without the
// transfer and with it, and the best round counts, because the transfer's server and clients take processors from weir that a machine
// with few has not. That a connection moves a bounded amount in a turn is checked by make race (package relay), and that it has one turn in
// each iteration in package eventloop.
func TestSmallClientsBesideALargeTransfer(t *testing.T) {
	if *besideRounds == 0 {
		t.Skip("runs with -beside=5, or make beside")
	}
	path := buildWeir(t)
	for _, c := range []struct {
		name string
		move func(t *testing.T, conn net.Conn)
	}{
		{"a result", readLargeResult},
		{"COPY in", sendLargeCopy},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := database(t)
			d.Exec(t, "CREATE UNLOGGED TABLE heap (line text)", "CREATE FUNCTION discard() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
				"CREATE TRIGGER discard BEFORE INSERT ON heap FOR EACH ROW EXECUTE FUNCTION discard()")
			w := launch(t, path, d, "[loops]\ncount = 1\n[pool]\npool_size = 10", "")
			small := make([]net.Conn, besideClients)
			for i := range small {
				small[i] = dial(t, w.Addr, d.Server.Superuser(), d.Name).conn
			}
			best := 0.0
			for round := range *besideRounds {
				alone := slowest(t, small, func(done int64) bool { return done >= besideAlone })
				var over atomic.Bool
				large := dial(t, w.Addr, d.Server.Superuser(), d.Name)
				var transfer sync.WaitGroup
				began := time.Now()
				transfer.Go(func() {
					defer over.Store(true)
					c.move(t, large.conn)
				})
				beside := slowest(t, small, func(int64) bool { return over.Load() })
				transfer.Wait()
				_ = large.conn.Close()
				ratio := float64(beside) / float64(alone)
				t.Logf("round %d: 99 of 100 round trips took at most %v, beside the transfer (%.2f s) %v: %.2f", round, alone, time.Since(began).Seconds(), beside, ratio)
				if round == 0 || ratio < best {
					best = ratio
				}
			}
			if best > besideWorse {
				t.Errorf("beside the transfer 99 of 100 round trips take %.2f times as long", best)
			}
		})
	}
}

// slowest has the clients make round trips until enough says so, and returns the 99th percentile of what they took.
func slowest(t *testing.T, clients []net.Conn, enough func(done int64) bool) time.Duration {
	var done atomic.Int64
	took := make([][]time.Duration, len(clients))
	request := queryBytes("SELECT 1")
	var all sync.WaitGroup
	for i, conn := range clients {
		all.Go(func() {
			answer := make([]byte, 4096)
			for !enough(done.Add(1)) && !t.Failed() {
				began := time.Now()
				if err := oneRoundTrip(conn, request, answer); err != nil {
					t.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(began))
			}
		})
	}
	all.Wait()
	times := slices.Concat(took...)
	slices.Sort(times)
	if len(times) == 0 {
		t.Fatal("no round trip")
	}
	return times[len(times)*99/100]
}

func oneRoundTrip(conn net.Conn, request, answer []byte) error {
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(request); err != nil {
		return err
	}
	for got := 0; got < 6 || answer[got-6] != 'Z'; {
		n, err := conn.Read(answer[got:])
		if err != nil {
			return err
		}
		got += n
	}
	return nil
}

func readLargeResult(t *testing.T, conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, err := conn.Write(queryBytes("SELECT repeat('x', 8000) FROM generate_series(1, 200000)"))
	if err == nil {
		_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{io.LimitReader(conn, besideBytes)}, make([]byte, 1<<20))
	}
	if err != nil {
		t.Error(err)
	}
}

func sendLargeCopy(t *testing.T, conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, err := conn.Write(queryBytes("COPY heap FROM STDIN"))
	line := make([]byte, 8001) // of zeros would be no text
	for i := range line {
		line[i] = 'x'
	}
	line[8000] = '\n'
	var message []byte
	for range 32 {
		message = append(message, 'd', 0, 0, byte((4+len(line))>>8), byte((4+len(line))&0xff))
		message = append(message, line...)
	}
	for sent := 0; err == nil && sent < besideBytes; sent += len(message) {
		_, err = conn.Write(message)
	}
	if err != nil {
		t.Error(err)
	}
}
