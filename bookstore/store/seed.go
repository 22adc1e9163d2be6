package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"weir/bookstore"
)

// Seed fills the shop with its books, authors and genres. Repeating it changes nothing that it wrote and removes
// nothing, and several processes may seed at once.
func (s *Store) Seed(ctx context.Context) error {
	err := s.locked(ctx, func(tx pgx.Tx) error {
		for _, b := range seedBooks {
			if err := seedBook(ctx, tx, b); err != nil {
				return fmt.Errorf("%q: %w", b.title, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	return nil
}

func seedBook(ctx context.Context, tx pgx.Tx, b seed) error {
	bookID, err := present(ctx, tx, "SELECT id FROM books WHERE lower(title) = lower($1)", `
		INSERT INTO books (title, description, language, price, publication_date, isbn)
		VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
		b.title, b.description, b.language, b.price.String(), b.published.Time, b.isbn)
	if err != nil {
		return err
	}
	for _, name := range b.authors {
		id, err := present(ctx, tx, "SELECT id FROM authors WHERE lower(name) = lower($1)",
			"INSERT INTO authors (name) VALUES ($1) RETURNING id", name)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO book_authors (author_id, book_id) VALUES ($1, $2)
			ON CONFLICT DO NOTHING`, id, bookID); err != nil {
			return err
		}
	}
	for _, name := range b.genres {
		id, err := present(ctx, tx, "SELECT id FROM genres WHERE lower(name) = lower($1)",
			"INSERT INTO genres (name) VALUES ($1) RETURNING id", name)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO book_genres (book_id, genre_id) VALUES ($1, $2)
			ON CONFLICT DO NOTHING`, bookID, id); err != nil {
			return err
		}
	}
	return nil
}

// present returns the id of a row, which it inserts if it is not there; name is the first argument of both. It looks
// first, because an insert that gives way to an old row uses up an id each time. Seeders hold the lock; a request that
// inserts the same name in between makes the insert fail, and the seed can be repeated.
func present(ctx context.Context, tx pgx.Tx, find, insert string, name any, rest ...any) (id int64, err error) {
	err = tx.QueryRow(ctx, find, name).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		err = tx.QueryRow(ctx, insert, append([]any{name}, rest...)...).Scan(&id)
	}
	return id, err
}

// seed is a book of the first stock.
type seed struct {
	title, description, language string
	price                        bookstore.Cents
	published                    bookstore.Date
	isbn                         *string // none of these had one when they came out; reprints did
	authors, genres              []string
}
