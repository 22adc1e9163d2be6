package bookstore_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"weir/bookstore"
)

// plain has Book's fields without its methods, so encoding/json does what it would do without ours.
type plain bookstore.Book

func ptr[T any](v T) *T { return &v }

func TestListingsAreTheJSONOfTheStandardLibrary(t *testing.T) {
	var books []bookstore.Book
	for _, text := range []string{
		"", "plain", `a "quote" and \ more`, "<b>&amp;</b>", "tab\tnewline\n\x00\x7f", "Čapek, 日本, \u2028\u2029", "broken \xff\xc3",
	} {
		books = append(books, bookstore.Book{Title: text, Description: &text, Authors: []bookstore.Author{{Name: text, ID: 1}, {Name: "x", ID: -2}}})
	}
	for i, price := range []bookstore.Cents{0, 1, 10, 99, 100, 110, 1250, 1255, bookstore.CentsMax, -5, -1250} {
		books = append(books, bookstore.Book{
			Price: price, ID: int64(i), PublicationDate: bookstore.Day(1+i*200, 2, 28), AvgRating: ptr(float64(i) / 3),
			Language: ptr("x"), ISBN: ptr("y"), Authors: []bookstore.Author{}, Genres: []bookstore.Genre{{Name: "g", ID: 3}},
		})
	}
	for _, b := range books {
		// The standard library shows a nil list as null; ours are never nil in an answer.
		if b.Authors == nil {
			b.Authors = []bookstore.Author{}
		}
		if b.Genres == nil {
			b.Genres = []bookstore.Genre{}
		}
		want, err := json.Marshal(plain(b))
		if err != nil {
			t.Fatal(err)
		}
		if got := b.AppendJSON([]byte("before")); string(got) != "before"+string(want) {
			t.Errorf("got  %s\nwant before%s", got, want)
		}
	}
	if got := bookstore.AppendBooks(nil, nil); string(got) != "[]" {
		t.Errorf("no books: %s", got)
	}
	all := bookstore.AppendBooks(nil, books)
	var back []bookstore.Book
	if err := json.Unmarshal(all, &back); err != nil || len(back) != len(books) {
		t.Errorf("%d of %d books back, %v", len(back), len(books), err)
	}
}

func TestPricesAreExact(t *testing.T) {
	for text, want := range map[string]bookstore.Cents{
		"0": 0, "12": 1200, "12.5": 1250, "12.50": 1250, "12.500": 1250, "0.07": 7, "-3.1": -310, "99999999.99": bookstore.CentsMax,
	} {
		var got bookstore.Cents
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{`"12"`, "1.234", "1e2", "true", "[1]", "99999999999999999999"} {
		var got bookstore.Cents
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s was taken as %s", text, got)
		}
	}
	if s := bookstore.Cents(-1205).String(); s != "-12.05" {
		t.Errorf("-1205 cents are %s", s)
	}
}

// wrong are the places of an input's faults, as a form would show them.
func wrong(err error) (places []string) {
	var e *bookstore.Error
	if !errors.As(err, &e) || e.Code != bookstore.Invalid {
		return []string{fmt.Sprint(err)}
	}
	for _, f := range e.Fields {
		places = append(places, strings.Trim(fmt.Sprint(f.Loc), "[]"))
	}
	return places
}

