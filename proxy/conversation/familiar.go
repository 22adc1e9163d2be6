package conversation

import (
	"encoding/binary"

	"weir/proxy/sqlscan"
)

// familiar are the texts of Queries that do nothing by reading, whatever their literals, each with what is known of its statement: a
// client that sends one is through without a lexer.
type familiar struct {
	sets []familiarSet // by how a text begins; nil: none
}

type familiarSet struct {
	ways [familiarWays]struct {
		shape sqlscan.Shape
		known *record // nil: the way is free
	}
	next uint8
}

// The numbers of what is familiar.
const (
	familiarSets = 64
	familiarWays = 4
	familiarHead = 16 // bytes by which texts are told apart first; shorter ones are read faster than found
	shapesMax    = 4  // of one statement
)

// set is where a text is kept.
func (f *familiar) set(text []byte) *familiarSet {
	if len(text) < familiarHead || f.sets == nil {
		return nil
	}
	head := binary.LittleEndian.Uint64(text)*0x9e3779b97f4a7c15 ^ binary.LittleEndian.Uint64(text[8:])
	return &f.sets[head*0x9e3779b97f4a7c15>>58]
}

// find returns what is known of a text's statement; nil: it is to be read.
func (f *familiar) find(text []byte) *record {
	set := f.set(text)
	if set == nil {
		return nil
	}
	for i := range set.ways {
		if way := &set.ways[i]; way.known != nil && way.shape.Fits(text) {
			if way.known.forgotten {
				way.known = nil
			}
			return way.known
		}
	}
	return nil
}

// add makes a text familiar that has been read and does nothing, once its statement is trusted. A statement of too many shapes adds no
// more of them.
func (f *familiar) add(text []byte, b *record) {
	if !b.trusted() || b.shapes == shapesMax || len(text) < familiarHead {
		return
	}
	b.shapes++
	shape, ok := sqlscan.ShapeOf(text)
	if !ok {
		return
	}
	if f.sets == nil {
		f.sets = make([]familiarSet, familiarSets)
	}
	set := f.set(text)
	way := &set.ways[set.next%familiarWays]
	set.next++
	way.shape, way.known = shape, b
}

// forget is for when texts may mean something else than before.
func (f *familiar) forget() { f.sets = nil }

// runsFamiliar notes that the client sends a text that is familiar. False: it must be read.
func (s *Server) runsFamiliar(text []byte) bool {
	b := s.shared.records.familiar.find(text)
	if b == nil || !s.learns(0) {
		return false
	}
	s.runs(b)
	return true
}
