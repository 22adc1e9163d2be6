package proxy_test

import (
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgproto3/v2"

	"weir/proxy/status"
)

// TestIdleClientsCostLittle logs clients in by hand, so that the test's own side of a connection is a descriptor
// and no object on the heap.
func TestIdleClientsCostLittle(t *testing.T) {
	const clients, budget = 3000, 512 // many, so that what the tests before this one leave behind counts for little
	d := database(t)
	w := start(t, d, "")
	enter(t, w, d).Query("SELECT 1") // the pool is there
	warm := openSilently(t, w, d.Server.Superuser(), d.Name, 50)
	closeAll(warm)
	expectClients(t, w, 1)
	before := liveHeap()
	fds := openSilently(t, w, d.Server.Superuser(), d.Name, clients)
	defer func() { closeAll(fds) }()
	expectClients(t, w, clients+1)
	eventually(t, func() string { // the goroutines of the logins are over
		if n := w.Proxy.Snapshot().Logins.Now; n > 0 {
			return fmt.Sprintf("%d logins", n)
		}
		return ""
	})
	eventually(t, func() string { // what the logins have used for a moment goes
		each := (liveHeap() - before) / clients
		t.Logf("%d bytes of heap a client", each)
		if each > budget {
			return fmt.Sprintf("an idle client costs %d bytes of heap, want at most %d", each, budget)
		}
		return ""
	})
}

func expectClients(t *testing.T, w *weirUnderTest, n int) {
	t.Helper()
	expectPool(t, w, fmt.Sprintf("%d idle", n), func(p status.Pool) bool {
		return p.Clients[status.ClientIdle] == n && clientCount(p) == n
	})
}

func liveHeap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

// openSilently logs clients in with nothing but system calls and returns their descriptors.
func openSilently(t *testing.T, w *weirUnderTest, user, database string, n int) []int {
	t.Helper()
	startup := encode(t, &pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: map[string]string{
		"user": user, "database": database,
	}})
	var host [4]byte
	var port int
	if _, err := fmt.Sscanf(w.Addr, "%d.%d.%d.%d:%d", &host[0], &host[1], &host[2], &host[3], &port); err != nil {
		t.Fatal(err)
	}
	fds := make([]int, 0, n)
	for range n {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
		if err := syscall.Connect(fd, &syscall.SockaddrInet4{Addr: host, Port: port}); err != nil {
			t.Fatal(err)
		}
		if _, err := syscall.Write(fd, startup); err != nil {
			t.Fatal(err)
		}
	}
	return fds
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = syscall.Close(fd)
	}
}

// TestFairness: 200 clients on 5 backends each get their share. It counts how many transactions each has had when the first
// has had a fixed number, so the machine's speed does not matter; they are enough that the few do not either by which a busy
// machine sets one goroutine of the test before another.
func TestFairness(t *testing.T) {
	const clients, enough = 200, 80
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 5")
	all := enterMany(t, w, d, clients)
	counts := make([]int, clients)
	begin, over := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var done sync.WaitGroup
	for i, c := range all {
		done.Go(func() {
			<-begin
			for {
				select {
				case <-over:
					return
				default:
				}
				if a, err := c.TryRun("SELECT 1"); err != nil || a.Err() != nil {
					t.Errorf("client %d: %v %v", i, err, a.Err())
					return
				}
				if counts[i]++; counts[i] == enough {
					once.Do(func() { close(over) })
				}
			}
		})
	}
	close(begin)
	done.Wait()
	sum, squares := 0.0, 0.0
	for _, n := range counts {
		sum += float64(n)
		squares += float64(n) * float64(n)
	}
	jain := sum * sum / (clients * squares)
	t.Logf("Jain's index %.4f", jain)
	if jain < 0.99 {
		t.Errorf("Jain's index is %.4f: %v", jain, counts)
	}
}
