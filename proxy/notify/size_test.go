package notify

import (
	"fmt"
	"runtime"
	"testing"
)

// sizeBudget is what a client that listens may cost weir beside what an idle client costs, in bytes: together less than 1 KiB.
const sizeBudget = 1024 - 512

func TestClientThatListensFitsItsBudget(t *testing.T) {
	const clients = 1000
	for name, channels := range map[string]func(i int) []string{
		"a channel that all share": func(int) []string { return []string{"all"} },
		"a channel of its own":     func(i int) []string { return []string{fmt.Sprint("own_", i)} },
	} {
		h := New("mark")
		names := make([][]string, clients)
		for i := range names {
			names[i] = channels(i)
		}
		before := inUse()
		var at int64 = 1
		h.Next(at)
		for i := range clients {
			s := h.Subscribe(uint32(i))
			h.Reserve(s, names[i])
			s.source = Listener
		}
		line, m := NewLine(), &Member{}
		line.Join(m)
		h.Dialled()
		for {
			do, changes := h.Next(at)
			if do != Send {
				break
			}
			line.Ask(m, changes)
			for line.Next() != nil {
				line.answered()
			}
			h.Heard(at, m.TakeHeard())
		}
		h.TakeStirred()
		each := (inUse() - before) / clients
		t.Logf("%s: %d bytes for each client", name, each)
		if each > sizeBudget {
			t.Errorf("%s: a client costs %d bytes, want at most %d", name, each, sizeBudget)
		}
		runtime.KeepAlive(h)
		runtime.KeepAlive(line)
		runtime.KeepAlive(names)
	}
}

func inUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
