package authquery

import (
	"container/list"
	"time"
)

// How many answers are kept. Names that do not exist have room of their own: a client that tries many must not push out the
// answers of those that do.
const (
	knownMax   = 10_000
	unknownMax = 1_000
)

// answers keeps what was found, of each kind the latest.
type answers struct {
	known, unknown shelf
}

func newAnswers() answers {
	return answers{newShelf(knownMax), newShelf(unknownMax)}
}

func (a *answers) find(q question) (Answer, time.Time, bool) {
	for _, s := range []*shelf{&a.known, &a.unknown} {
		if e, ok := s.find(q); ok {
			return e.answer, e.at, true
		}
	}
	return Answer{}, time.Time{}, false
}

func (a *answers) keep(q question, answer Answer, at time.Time) {
	to, other := &a.unknown, &a.known
	if answer.Known {
		to, other = other, to
	}
	other.forget(q)
	to.keep(entry{q, answer, at})
}

// shelf holds so many entries; the one that was used least recently makes room.
type shelf struct {
	max    int
	places map[question]*list.Element
	order  *list.List // of entry, the latest used first
}

type entry struct {
	question question
	answer   Answer
	at       time.Time
}

func newShelf(limit int) shelf {
	return shelf{max: limit, places: map[question]*list.Element{}, order: list.New()}
}

func (s *shelf) find(q question) (entry, bool) {
	place, ok := s.places[q]
	if !ok {
		return entry{}, false
	}
	s.order.MoveToFront(place)
	return place.Value.(entry), true
}

func (s *shelf) keep(e entry) {
	s.forget(e.question)
	if s.order.Len() >= s.max {
		s.forget(s.order.Back().Value.(entry).question)
	}
	s.places[e.question] = s.order.PushFront(e)
}

func (s *shelf) forget(q question) {
	if place, ok := s.places[q]; ok {
		s.order.Remove(place)
		delete(s.places, q)
	}
}
