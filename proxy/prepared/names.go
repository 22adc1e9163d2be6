package prepared

import "weir/proxy/sqlscan"

// Names are the statements that one client has prepared. The zero value has none.
type Names struct {
	list    []named
	byID    map[string]int32 // index into list; made when looking through the list would take long
	gone    []spoken         // names that mean nothing any more, while messages about them are under way
	bytes   int              // that the statements take
	owned   int              // statements among them that live on one backend only
	unnamed *Statement       // the unnamed one
	used    bool             // it has been bound
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
func (n *Names) Len() int {
	if n == nil {
		return 0
	}
	return len(n.list)
}

// Statement is what the name stands for, nil if for nothing.
func (n *Names) Statement(name []byte) *Statement {
	if n == nil {
		return nil
	}
	if i := n.index(string(name)); i >= 0 {
		return n.list[i].s
	}
	return nil
}

// means reports whether one of the names stands for s.
func (n *Names) means(s *Statement) bool {
	for i := range n.list {
		if n.list[i].s == s {
			return true
		}
	}
	return false
}

// Name is the client's own name for a statement, or "" if it has none. busy is the number of the answer in which it is spoken of: what
// the client has closed after that still had its name. missing: the server has not found it, so it is a name that means nothing any
// more, if there is one.
func (n *Names) Name(onBackend []byte, missing bool, busy uint64) string {
	if n == nil {
		return ""
	}
	for i := range n.gone {
		if g := &n.gone[i]; g.closed > busy && g.onBackend == string(onBackend) {
			return g.name
		}
	}
	if name := n.goneName(onBackend); missing && name != "" {
		return name
	}
	for i := range n.list {
		if n.list[i].s.name == string(onBackend) {
			return n.list[i].name
		}
	}
	return n.goneName(onBackend)
}

func (n *Names) goneName(onBackend []byte) string {
	for i := len(n.gone) - 1; i >= 0; i-- {
		if n.gone[i].onBackend == string(onBackend) {
			return n.gone[i].name
		}
	}
	return ""
}

// Settled notes that no answers are due to the client.
func (n *Names) Settled() {
	if n != nil {
		n.gone = nil
	}
}

func (n *Names) index(name string) int {
	if n.byID != nil {
		if i, ok := n.byID[name]; ok {
			return int(i)
		}
		return -1
	}
	for i := range n.list {
		if n.list[i].name == name {
			return i
		}
	}
	return -1
}

// set makes the name stand for s, nil for nothing, and returns what it stood for. References move with the statements.
func (n *Names) set(name string, s *Statement) (prev *Statement) {
	i := n.index(name)
	if s != nil {
		n.count(name, s, 1)
	}
	if i >= 0 {
		n.count(name, n.list[i].s, -1)
	}
	switch {
	case i < 0 && s == nil:
		return nil
	case i < 0:
		n.list = append(n.list, named{name, s})
		n.added(name)
		return nil
	case s == nil:
		prev = n.list[i].s
		n.remove(i)
		return prev
	}
	prev, n.list[i].s = n.list[i].s, s
	return prev
}

func (n *Names) count(name string, s *Statement, by int) {
	n.bytes += by * (s.size() + len(name))
	if s.Own() {
		n.owned += by
	}
}

func (n *Names) added(name string) {
	switch {
	case n.byID != nil:
		n.byID[name] = int32(len(n.list) - 1)
	case len(n.list) > manyNames:
		n.byID = make(map[string]int32, 2*len(n.list))
		for i := range n.list {
			n.byID[n.list[i].name] = int32(i)
		}
	}
}

func (n *Names) remove(i int) {
	last := len(n.list) - 1
	if n.byID != nil {
		n.byID[n.list[last].name] = int32(i)
		delete(n.byID, n.list[i].name)
	}
	n.list[i] = n.list[last]
	n.list[last] = named{}
	n.list = n.list[:last]
}

// Bytes is what the statements that have names would take of weir's memory if no other client had them.
func (n *Names) Bytes() int {
	if n == nil {
		return 0
	}
	return n.bytes
}

// Unnamed is the unnamed statement; nil if there is none.
func (n *Names) Unnamed() *Statement {
	if n == nil {
		return nil
	}
	return n.unnamed
}

// Owns reports whether one of the statements lives on one backend only.
func (n *Names) Owns() bool {
	return n != nil && (n.owned > 0 || n.unnamed != nil && n.unnamed.Own() && !n.used)
}

// UseUnnamed notes that the unnamed statement is bound. One that is too long to be kept does not hold its client on a backend after
// that: drivers bind it once.
func (n *Names) UseUnnamed() { n.used = true }

// Keep makes a statement of the client's own one that can be prepared on other backends, now that its Parse's body after the name has
// come whole. Other clients do not share it.
func (n *Names) Keep(s *Statement, body []byte, mode sqlscan.Mode, e sqlscan.Effects) {
	for i := range n.list {
		if n.list[i].s == s {
			n.count(n.list[i].name, s, -1)
			defer n.count(n.list[i].name, s, 1)
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
	for i := range n.list {
		n.list[i].s.release()
	}
	*n = Names{unnamed: n.unnamed, used: n.used}
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
