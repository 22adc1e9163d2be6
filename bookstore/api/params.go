package api

import (
	"errors"
	"fmt"
	"math"
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
func pageOf(r *request, limit int64) (bookstore.Page, error) {
	page := bookstore.Page{Limit: limit}
	if r.URL.RawQuery == "" {
		return page, nil
	}
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

// nobodysID is what a number that no id can have stands for.
const nobodysID = -1

// idOf reads the id in the path. One that is too large for an id is an id of nothing.
func idOf(r *request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return nobodysID, nil
	case err != nil:
		return 0, &bookstore.Error{Code: bookstore.Invalid, Detail: "invalid path", Fields: []bookstore.Field{{
			Loc: []any{"path", "id"}, Msg: "must be a whole number", Type: "type_error",
		}}}
	}
	return id, nil
}
