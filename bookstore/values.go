package bookstore

import (
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Cents is an amount of money in hundredths. It is exact, as numeric(10,2) is in the database; JSON shows it as a
// number of whole units.
type Cents int64

// CentsMax is the largest amount that numeric(10,2) holds.
const CentsMax Cents = 9_999_999_999

// AppendJSON appends 12.5 for 1250.
func (c Cents) AppendJSON(b []byte) []byte {
	n := int64(c)
	if n < 0 {
		b, n = append(b, '-'), -n
	}
	b = strconv.AppendInt(b, n/100, 10)
	if part := n % 100; part != 0 {
		b = append(b, '.', byte('0'+part/10))
		if part%10 != 0 {
			b = append(b, byte('0'+part%10))
		}
	}
	return b
}

// MarshalJSON writes 1250 as 12.5.
func (c Cents) MarshalJSON() ([]byte, error) { return c.AppendJSON(nil), nil }

// UnmarshalJSON reads a number with at most two decimals that count.
func (c *Cents) UnmarshalJSON(b []byte) error {
	whole, part, _ := strings.Cut(string(b), ".")
	part = strings.TrimRight(part, "0")
	n, err := ParseCents(whole + "." + part)
	if err != nil {
		return err
	}
	*c = n
	return nil
}

// ParseCents reads 12, 12.5 and 12.50.
func ParseCents(s string) (Cents, error) {
	whole, part, _ := strings.Cut(s, ".")
	if len(part) > 2 {
		return 0, fmt.Errorf("read a price: %q has more than two decimals", s)
	}
	if strings.Trim(part, "0123456789") != "" {
		return 0, fmt.Errorf("read a price: %q is no amount", s)
	}
	n, err := strconv.ParseInt(whole+(part + "00")[:2], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read a price: %q is no amount", s)
	}
	return Cents(n), nil
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
	n, err := ParseCents(s)
	*c = n
	return err
}

// Date is a day; JSON shows it as YYYY-MM-DD.
type Date struct{ time.Time }

// Day makes a Date.
func Day(year int, month time.Month, day int) Date {
	return Date{time.Date(year, month, day, 0, 0, 0, 0, time.UTC)}
}

// AppendJSON appends the day in quotes.
func (d Date) AppendJSON(b []byte) []byte { return d.AppendFormat(b, `"`+time.DateOnly+`"`) }

// MarshalJSON writes the day in quotes.
func (d Date) MarshalJSON() ([]byte, error) { return d.AppendJSON(nil), nil }

// UnmarshalJSON reads the day from quotes.
func (d *Date) UnmarshalJSON(b []byte) error {
	t, err := time.Parse(`"`+time.DateOnly+`"`, string(b))
	if err != nil {
		return fmt.Errorf("read a date: %s is no day as YYYY-MM-DD", b)
	}
	d.Time = t
	return nil
}

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