func TestInputIsTrimmedAndBounded(t *testing.T) {
	long := strings.Repeat("ä", 10_001)
	day := bookstore.Day(2021, 10, 5)
	for _, c := range []struct {
		name  string
		check func() error
		wrong []string
	}{
		{"book", (&bookstore.NewBook{
			Title: " x ", PublicationDate: day, Authors: []string{" A ", "B"}, Genres: []string{"g"},
			Image: []byte("\x89PNG\r\n\x1a\n..."), File: []byte("%PDF-1.4"),
		}).Check, nil},
		{"book of nothing", (&bookstore.NewBook{}).Check, []string{"body book title", "body book publication_date"}},
		{"book of too much", (&bookstore.NewBook{
			Title: long, Description: &long, Language: &long, ISBN: &long, Price: bookstore.CentsMax + 1, PublicationDate: bookstore.Day(10_000, 1, 1),
			Image: []byte("GIF89a"), File: make([]byte, 1), Authors: []string{"a", "", "A"}, Genres: make([]string, 21),
		}).Check, []string{
			"body book title", "body book description", "body book language", "body book isbn", "body book price",
			"body book publication_date", "body book image", "body book file", "body authors 1", "body authors 2", "body genres",
		}},
		{"book of odd text", (&bookstore.NewBook{
			Title: "a\x00b", Description: ptr("two\nlines"), Language: ptr("two\nlines"), ISBN: ptr("\xff"), Price: -1, PublicationDate: day,
		}).Check, []string{"body book title", "body book language", "body book isbn", "body book price"}},
		{"change of nothing", (&bookstore.BookChange{}).Check, nil},
		{"change", (&bookstore.BookChange{
			Title: ptr(" "), Price: ptr(bookstore.Cents(-1)), PublicationDate: &bookstore.Date{}, File: []byte("x"),
			Description: bookstore.Optional[string]{Set: true, Value: ptr(" ")},
		}).Check, []string{"body title", "body price", "body publication_date", "body file"}},
		{"user", (&bookstore.NewUser{Username: " mary ", Password: " ", Email: ptr("mary@example.org")}).Check, nil},
		{"user without address", (&bookstore.NewUser{Username: "mary", Password: "x", Email: ptr("")}).Check, nil},
		{
			"bad user", (&bookstore.NewUser{Username: "  ab ", Email: ptr("Mary <mary@example.org>")}).Check,
			[]string{"body username", "body password", "body email"},
		},
		{
			"long user", (&bookstore.NewUser{Username: strings.Repeat("ü", 21), Password: strings.Repeat("x", 73)}).Check,
			[]string{"body username", "body password"},
		},
		{"user of 20 letters", (&bookstore.NewUser{Username: strings.Repeat("ü", 20), Password: strings.Repeat("x", 72)}).Check, nil},
		{"user with a path", (&bookstore.NewUser{Username: "a/b/c", Password: "x"}).Check, []string{"body username"}},
		{"review", (&bookstore.NewReview{Rating: 0, Comment: "two\nlines"}).Check, nil},
		{"bad review", (&bookstore.NewReview{Rating: 6, Comment: " "}).Check, []string{"body rating", "body comment"}},
		{"bad change of a review", (&bookstore.ReviewChange{Rating: ptr(-1), Comment: ptr("")}).Check, []string{"body rating", "body comment"}},
		{"order", func() error { return bookstore.CheckOrder([]int64{1, 2}) }, nil},
		{"order of nothing", func() error { return bookstore.CheckOrder(nil) }, []string{"body book_ids"}},
		{"order of twice the same", func() error { return bookstore.CheckOrder([]int64{1, 2, 1}) }, []string{"body book_ids 2"}},
		{"order of too much", func() error { return bookstore.CheckOrder(make([]int64, 101)) }, []string{"body book_ids"}},
		{"author", func() error { _, err := bookstore.CheckName(""); return err }, []string{"body name"}},
	} {
		err := c.check()
		if c.wrong == nil && err != nil || c.wrong != nil && !reflect.DeepEqual(wrong(err), c.wrong) {
			t.Errorf("%s: %q, want %q", c.name, wrong(err), c.wrong)
		}
	}

	b := bookstore.NewBook{Title: " x ", Language: ptr(" "), PublicationDate: day, Authors: []string{" A "}}
	if err := b.Check(); err != nil || b.Title != "x" || b.Language != nil || b.Authors[0] != "A" {
		t.Errorf("checked: %+v, %v", b, err)
	}
	if name, err := bookstore.CheckName(" A "); name != "A" || err != nil {
		t.Errorf("name %q, %v", name, err)
	}
}
