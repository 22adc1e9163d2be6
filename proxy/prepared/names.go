package prepared

import "weir/proxy/sqlscan"

// Names are the statements that one client has prepared. The zero value has none. It is part of every client, also of those that
// prepare nothing, so it is small.
type Names struct {
	roll    *roll      // those that have names; nil: it has none
	unnamed *Statement // the unnamed one
	used    bool       // it has been bound
}

// roll holds what a client has named.
type roll struct {
	list  []named
	byID  map[string]int32 // index into list; made when looking through the list would take long
	gone  []spoken         // names that mean nothing any more, while messages about them are under way
	bytes int              // that the statements take
	owned int              // statements among them that live on one backend only
}

// nothing is the roll of those who have named nothing. Nobody writes into it.
var nothing roll

// read is the roll to look into.
func (n *Names) read() *roll {
	if n == nil || n.roll == nil {
		return &nothing
	}
	return n.roll
}

// write is the roll to put something into.
func (n *Names) write() *roll {
	if n.roll == nil {
		n.roll = new(roll)
	}
	return n.roll
}

// spoken is how a client called what a backend calls otherwise.
type spoken struct {
	name, onBackend string
	closed          uint64 // the number of the answer of the Close that has ended it; 0: it was ended otherwise
}

type named struct {
	name string
	s    *Statement
}

// manyNames is the number of names beyond which they are looked up in a map. Comparing eight strings is as fast.
const manyNames = 8

// Len is the number of names.
func (n *Names) Len() int { return len(n.read().list) }

// Statement is what the name stands for, nil if for nothing.
func (n *Names) Statement(name []byte) *Statement {
	r := n.read()
	if i := r.index(string(name)); i >= 0 {
		return r.list[i].s
	}
	return nil
}

// means reports whether one of the names stands for s.
func (n *Names) means(s *Statement) bool {
	for _, x := range n.read().list {
		if x.s == s {
			return true
		}
	}
	return false
}

// Name is the client's own name for a statement, or "" if it has none. busy is the number of the answer in which it is spoken of: what
// the client has closed after that still had its name. missing: the server has not found it, so it is a name that means nothing any
// more, if there is one.
func (n *Names) Name(onBackend []byte, missing bool, busy uint64) string {
	r := n.read()
	for i := range r.gone {
		if g := &r.gone[i]; g.closed > busy && g.onBackend == string(onBackend) {
			return g.name
		}
	}
	if name := r.goneName(onBackend); missing && name != "" {
		return name
	}
	for i := range r.list {
		if r.list[i].s.name == string(onBackend) {
			return r.list[i].name
		}
	}
	return r.goneName(onBackend)
}

func (r *roll) goneName(onBackend []byte) string {
	for i := len(r.gone) - 1; i >= 0; i-- {
		if r.gone[i].onBackend == string(onBackend) {
			return r.gone[i].name
		}
	}
	return ""
}

// goes notes a name that means nothing any more.
func (n *Names) goes(x spoken) {
	r := n.write()
	r.gone = append(r.gone, x)
}

// Settled notes that no answers are due to the client.
func (n *Names) Settled() {
	if n != nil && n.roll != nil {
		n.roll.gone = nil
	}
}

func (r *roll) index(name string) int {
	if r.byID != nil {
		if i, ok := r.byID[name]; ok {
			return int(i)
		}
		return -1
	}
	for i := range r.list {
		if r.list[i].name == name {
			return i
		}
	}
	return -1
}

// set makes the name stand for s, nil for nothing, and returns what it stood for. References move with the statements.
func (n *Names) set(name string, s *Statement) (prev *Statement) {
	if s == nil && n.roll == nil {
		return nil
	}
	return n.write().set(name, s)
}

func (r *roll) set(name string, s *Statement) (prev *Statement) {
	i := r.index(name)
	if s != nil {
		r.count(name, s, 1)
	}
	if i >= 0 {
		r.count(name, r.list[i].s, -1)
	}
	switch {
	case i < 0 && s == nil:
		return nil
	case i < 0:
		r.list = append(r.list, named{name, s})
		r.added(name)
		return nil
	case s == nil:
		prev = r.list[i].s
		r.remove(i)
		return prev
	}
	prev, r.list[i].s = r.list[i].s, s
	return prev
}

func (r *roll) count(name string, s *Statement, by int) {
	r.bytes += by * (s.size() + len(name))
	if s.Own() {
		r.owned += by
	}
}

func (r *roll) added(name string) {
	switch {
	case r.byID != nil:
		r.byID[name] = int32(len(r.list) - 1)
	case len(r.list) > manyNames:
		r.byID = make(map[string]int32, 2*len(r.list))
		for i := range r.list {
			r.byID[r.list[i].name] = int32(i)
		}
	}
}

func (r *roll) remove(i int) {
	last := len(r.list) - 1
	if r.byID != nil {
		r.byID[r.list[last].name] = int32(i)
		delete(r.byID, r.list[i].name)
	}
	r.list[i] = r.list[last]
	r.list[last] = named{}
	r.list = r.list[:last]
}

// Bytes is what the statements that have names would take of weir's memory if no other client had them.
func (n *Names) Bytes() int { return n.read().bytes }

// Unnamed is the unnamed statement; nil if there is none.
func (n *Names) Unnamed() *Statement {
	if n == nil {
		return nil
	}
	return n.unnamed
}

// Owns reports whether one of the statements lives on one backend only.
func (n *Names) Owns() bool {
	return n != nil && (n.read().owned > 0 || n.unnamed != nil && n.unnamed.Own() && !n.used)
}

// UseUnnamed notes that the unnamed statement is bound. One that is too long to be kept does not hold its client on a backend after
// that: drivers bind it once.
func (n *Names) UseUnnamed() { n.used = true }

// Keep makes a statement of the client's own one that can be prepared on other backends, now that its Parse's body after the name has
// come whole. Other clients do not share it.
func (n *Names) Keep(s *Statement, body []byte, mode sqlscan.Mode, e sqlscan.Effects) {
	r := n.read()
	for i := range r.list {
		if r.list[i].s == s {
			r.count(r.list[i].name, s, -1)
			defer r.count(r.list[i].name, s, 1)
		}
	}
	s.parse, s.mode, s.effects = string(body), mode, e
}

// Drop forgets the name, as DEALLOCATE does.
func (n *Names) Drop(name string) {
	if n != nil {
		n.set(name, nil).release()
	}
}

// Deallocated forgets all names, as DEALLOCATE ALL does. The unnamed statement stays.
func (n *Names) Deallocated() {
	if n == nil {
		return
	}
	for _, x := range n.read().list {
		x.s.release()
	}
	n.roll = nil
}

// Clear forgets everything, when the client leaves.
func (n *Names) Clear() {
	if n == nil {
		return
	}
	n.Deallocated()
	n.unnamed.release()
	*n = Names{}
}
