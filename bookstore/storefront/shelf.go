package storefront

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"weir/bookstore"
)

// shelfSize is how many books a page shows, and pageMax the last page that is asked for.
const (
	shelfSize = 12
	pageMax   = 100_000
)

// card is a book as this visitor meets it.
type card struct {
	bookstore.Book
	Owned  bool
	InCart bool
}

// Readable says whether the visitor may read it.
func (c card) Readable() bool { return c.Owned || c.Price == 0 }

// shelf is a page with books on it.
type shelf struct {
	Heading, Intro string
	Books          []card
	Genres         []bookstore.Genre // to go to
	Number         int
	Earlier, Later string // addresses, or empty
}

// number is the page that is asked for, from 1.
func (v *visit) number(parameter string) int {
	n, err := strconv.Atoi(v.r.URL.Query().Get(parameter))
	if err != nil || n < 1 || n > pageMax {
		return 1
	}
	return n
}

// part is the page of this number, and one more, which tells whether there is another.
func part(number, size int) bookstore.Page {
	return bookstore.Page{Skip: int64(number-1) * int64(size), Limit: int64(size) + 1}
}

// turn takes the one more away, and says where the pages before and after are.
func turn[T any](list []T, number, size int, path, parameter string) (shown []T, earlier, later string) {
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	if number > 1 {
		earlier = fmt.Sprintf("%s%s%s=%d", path, separator, parameter, number-1)
	}
	if len(list) > size {
		return list[:size], earlier, fmt.Sprintf("%s%s%s=%d", path, separator, parameter, number+1)
	}
	return list, earlier, ""
}

// search looks for words in titles and authors' names.
func (s *Storefront) search(v *visit) error {
	words := strings.TrimSpace(v.r.URL.Query().Get("q"))
	if words == "" || len(words) > wordsMax || !utf8.ValidString(words) || strings.ContainsRune(words, 0) {
		return v.goTo("/", "")
	}
	return v.shelf("Search", "Titles and authors with “"+words+"”", "Search", func(p bookstore.Page) ([]bookstore.Book, error) {
		return s.Shop.Search(v.r.Context(), words, p)
	})
}

// wordsMax bounds what is searched for, in bytes.
const wordsMax = 400

// genresMax bounds how many genres a shelf leads to.
const genresMax = 30

func (s *Storefront) front(v *visit) error {
	return v.shelf("Books", "", "Books", func(p bookstore.Page) ([]bookstore.Book, error) {
		return s.Shop.Joined(v.r.Context(), p)
	})
}

func (s *Storefront) author(v *visit) error {
	id, err := v.id()
	if err != nil {
		return err
	}
	a, err := s.Shop.Author(v.r.Context(), id)
	if err != nil {
		return err
	}
	return v.shelf(a.Name, "Books by this author", a.Name, func(p bookstore.Page) ([]bookstore.Book, error) {
		return s.Shop.AuthorBooks(v.r.Context(), id, p)
	})
}

func (s *Storefront) genre(v *visit) error {
	id, err := v.id()
	if err != nil {
		return err
	}
	g, err := s.Shop.Genre(v.r.Context(), id)
	if err != nil {
		return err
	}
	return v.shelf(g.Name, "Books of this genre", g.Name, func(p bookstore.Page) ([]bookstore.Book, error) {
		return s.Shop.GenreBooks(v.r.Context(), id, p)
	})
}

// address is this page's, with what is searched for.
func (v *visit) address() string {
	if words := v.r.URL.Query().Get("q"); words != "" {
		return v.r.URL.Path + "?q=" + url.QueryEscape(words)
	}
	return v.r.URL.Path
}

func (v *visit) shelf(heading, intro, title string, list func(bookstore.Page) ([]bookstore.Book, error)) error {
	number := v.number("page")
	books, err := list(part(number, shelfSize))
	if err != nil {
		return err
	}
	if number > 1 && len(books) == 0 {
		return errNoPage
	}
	shown := shelf{Heading: heading, Intro: intro, Number: number}
	books, shown.Earlier, shown.Later = turn(books, number, shelfSize, v.address(), "page")
	if shown.Genres, err = v.shop.Shop.Genres(v.r.Context(), bookstore.Page{Limit: genresMax}); err != nil {
		return err
	}
	if shown.Books, err = v.cards(books); err != nil {
		return err
	}
	if number > 1 {
		title = fmt.Sprintf("%s, page %d", title, number)
	}
	return v.show(http.StatusOK, "shelf", title, shown)
}

// cards tells of each book what the visitor has to do with it.
func (v *visit) cards(books []bookstore.Book) ([]card, error) {
	owned, err := v.owned()
	if err != nil {
		return nil, err
	}
	all := make([]card, len(books))
	for i, b := range books {
		all[i] = card{Book: b, Owned: slices.Contains(owned, b.ID), InCart: slices.Contains(v.cart, b.ID)}
	}
	return all, nil
}

// owned are the books that the visitor need not buy. Somebody whose account is no longer active may still look around.
func (v *visit) owned() ([]int64, error) {
	ids := slices.Clone(v.bought)
	if v.who.Guest() {
		return ids, nil
	}
	library, err := v.shop.Shop.Library(v.r.Context(), v.who)
	if err != nil && !bookstore.Is(err, bookstore.Forbidden) {
		return nil, err
	}
	for _, b := range library {
		ids = append(ids, b.ID)
	}
	return ids, nil
}
