package bookstore

import (
	"bytes"
	"fmt"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what may be written, in characters unless it says bytes. Those of indexed columns stay far below the third
// of a page that a B-tree takes.
const (
	titleMax         = 200
	descriptionMax   = 10_000
	languageMax      = 50
	isbnMax          = 20
	nameMax          = 100
	namesMax         = 20 // authors, and genres, of one book
	usernameMin      = 3
	usernameMax      = 20
	emailMax         = 254 // RFC 5321, 4.5.3.1.3, less the angle brackets
	commentMax       = 5_000
	ratingMax        = 5
	orderMax         = 100      // books of one order
	imageBytesMax    = 2 << 20  //
	fileBytesMax     = 16 << 20 //
	passwordBytes    = 72       // bcrypt's
	yearMin, yearMax = 1, 9999  // what YYYY-MM-DD can write
)

// faults collects what is wrong with an input.
type faults struct{ fields []Field }

func (f *faults) add(msg string, loc ...any) {
	f.fields = append(f.fields, Field{Loc: append([]any{"body"}, loc...), Msg: msg, Type: "value_error"})
}

func (f *faults) err() error {
	if f.fields == nil {
		return nil
	}
	return &Error{Code: Invalid, Detail: "invalid input", Fields: f.fields}
}

// text trims s and checks its length. PostgreSQL's text holds no NUL, and only UTF-8.
func (f *faults) text(s *string, least, most int, loc ...any) {
	*s = strings.TrimSpace(*s)
	switch n := utf8.RuneCountInString(*s); {
	case !utf8.ValidString(*s) || strings.ContainsRune(*s, 0):
		f.add("must be text without NUL", loc...)
	case n == 0 && least == 1:
		f.add("must not be empty", loc...)
	case n < least:
		f.add(fmt.Sprintf("must have at least %d characters", least), loc...)
	case n > most:
		f.add(fmt.Sprintf("must have at most %d characters", most), loc...)
	}
}

// line is text of one line.
func (f *faults) line(s *string, least, most int, loc ...any) {
	before := len(f.fields)
	f.text(s, least, most, loc...)
	if len(f.fields) == before && strings.ContainsFunc(*s, unicode.IsControl) {
		f.add("must be one line", loc...)
	}
}

// maybe checks text that may be absent; blank becomes absent.
func (f *faults) maybe(check func(*string, int, int, ...any), s **string, most int, loc ...any) {
	if *s == nil {
		return
	}
	trimmed := strings.TrimSpace(**s)
	if *s = &trimmed; trimmed == "" {
		*s = nil
		return
	}
	check(*s, 1, most, loc...)
}

func (f *faults) price(c Cents, loc ...any) {
	if c < 0 || c > CentsMax {
		f.add(fmt.Sprintf("must be from 0 to %s", CentsMax), loc...)
	}
}

func (f *faults) day(d Date, loc ...any) {
	if d.IsZero() {
		f.add("field required", loc...)
	} else if d.Year() < yearMin || d.Year() > yearMax {
		f.add(fmt.Sprintf("must be a day from year %d to %d", yearMin, yearMax), loc...)
	}
}

func (f *faults) blob(b []byte, magic string, most int, loc ...any) {
	switch {
	case b == nil:
	case !bytes.HasPrefix(b, []byte(magic)):
		f.add(fmt.Sprintf("must begin as %q", magic), loc...)
	case len(b) > most:
		f.add(fmt.Sprintf("must have at most %d bytes", most), loc...)
	}
}

// How a PNG and a PDF begin.
const (
	pngMagic = "\x89PNG\r\n\x1a\n"
	pdfMagic = "%PDF-"
)

// names trims and checks a list of names in which none may occur twice, whatever its case.
func (f *faults) names(names []string, list string) []string {
	if len(names) > namesMax {
		f.add(fmt.Sprintf("must be at most %d", namesMax), list)
		return names
	}
	checked, seen := make([]string, len(names)), map[string]bool{}
	for i, name := range names {
		f.line(&name, 1, nameMax, list, i)
		if lower := strings.ToLower(name); seen[lower] {
			f.add("is named twice", list, i)
		} else {
			seen[lower] = true
		}
		checked[i] = name
	}
	return checked
}

// Check trims what is written and says what is wrong with it (Invalid).
func (b *NewBook) Check() error {
	var f faults
	f.line(&b.Title, 1, titleMax, "book", "title")
	f.maybe(f.text, &b.Description, descriptionMax, "book", "description")
	f.maybe(f.line, &b.Language, languageMax, "book", "language")
	f.maybe(f.line, &b.ISBN, isbnMax, "book", "isbn")
	f.price(b.Price, "book", "price")
	f.day(b.PublicationDate, "book", "publication_date")
	f.blob(b.Image, pngMagic, imageBytesMax, "book", "image")
	f.blob(b.File, pdfMagic, fileBytesMax, "book", "file")
	b.Authors, b.Genres = f.names(b.Authors, "authors"), f.names(b.Genres, "genres")
	return f.err()
}

// Check trims what is written and says what is wrong with it (Invalid).
func (b *BookChange) Check() error {
	var f faults
	if b.Title != nil {
		title := *b.Title
		b.Title = &title
		f.line(b.Title, 1, titleMax, "title")
	}
	f.maybe(f.text, &b.Description.Value, descriptionMax, "description")
	f.maybe(f.line, &b.Language.Value, languageMax, "language")
	f.maybe(f.line, &b.ISBN.Value, isbnMax, "isbn")
	if b.Price != nil {
		f.price(*b.Price, "price")
	}
	if b.PublicationDate != nil {
		f.day(*b.PublicationDate, "publication_date")
	}
	f.blob(b.Image, pngMagic, imageBytesMax, "image")
	f.blob(b.File, pdfMagic, fileBytesMax, "file")
	return f.err()
}

// CheckName trims the name of an author and says what is wrong with it (Invalid).
func CheckName(name string) (string, error) {
	var f faults
	f.line(&name, 1, nameMax, "name")
	return name, f.err()
}

// Check trims what is written and says what is wrong with it (Invalid). A password is taken as it is.
func (u *NewUser) Check() error {
	var f faults
	f.line(&u.Username, usernameMin, usernameMax, "username")
	if strings.Contains(u.Username, "/") {
		f.add("must have no slash", "username") // it is a part of a path
	}
	if u.Password == "" {
		f.add("must not be empty", "password")
	} else if len(u.Password) > passwordBytes {
		f.add(fmt.Sprintf("must have at most %d bytes", passwordBytes), "password")
	}
	f.maybe(f.line, &u.Email, emailMax, "email")
	if u.Email != nil {
		if a, err := mail.ParseAddress(*u.Email); err != nil || a.Address != *u.Email {
			f.add("must be an e-mail address", "email")
		}
	}
	return f.err()
}

// Check trims what is written and says what is wrong with it (Invalid).
func (r *NewReview) Check() error {
	var f faults
	f.rating(r.Rating)
	f.text(&r.Comment, 1, commentMax, "comment")
	return f.err()
}

func (f *faults) rating(n int) {
	if n < 0 || n > ratingMax {
		f.add(fmt.Sprintf("must be from 0 to %d", ratingMax), "rating")
	}
}

// Check trims what is written and says what is wrong with it (Invalid).
func (r *ReviewChange) Check() error {
	var f faults
	if r.Rating != nil {
		f.rating(*r.Rating)
	}
	if r.Comment != nil {
		comment := *r.Comment
		r.Comment = &comment
		f.text(r.Comment, 1, commentMax, "comment")
	}
	return f.err()
}

// CheckOrder says what is wrong with the books of an order (Invalid), as far as that can be seen without the shop.
func CheckOrder(bookIDs []int64) error {
	var f faults
	if len(bookIDs) == 0 || len(bookIDs) > orderMax {
		f.add(fmt.Sprintf("must be from 1 to %d books", orderMax), "book_ids")
		return f.err()
	}
	seen := map[int64]bool{}
	for i, id := range bookIDs {
		if seen[id] {
			f.add("is named twice", "book_ids", i)
		}
		seen[id] = true
	}
	return f.err()
}
