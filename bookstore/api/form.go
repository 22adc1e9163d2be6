package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"weir/bookstore"
)

// Bounds of a request's body. Books come with cover and text, in base64.
const (
	bodyMax     = 64 << 10
	bookBodyMax = 26 << 20 // both blobs at their largest, a third more for base64, and the rest
)

// form is a JSON object of a request, taken apart field by field, so that everything that is wrong is told at once, by
// its place. What it does not ask for is ignored, as the original did.
type form struct {
	at     []any // where it stands in the body
	fields map[string]json.RawMessage
	wrong  *[]bookstore.Field // of all forms of one body
}

// formOf reads the body as a JSON object.
func formOf(r *request, most int64) (form, error) {
	f := form{wrong: new([]bookstore.Field)}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, most))
	if err != nil {
		return f, readError(err)
	}
	if err := json.Unmarshal(body, &f.fields); err != nil || f.fields == nil {
		f.add("must be a JSON object")
		return f, f.err()
	}
	return f, nil
}

// readError is what is wrong with a body that cannot be read: too long, or its sender has gone.
func readError(err error) error {
	var tooMuch *http.MaxBytesError
	if errors.As(err, &tooMuch) {
		return err
	}
	return &bookstore.Error{
		Code: bookstore.Invalid, Detail: "unreadable body", Err: err,
		Fields: []bookstore.Field{{Loc: []any{"body"}, Msg: "cannot be read", Type: "value_error"}},
	}
}

func (f form) add(msg string, loc ...any) { f.addType("value_error", msg, loc...) }

func (f form) addType(kind, msg string, loc ...any) {
	at := append(append([]any{"body"}, f.at...), loc...)
	*f.wrong = append(*f.wrong, bookstore.Field{Loc: at, Msg: msg, Type: kind})
}

// err is Invalid if anything was wrong.
func (f form) err() error {
	if *f.wrong == nil {
		return nil
	}
	return &bookstore.Error{Code: bookstore.Invalid, Detail: "invalid body", Fields: *f.wrong}
}

// given says whether a field is there, and not null.
func (f form) given(name string) bool {
	raw, ok := f.fields[name]
	return ok && !bytes.Equal(raw, []byte("null"))
}

// take reads a field; one that is not there is the zero value.
func take[T any](f form, name string) (value T) {
	if !f.given(name) {
		return value
	}
	if err := json.Unmarshal(f.fields[name], &value); err != nil {
		f.addType("type_error", "must be "+kindOf(value), name)
	}
	return value
}

// need is take of what must be there.
func need[T any](f form, name string) (value T) {
	if !f.given(name) {
		f.addType("value_error.missing", "field required", name)
	}
	return take[T](f, name)
}

// maybe is take that tells what is not there by nil.
func maybe[T any](f form, name string) *T {
	if !f.given(name) {
		return nil
	}
	value := take[T](f, name)
	return &value
}

// change is take of what can also be taken away, by null.
func change[T any](f form, name string) bookstore.Optional[T] {
	_, set := f.fields[name]
	return bookstore.Optional[T]{Set: set, Value: maybe[T](f, name)}
}

// set is maybe of what may be changed but not taken away.
func set[T any](f form, name string) *T {
	if _, ok := f.fields[name]; ok && !f.given(name) {
		f.addType("type_error", "must not be null", name)
	}
	return maybe[T](f, name)
}

// inner is an object within.
func (f form) inner(name string) form {
	in := form{at: append(append([]any{}, f.at...), name), wrong: f.wrong}
	in.fields = need[map[string]json.RawMessage](f, name)
	return in
}

// list are objects within a list.
func (f form) list(name string) []form {
	items := take[[]json.RawMessage](f, name)
	forms := make([]form, len(items))
	for i, item := range items {
		forms[i] = form{at: append(append([]any{}, f.at...), name, i), wrong: f.wrong}
		if json.Unmarshal(item, &forms[i].fields) != nil || forms[i].fields == nil {
			forms[i].addType("type_error", "must be an object")
			forms[i].fields = map[string]json.RawMessage{}
		}
	}
	return forms
}

// kindOf says in words what a value of this type looks like in JSON.
func kindOf(value any) string {
	switch value.(type) {
	case string:
		return "text"
	case int, int64:
		return "a whole number"
	case bookstore.Cents:
		return "an amount with at most two decimals"
	case bookstore.Date:
		return "a day as YYYY-MM-DD"
	case []byte:
		return "text in base64"
	case []int64:
		return "a list of whole numbers"
	case []string:
		return "a list of texts"
	case []json.RawMessage:
		return "a list"
	case map[string]json.RawMessage:
		return "an object"
	}
	panic(fmt.Sprintf("no words for %T", value)) // a handler asks for something new
}
