package replication

import (
	"sync"

	"weir/proxy/generation"
	"weir/proxy/pgerror"
)

// turns bound the dials that no pool counts: those of this package. max_dials of them are under way at a time for each section
// of [databases], whatever users and databases these clients name.
type turns struct {
	mu   sync.Mutex
	open map[string]*dialling // by section; those in use
}

// dialling are the dials for one section, under way and waiting.
type dialling struct {
	free  chan struct{} // one for each dial that may begin
	users int           // guarded by turns.mu
}

// turn waits until one more may dial. done is to be called when that dial has ended.
func (t *turns) turn(g *generation.Generation, key generation.PoolKey, wait *patience) (done func(), err *pgerror.Error) {
	most, section := g.Config.PoolSettings(key.Database, key.User).MaxDials, g.Entry(key.Database)
	d := t.enter(section, most)
	over, err := wait.until(d.free)
	if over {
		err = wait.inVain(key, "max_dials", most, g.Section("max_dials", key))
	}
	if err != nil {
		t.leave(section, d)
		return nil, err
	}
	return func() {
		d.free <- struct{}{}
		t.leave(section, d)
	}, nil
}

func (t *turns) enter(section string, most int) *dialling {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.open[section]
	if d == nil {
		d = &dialling{free: make(chan struct{}, most)}
		for range most {
			d.free <- struct{}{}
		}
		if t.open == nil {
			t.open = map[string]*dialling{}
		}
		t.open[section] = d
	}
	d.users++
	return d
}

func (t *turns) leave(section string, d *dialling) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d.users--; d.users == 0 {
		delete(t.open, section)
	}
}
