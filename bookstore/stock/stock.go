// Package stock makes what a new shop puts on its shelves: books, their covers and their texts, readers and what they
// say. Everything is a function of its input: the same number gives the same books, the same title the same cover, on
// every machine and at each run, so that a seed can be repeated.
//
// It imports bookstore and the graphics of golang.org/x/image.
package stock

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"weir/bookstore"
)

// seedOf is what chance begins with for a name.
func seedOf(kind, name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(kind + "\x00" + name)) // a hash takes everything
	return rand.New(rand.NewPCG(h.Sum64(), 0))   //nolint:gosec // it shall be the same each time
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// Books are n books, all of different titles: the classics first, and then such as nobody has written. They come
// without cover and text.
func Books(n int) []bookstore.NewBook {
	books := make([]bookstore.NewBook, 0, n)
	for i := range n {
		if i < len(classics) {
			b := classics[i]
			b.Authors, b.Genres = slices.Clone(b.Authors), slices.Clone(b.Genres)
			books = append(books, b)
			continue
		}
		books = append(books, unwritten(i-len(classics)))
	}
	return books
}

// title gives each i one of its own: two words, then also a place, then also a volume. The steps have no factor in
// common with the numbers of words, so that neighbours differ.
func title(i int) string {
	pairs := len(qualities) * len(things)
	at := i % pairs * 769 % pairs
	t := "The " + qualities[at/len(things)] + " " + things[at%len(things)]
	if i /= pairs; i > 0 {
		t += " of " + places[(i-1)%len(places)]
		if volume := (i - 1) / len(places); volume > 0 {
			t += fmt.Sprintf(", Volume %d", volume+1)
		}
	}
	return t
}

func unwritten(i int) bookstore.NewBook {
	t := title(i)
	r := seedOf("book", t)
	genres := []string{pick(r, genres)}
	if second := pick(r, genresMore); second != genres[0] && r.IntN(2) == 0 {
		genres = append(genres, second)
	}
	authors := []string{pick(r, givenNames) + " " + pick(r, surnames)}
	if second := pick(r, givenNames) + " " + pick(r, surnames); second != authors[0] && r.IntN(5) == 0 {
		authors = append(authors, second)
	}
	price := bookstore.Cents(490 + 10*r.IntN(200))
	if r.IntN(12) == 0 {
		price = 0
	}
	return book(t, fmt.Sprintf("%s %s, and %s.", pick(r, beginnings), pick(r, turns), pick(r, endings)),
		pick(r, languages), price,
		bookstore.Day(1950+r.IntN(70), time.Month(1+r.IntN(12)), 1+r.IntN(28)), isbn(i+len(classics)+1), authors, genres)
}

// isbn makes the n-th number of the classics' range.
func isbn(n int) string {
	s := fmt.Sprintf("978%09d", n)
	sum := 0
	for i, c := range s {
		weight := 1 + 2*(i%2)
		sum += weight * int(c-'0')
	}
	return fmt.Sprintf("%s%d", s, (10-sum%10)%10)
}

// Reader is somebody who reviews.
type Reader struct {
	Username string
	Reviews  []Review
}

// Review is what a reader says of the book with this title.
type Review struct {
	Title   string
	Rating  int
	Comment string
}

// reviewsMax keeps a reader from reading more than people do.
const reviewsMax = 8

// Readers are n readers of these books.
func Readers(n int, books []bookstore.NewBook) []Reader {
	readers := make([]Reader, n)
	for i := range readers {
		name := strings.ToLower(givenNames[i%len(givenNames)])
		if round := i / len(givenNames); round > 0 {
			name += fmt.Sprint(round + 1)
		}
		r := seedOf("reader", name)
		readers[i].Username = name
		for _, at := range r.Perm(len(books))[:min(reviewsMax, len(books))] {
			rating := 2 + r.IntN(4)
			readers[i].Reviews = append(readers[i].Reviews, Review{
				Title: books[at].Title, Rating: rating, Comment: pick(r, comments[rating-2]),
			})
		}
	}
	return readers
}
