package store

import (
	"context"
	"database/sql"
	"errors"

	"weir/bookstore"
)

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

// queryOneNamed reads the row of one id, or returns missing.
func queryOneNamed[T named](ctx context.Context, tx *sql.Tx, missing error, query string, id int64) (*T, error) {
	list, err := queryNamed[T](ctx, tx, query, id)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, missing
	}
	return &list[0], nil
}

// oneRow runs a statement on the row of an id, or returns missing.
func oneRow(ctx context.Context, tx *sql.Tx, missing error, statement string, id int64) error {
	result, err := tx.ExecContext(ctx, statement, id)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, missing)
	}
	return nil
}

// Authors implements bookstore.Authors, in a transaction of one SELECT, as do the three below it in one or two.
func (s *Store) Authors(ctx context.Context, page bookstore.Page) (list []bookstore.Author, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		list, err = queryNamed[bookstore.Author](ctx, tx, "SELECT name, id FROM authors ORDER BY id LIMIT $1 OFFSET $2",
			limitOrAll(page), page.Skip)
		return err
	})
	return list, err
}

const oneAuthor = "SELECT name, id FROM authors WHERE id = $1"

// Author implements bookstore.Authors.
func (s *Store) Author(ctx context.Context, id int64) (author *bookstore.Author, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		author, err = queryOneNamed[bookstore.Author](ctx, tx, errNoAuthor, oneAuthor, id)
		return err
	})
	return author, err
}

// AuthorBooks implements bookstore.Authors.
func (s *Store) AuthorBooks(ctx context.Context, id int64, page bookstore.Page) (books []bookstore.Book, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		if _, err := queryOneNamed[bookstore.Author](ctx, tx, errNoAuthor, oneAuthor, id); err != nil {
			return err
		}
		books, err = selectBooks(ctx, tx, page, "JOIN book_authors x ON x.book_id = b.id WHERE x.author_id = $3", id)
		return err
	})
	return books, err
}

// CreateAuthor implements bookstore.Authors.
func (s *Store) CreateAuthor(ctx context.Context, who bookstore.Caller, name string) (author *bookstore.Author, err error) {
	name, invalid := bookstore.CheckName(name)
	err = s.writeAsAdmin(ctx, who, invalid, func(tx *sql.Tx) error {
		author = &bookstore.Author{Name: name}
		return tx.QueryRowContext(ctx, "INSERT INTO authors (name) VALUES ($1) RETURNING id", name).Scan(&author.ID)
	})
	return author, err
}

// DeleteAuthor implements bookstore.Authors.
func (s *Store) DeleteAuthor(ctx context.Context, who bookstore.Caller, id int64) error {
	return s.writeAsAdmin(ctx, who, nil, func(tx *sql.Tx) error {
		return oneRow(ctx, tx, errNoAuthor, "DELETE FROM authors WHERE id = $1", id)
	})
}

// Genres implements bookstore.Genres.
func (s *Store) Genres(ctx context.Context, page bookstore.Page) (list []bookstore.Genre, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		list, err = queryNamed[bookstore.Genre](ctx, tx, "SELECT name, id FROM genres ORDER BY id LIMIT $1 OFFSET $2",
			limitOrAll(page), page.Skip)
		return err
	})
	return list, err
}

const oneGenre = "SELECT name, id FROM genres WHERE id = $1"

// Genre implements bookstore.Genres.
func (s *Store) Genre(ctx context.Context, id int64) (genre *bookstore.Genre, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		genre, err = queryOneNamed[bookstore.Genre](ctx, tx, errNoGenre, oneGenre, id)
		return err
	})
	return genre, err
}

// GenreBooks implements bookstore.Genres.
func (s *Store) GenreBooks(ctx context.Context, id int64, page bookstore.Page) (books []bookstore.Book, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		if _, err := queryOneNamed[bookstore.Genre](ctx, tx, errNoGenre, oneGenre, id); err != nil {
			return err
		}
		books, err = selectBooks(ctx, tx, page, "JOIN book_genres x ON x.book_id = b.id WHERE x.genre_id = $3", id)
		return err
	})
	return books, err
}

// DeleteGenre implements bookstore.Genres.
func (s *Store) DeleteGenre(ctx context.Context, who bookstore.Caller, id int64) error {
	return s.writeAsAdmin(ctx, who, nil, func(tx *sql.Tx) error {
		return oneRow(ctx, tx, errNoGenre, "DELETE FROM genres WHERE id = $1", id)
	})
}
