package bookstore

import (
	"encoding/json"
	"math"
	"strconv"
)

// AppendBooks appends a list of books as encoding/json writes it. Listings are what the load of the experiment asks
// for, and reflection would be a good part of their cost.
func AppendBooks(b []byte, books []Book) []byte {
	b = append(b, '[')
	for i := range books {
		if i > 0 {
			b = append(b, ',')
		}
		b = books[i].AppendJSON(b)
	}
	return append(b, ']')
}

// AppendJSON appends the book as encoding/json writes it.
func (k *Book) AppendJSON(b []byte) []byte {
	b = appendText(append(b, `{"title":`...), k.Title)
	b = appendMaybe(append(b, `,"description":`...), k.Description)
	b = appendMaybe(append(b, `,"language":`...), k.Language)
	b = k.Price.AppendJSON(append(b, `,"price":`...))
	b = k.PublicationDate.AppendJSON(append(b, `,"publication_date":`...))
	b = appendMaybe(append(b, `,"isbn":`...), k.ISBN)
	b = strconv.AppendInt(append(b, `,"id":`...), k.ID, 10)
	b = append(b, `,"avg_rating":`...)
	if k.AvgRating == nil || math.IsNaN(*k.AvgRating) || math.IsInf(*k.AvgRating, 0) {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendFloat(b, *k.AvgRating, 'f', -1, 64) // an average of 0 to 5 needs no exponent
	}
	b = append(b, `,"authors":[`...)
	for i, a := range k.Authors {
		b = appendNamed(b, i, a.Name, a.ID)
	}
	b = append(b, `],"genres":[`...)
	for i, g := range k.Genres {
		b = appendNamed(b, i, g.Name, g.ID)
	}
	return append(b, `]}`...)
}

func appendNamed(b []byte, i int, name string, id int64) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	b = appendText(append(b, `{"name":`...), name)
	return append(strconv.AppendInt(append(b, `,"id":`...), id, 10), '}')
}

func appendMaybe(b []byte, s *string) []byte {
	if s == nil {
		return append(b, "null"...)
	}
	return appendText(b, *s)
}

// appendText appends a string in quotes. Plain ASCII is most of it; encoding/json knows the rest.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(s)
			if err != nil {
				panic(err) // a string has a JSON form, whatever its bytes
			}
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
