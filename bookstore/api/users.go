package api

import (
	"mime"
	"net/http"

	"weir/bookstore"
)

// register makes a user, who is logged in at once.
func (a *API) register(r *request) (any, error) {
	f, err := formOf(r, bodyMax)
	if err != nil {
		return nil, err
	}
	n := bookstore.NewUser{
		Username: need[string](f, "username"), Password: need[string](f, "password"), Email: maybe[string](f, "email"),
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	user, err := a.Shop.Register(r.Context(), n)
	if err != nil {
		return nil, err
	}
	return bearer(a.Keys.User(user))
}

// login takes a form, as browsers send it: that is what the original's OAuth2 password flow asks for.
func (a *API) login(r *request) (any, error) {
	r.Body = http.MaxBytesReader(nil, r.Body, bodyMax)
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // a bad one is not the kind of a form
	parse := r.ParseForm
	if kind == "multipart/form-data" {
		parse = func() error { return r.ParseMultipartForm(bodyMax) }
	}
	if err := parse(); err != nil {
		return nil, readError(err)
	}
	f := form{wrong: new([]bookstore.Field)}
	for _, name := range []string{"username", "password"} {
		if !r.PostForm.Has(name) {
			f.addType("value_error.missing", "field required", name)
		}
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	user, err := a.Shop.Login(r.Context(), r.PostForm.Get("username"), r.PostForm.Get("password"))
	if err != nil {
		return nil, err
	}
	return bearer(a.Keys.User(user))
}

func (a *API) users(r *request) (any, error) {
	return list(r, defaultLimit, func(p bookstore.Page) ([]bookstore.User, error) { return a.Shop.Users(r.Context(), r.who, p) })
}

func (a *API) user(r *request) (any, error) {
	return a.Shop.User(r.Context(), r.who, r.PathValue("username"))
}

func (a *API) profile(r *request) (any, error) { return a.Shop.Profile(r.Context(), r.who) }

func (a *API) library(r *request) (any, error) { return a.Shop.Library(r.Context(), r.who) }

func (a *API) wishlist(r *request) (any, error) { return a.Shop.Wishlist(r.Context(), r.who) }

func (a *API) addWish(r *request) (any, error) {
	return do(r, func(id int64) error { return a.Shop.AddWish(r.Context(), r.who, id) })
}

func (a *API) removeWish(r *request) (any, error) {
	return do(r, func(id int64) error { return a.Shop.RemoveWish(r.Context(), r.who, id) })
}
