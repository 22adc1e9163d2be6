// Package bookstore is the domain of weir's demo application, a small book shop that lists its books in two ways.
//
// It holds the types that the other packages speak of (store keeps them, api serves them) and their errors. Values are
// plain and belong to whoever holds them. It imports nothing of weir; the packages below it never import proxy or pool.
package bookstore

import (
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Author is a writer of books.
type Author struct {
	Name string `json:"name"`
	ID   int64  `json:"id"`
}

// Genre is a kind of book.
type Genre struct {
	Name string `json:"name"`
	ID   int64  `json:"id"`
}

// Book is a book as the API shows it: the order of the fields is the order in its JSON. Cover and text of a book are
// never part of it.
type Book struct {
	Title           string   `json:"title"`
	Description     *string  `json:"description"`
	Language        *string  `json:"language"`
	Price           Cents    `json:"price"`
	PublicationDate Date     `json:"publication_date"`
	ISBN            *string  `json:"isbn"`
	ID              int64    `json:"id"`
	AvgRating       *float64 `json:"avg_rating"`
	Authors         []Author `json:"authors"`
	Genres          []Genre  `json:"genres"`
}

// Page is a part of a listing, ordered by id. Limit 0 means all that follow.
type Page struct {
	Skip  int64
	Limit int64
}

// Cents is an amount of money in hundredths. It is exact, as numeric(10,2) is in the database; JSON shows it as a
// number of whole units.
type Cents int64

// MarshalJSON writes 1250 as 12.5.
func (c Cents) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(c)/100, 'f', -1, 64), nil
}

// String writes 1250 as 12.50, the form that PostgreSQL reads.
func (c Cents) String() string {
	sign, n := "", int64(c)
	if n < 0 {
		sign, n = "-", -n
	}
	return fmt.Sprintf("%s%d.%02d", sign, n/100, n%100)
}

// Value implements driver.Valuer.
func (c Cents) Value() (driver.Value, error) { return c.String(), nil }

// Scan implements sql.Scanner for PostgreSQL's text form of numeric(10,2).
func (c *Cents) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("read a price: got %T, want text", v)
	}
	whole, part, _ := strings.Cut(s, ".")
	if len(part) > 2 {
		return fmt.Errorf("read a price: %q has more than two decimals", s)
	}
	n, err := strconv.ParseInt(whole+(part + "00")[:2], 10, 64)
	if err != nil {
		return fmt.Errorf("read a price: %w", err)
	}
	*c = Cents(n)
	return nil
}

// Date is a day; JSON shows it as YYYY-MM-DD.
type Date struct{ time.Time }

// Day makes a Date.
func Day(year int, month time.Month, day int) Date {
	return Date{time.Date(year, month, day, 0, 0, 0, 0, time.UTC)}
}

// MarshalJSON writes the day in quotes.
func (d Date) MarshalJSON() ([]byte, error) { return d.AppendFormat(nil, `"`+time.DateOnly+`"`), nil }

// Value implements driver.Valuer.
func (d Date) Value() (driver.Value, error) { return d.Format(time.DateOnly), nil }

// Scan implements sql.Scanner.
func (d *Date) Scan(v any) error {
	t, ok := v.(time.Time)
	if !ok {
		return fmt.Errorf("read a date: got %T, want a time", v)
	}
	d.Time = t
	return nil
}
