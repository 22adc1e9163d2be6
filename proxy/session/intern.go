package session

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Set is an immutable set of settings, shared by all who have the same: sets of
// one Table are equal if and only if their pointers are. The nil *Set is the
// empty one, the state of a backend after its login; its methods work.
//
// Each place that stores a Set holds a reference: a client, and each backend
// that is in this set. See Table.
type Set struct {
	id       uint32
	refs     atomic.Int64
	key      string
	settings []Setting // by canonical name
	shown    atomic.Bool
	as       atomic.Pointer[Set] // a reference
}

// Shown reports whether the values are known to be as a server shows them, so that they can be compared with what it answers. Any
// goroutine.
func (s *Set) Shown() bool { return s == nil || s.shown.Load() }

// MarkShown notes that they are. Any goroutine.
func (s *Set) MarkShown() {
	if s != nil {
		s.shown.Store(true)
	}
}

// As is the same set in a server's own spelling, nil if there is none or it is not known. It lives as long as s does. Any goroutine.
func (s *Set) As() *Set {
	if s == nil {
		return nil
	}
	return s.as.Load()
}

// Spell notes that as is s in a server's own spelling. Any goroutine; the caller has references to both.
func (t *Table) Spell(s, as *Set) {
	if s == nil || as == nil || s == as {
		return
	}
	if t.Retain(as); !s.as.CompareAndSwap(nil, as) {
		t.Release(as)
	}
}

// ID is a small number for the set, 0 for the empty one. Another set may get it
// once there is no reference to this one any more, not before.
func (s *Set) ID() uint32 {
	if s == nil {
		return 0
	}
	return s.id
}

// Settings are the set's settings, sorted by their canonical (lower-case) names.
// The slice is shared: read only.
func (s *Set) Settings() []Setting {
	if s == nil {
		return nil
	}
	return s.settings
}

// Value finds a setting whatever the case of its name.
func (s *Set) Value(name string) (value string, ok bool) {
	settings := s.Settings()
	i, ok := slices.BinarySearchFunc(settings, Setting{Name: canonical(name)}, byName)
	if !ok {
		return "", false
	}
	return settings[i].Value, true
}

// Without returns the set's settings without one of them, for Table.Intern.
func (s *Set) Without(name string) []Setting {
	name = canonical(name)
	settings := s.Settings()
	out := make([]Setting, 0, len(settings))
	for _, o := range settings {
		if o.Name != name {
			out = append(out, o)
		}
	}
	return out
}

// Table interns sets and counts the references to them, so that sets which
// are no longer used, such as those with an application_name of their own, are
// forgotten. It is bounded by its users: each client holds one set and each
// backend one. The zero value is an empty Table.
type Table struct {
	mu    sync.Mutex
	byKey map[string]*Set
	free  []uint32 // ids that may be used again
	last  uint32   // the highest id ever used
}

// Intern returns the set of these settings with a reference for the caller, who
// owes a Release. Names are folded; of several values for one name the last
// counts. Without any setting it returns nil, the empty set. The error is a
// *SettingError.
func (t *Table) Intern(settings []Setting) (*Set, error) {
	if len(settings) == 0 {
		return nil, nil
	}
	settings, err := normalize(settings)
	if err != nil {
		return nil, err
	}
	key := keyOf(settings)
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.byKey[key]; s != nil {
		s.refs.Add(1)
		return s, nil
	}
	if t.byKey == nil {
		t.byKey = make(map[string]*Set)
	}
	s := &Set{id: t.nextID(), key: key, settings: settings}
	s.refs.Store(1)
	t.byKey[key] = s
	return s, nil
}

func (t *Table) nextID() uint32 {
	if n := len(t.free); n > 0 {
		id := t.free[n-1]
		t.free = t.free[:n-1]
		return id
	}
	t.last++
	return t.last
}

// Retain takes one more reference to a set of which the caller holds one. It
// does not lock. It returns the set.
func (t *Table) Retain(s *Set) *Set {
	if s != nil && s.refs.Add(1) <= 1 {
		panic("session: Retain of a set that was released")
	}
	return s
}

// Release gives a reference back. It locks only with the last one.
func (t *Table) Release(s *Set) {
	if s == nil {
		return
	}
	switch left := s.refs.Add(-1); {
	case left < 0:
		panic("session: Release of a set more often than it was retained")
	case left == 0:
		t.forget(s)
	}
}

// forget removes a set whose last reference has gone, unless that has changed:
// between the count and the lock, Intern may have found the set and used it
// again, and its new users may even have dropped it before us.
func (t *Table) forget(s *Set) {
	var as *Set
	t.mu.Lock()
	if s.refs.Load() == 0 && t.byKey[s.key] == s {
		delete(t.byKey, s.key)
		t.free = append(t.free, s.id)
		as = s.as.Swap(nil)
	}
	t.mu.Unlock()
	t.Release(as)
}

// Len is the number of sets that are held, the empty one not counted.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byKey)
}

// keyOf joins normalized settings, each part after its length, so that no value
// can look like the border to the next setting.
func keyOf(settings []Setting) string {
	var key []byte
	for _, s := range settings {
		key = appendPart(appendPart(key, s.Name), s.Value)
	}
	return string(key)
}
