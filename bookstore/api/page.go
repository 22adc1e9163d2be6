package api

import (
	"fmt"
	"math"
	"net/http"
	"strconv"

	"weir/bookstore"
)

// Bounds of a listing's parameters.
const (
	defaultLimit = 100 // the original's
	limitMax     = 200
	skipMax      = math.MaxInt32
)

// pageOf reads skip and limit. limit is the default one where the request names none.
func pageOf(r *http.Request, limit int64) (bookstore.Page, error) {
	page := bookstore.Page{Limit: limit}
	var wrong []bookstore.Field
	query := r.URL.Query()
	for _, p := range []struct {
		name     string
		value    *int64
		min, max int64
	}{
		{"skip", &page.Skip, 0, skipMax},
		{"limit", &page.Limit, 1, limitMax},
	} {
		if !query.Has(p.name) {
			continue
		}
		n, err := strconv.ParseInt(query.Get(p.name), 10, 64)
		if err != nil || n < p.min || n > p.max {
			wrong = append(wrong, bookstore.Field{
				Loc:  []any{"query", p.name},
				Msg:  fmt.Sprintf("must be a whole number from %d to %d", p.min, p.max),
				Type: "value_error",
			})
			continue
		}
		*p.value = n
	}
	if wrong != nil {
		return bookstore.Page{}, &bookstore.Error{Code: bookstore.Invalid, Detail: "invalid parameters", Fields: wrong}
	}
	return page, nil
}
