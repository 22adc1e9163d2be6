package storefront

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"mime"
	"net/http"

	"weir/bookstore"
)

// Against forms that another site makes a visitor's browser send there are three things: cookies that do not travel with
// them (SameSite), net/http's look at where a request comes from, and a token that is in a cookie and in each form, for
// browsers that know neither.

// formMax bounds a form: a review is at most 5,000 characters, each of which takes up to 12 bytes in a form.
const formMax = 128 << 10

// tokenField is the form's field for the token.
const tokenField = "token"

var (
	errForged = bookstore.Refuse(bookstore.Forbidden,
		"This form is too old, or not from here. Go back, reload the page, and send it again.")
	errTooLong = &bookstore.Error{Code: bookstore.Invalid, Detail: "That is more than fits into this form."}
)

// readForm reads what the visitor sent, if anything, and refuses what did not come from a form of ours.
func (v *visit) readForm() error {
	if v.r.Method != http.MethodPost {
		return nil
	}
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, formMax)
	kind, _, err := mime.ParseMediaType(v.r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return errForged
	}
	if err := v.r.ParseForm(); err != nil {
		var tooLong *http.MaxBytesError
		if errors.As(err, &tooLong) {
			return errTooLong
		}
		return errForged
	}
	known := v.cookie(tokenCookie)
	if known == "" || subtle.ConstantTimeCompare([]byte(known), []byte(v.r.PostForm.Get(tokenField))) != 1 {
		return errForged
	}
	return nil
}

// token is this visitor's, made when the first form is shown to him.
func (v *visit) token() string {
	if t := v.cookie(tokenCookie); t != "" {
		return t
	}
	t := rand.Text()
	v.setCookie(tokenCookie, t, sessionLife)
	return t
}
