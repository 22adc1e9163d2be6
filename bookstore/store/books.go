package store

import (
	"context"
	"database/sql"

	"weir/bookstore"
)

const bookColumns = "id, title, description, language, price, publication_date, isbn, avg_rating"

// Books lists books as the original's lazily loading mapper did: one SELECT for the books and then two for each of
// them, all in one transaction over the simple protocol, that ends in ROLLBACK. For 20 books that is 43 round trips on
// one backend. It is the shape on purpose: this is the chatty client, the worst case for any proxy. Joined is the same
// answer in one SELECT.
func (s *Store) Books(ctx context.Context, page bookstore.Page) ([]bookstore.Book, error) {
	tx, err := s.sync.BeginTx(ctx, nil)
	if err != nil {
		return nil, classify(err)
	}
	defer func() { _ = tx.Rollback() }() // it only read

	books, err := queryBooks(ctx, tx, page)
	if err != nil {
		return nil, classify(err)
	}
	for i := range books {
		b := &books[i]
		b.Authors, err = queryNamed[bookstore.Author](ctx, tx,
			"SELECT a.name, a.id FROM authors a JOIN book_authors ba ON ba.author_id = a.id WHERE ba.book_id = $1 ORDER BY a.id", b.ID)
		if err != nil {
			return nil, classify(err)
		}
		b.Genres, err = queryNamed[bookstore.Genre](ctx, tx,
			"SELECT g.name, g.id FROM genres g JOIN book_genres bg ON bg.genre_id = g.id WHERE bg.book_id = $1 ORDER BY g.id", b.ID)
		if err != nil {
			return nil, classify(err)
		}
	}
	return books, nil
}

func queryBooks(ctx context.Context, tx *sql.Tx, page bookstore.Page) ([]bookstore.Book, error) {
	rows, err := tx.QueryContext(ctx, "SELECT "+bookColumns+" FROM books ORDER BY id LIMIT $1 OFFSET $2",
		limitOrAll(page), page.Skip)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	books := []bookstore.Book{}
	for rows.Next() {
		var b bookstore.Book
		err := rows.Scan(&b.ID, &b.Title, &b.Description, &b.Language, &b.Price, &b.PublicationDate, &b.ISBN, &b.AvgRating)
		if err != nil {
			return nil, err
		}
		books = append(books, b)
	}
	return books, rows.Err()
}

// limitOrAll is the argument of LIMIT: null means no limit.
func limitOrAll(page bookstore.Page) *int64 {
	if page.Limit == 0 {
		return nil
	}
	return &page.Limit
}

// named is what has a name and an id and nothing more.
type named interface {
	bookstore.Author | bookstore.Genre
}

// queryNamed reads rows of (name, id). The result is never nil: JSON shows an empty list, not null.
func queryNamed[T named](ctx context.Context, tx *sql.Tx, query string, args ...any) ([]T, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []T{}
	for rows.Next() {
		var row struct {
			Name string
			ID   int64
		}
		if err := rows.Scan(&row.Name, &row.ID); err != nil {
			return nil, err
		}
		list = append(list, T(row))
	}
	return list, rows.Err()
}
