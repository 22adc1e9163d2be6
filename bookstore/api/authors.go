package api

import "weir/bookstore"

func (a *API) authors(r *request) (any, error) {
	return list(r, defaultLimit, func(p bookstore.Page) ([]bookstore.Author, error) { return a.Shop.Authors(r.Context(), p) })
}

func (a *API) author(r *request) (any, error) {
	return one(r, func(id int64) (*bookstore.Author, error) { return a.Shop.Author(r.Context(), id) })
}

func (a *API) authorBooks(r *request) (any, error) {
	return one(r, func(id int64) (any, error) {
		return list(r, defaultLimit, func(p bookstore.Page) ([]bookstore.Book, error) { return a.Shop.AuthorBooks(r.Context(), id, p) })
	})
}

func (a *API) createAuthor(r *request) (any, error) {
	f, err := formOf(r, bodyMax)
	if err != nil {
		return nil, err
	}
	name := need[string](f, "name")
	if err := f.err(); err != nil {
		return nil, err
	}
	return a.Shop.CreateAuthor(r.Context(), r.who, name)
}

func (a *API) deleteAuthor(r *request) (any, error) {
	return do(r, func(id int64) error { return a.Shop.DeleteAuthor(r.Context(), r.who, id) })
}

func (a *API) genres(r *request) (any, error) {
	return list(r, defaultLimit, func(p bookstore.Page) ([]bookstore.Genre, error) { return a.Shop.Genres(r.Context(), p) })
}

func (a *API) genre(r *request) (any, error) {
	return one(r, func(id int64) (*bookstore.Genre, error) { return a.Shop.Genre(r.Context(), id) })
}

func (a *API) genreBooks(r *request) (any, error) {
	return one(r, func(id int64) (any, error) {
		return list(r, defaultLimit, func(p bookstore.Page) ([]bookstore.Book, error) { return a.Shop.GenreBooks(r.Context(), id, p) })
	})
}

func (a *API) deleteGenre(r *request) (any, error) {
	return do(r, func(id int64) error { return a.Shop.DeleteGenre(r.Context(), r.who, id) })
}
