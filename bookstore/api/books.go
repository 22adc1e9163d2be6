package api

import (
	"mime"
	"net/http"
	"strings"

	"weir/bookstore"
)

// list answers with a part of a listing.
func list[T any](r *request, limit int64, of func(bookstore.Page) ([]T, error)) (any, error) {
	page, err := pageOf(r, limit)
	if err != nil {
		return nil, err
	}
	return of(page)
}

// one answers with what an id names.
func one[T any](r *request, of func(id int64) (T, error)) (any, error) {
	id, err := idOf(r)
	if err != nil {
		return nil, err
	}
	return of(id)
}

// do answers null when something has been done to what an id names.
func do(r *request, to func(id int64) error) (any, error) {
	return one(r, func(id int64) (any, error) { return nil, to(id) })
}

func (a *API) books(r *request) (any, error) {
	return list(r, defaultLimit, func(p bookstore.Page) ([]bookstore.Book, error) { return a.Shop.Books(r.Context(), p) })
}

// asyncBooks lists all books unless asked for fewer: the original ignored skip and limit here.
func (a *API) asyncBooks(r *request) (any, error) {
	return list(r, 0, func(p bookstore.Page) ([]bookstore.Book, error) { return a.Shop.Joined(r.Context(), p) })
}

func (a *API) book(r *request) (any, error) {
	return one(r, func(id int64) (*bookstore.Book, error) { return a.Shop.Book(r.Context(), id) })
}

func (a *API) createBook(r *request) (any, error) {
	f, err := formOf(r, bookBodyMax)
	if err != nil {
		return nil, err
	}
	in := f.inner("book")
	book := bookstore.NewBook{
		Title: need[string](in, "title"), Description: maybe[string](in, "description"), Language: maybe[string](in, "language"),
		Price: take[bookstore.Cents](in, "price"), PublicationDate: need[bookstore.Date](in, "publication_date"),
		ISBN: maybe[string](in, "isbn"), Image: take[[]byte](in, "image"), File: take[[]byte](in, "file"),
		Authors: take[[]string](f, "authors"),
	}
	for _, g := range f.list("genres") {
		book.Genres = append(book.Genres, need[string](g, "name"))
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return a.Shop.CreateBook(r.Context(), r.who, book)
}

func (a *API) updateBook(r *request) (any, error) {
	f, err := formOf(r, bookBodyMax)
	if err != nil {
		return nil, err
	}
	c := bookstore.BookChange{
		Title: set[string](f, "title"), Description: change[string](f, "description"), Language: change[string](f, "language"),
		Price: set[bookstore.Cents](f, "price"), PublicationDate: set[bookstore.Date](f, "publication_date"),
		ISBN: change[string](f, "isbn"), Image: take[[]byte](f, "image"), File: take[[]byte](f, "file"),
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return one(r, func(id int64) (*bookstore.Book, error) { return a.Shop.UpdateBook(r.Context(), r.who, id, c) })
}

func (a *API) deleteBook(r *request) (any, error) {
	return do(r, func(id int64) error { return a.Shop.DeleteBook(r.Context(), r.who, id) })
}

// image answers with a cover. A reader may keep it for a while and then ask whether it is still the same.
func (a *API) image(r *request) (any, error) {
	known := strings.Trim(strings.TrimPrefix(r.Header.Get("If-None-Match"), "W/"), `"`)
	return one(r, func(id int64) (any, error) {
		cover, err := a.Shop.Cover(r.Context(), id, known)
		if err != nil {
			return nil, err
		}
		answer := reply{
			status: http.StatusOK, contentType: "image/png", body: cover.PNG,
			header: map[string]string{"ETag": `"` + cover.Tag + `"`, "Cache-Control": "public, max-age=300"},
		}
		if cover.PNG == nil {
			answer.status = http.StatusNotModified
		}
		return answer, nil
	})
}

func (a *API) download(r *request) (any, error) {
	return one(r, func(id int64) (any, error) {
		text, err := a.Shop.Text(r.Context(), r.who, id)
		if err != nil {
			return nil, err
		}
		name := strings.ReplaceAll(text.Title, "/", "-") + ".pdf"
		return reply{
			status: http.StatusOK, contentType: "application/octet-stream", body: text.PDF,
			header: map[string]string{
				"Content-Disposition": mime.FormatMediaType("attachment", map[string]string{"filename": name}),
				"Cache-Control":       "private, no-store",
			},
		}, nil
	})
}
