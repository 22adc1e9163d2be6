package api

import (
	"net/http"
	"strings"

	"weir/bookstore"
)

// auth is what a request may say of who asks.
type auth int

const (
	ignored auth = iota // it is all the same who asks
	welcome             // a token counts, none is a guest
	needed              // without a token nothing is done
)

var errNoToken = bookstore.Refuse(bookstore.Unauthenticated, "Not authenticated")

// caller reads the request's token. A bad one is refused also where none would do: whoever sends it takes himself for
// somebody.
func (a *API) caller(r *http.Request, auth auth) (bookstore.Caller, error) {
	header := r.Header.Get("Authorization")
	if auth == ignored || auth == welcome && header == "" {
		return bookstore.Caller{}, nil
	}
	scheme, value, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") || value == "" {
		return bookstore.Caller{}, errNoToken
	}
	return a.Keys.Read(strings.TrimSpace(value))
}

// tokenAnswer is the original's, in the order of its fields.
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
}

func bearer(token string, err error) (any, error) {
	return tokenAnswer{token, "bearer"}, err
}
