package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"weir/bookstore"
	"weir/bookstore/stock"
)

// CreateBook implements bookstore.Books.
func (s *Store) CreateBook(ctx context.Context, who bookstore.Caller, b bookstore.NewBook) (book *bookstore.Book, err error) {
	invalid := b.Check()
	if invalid == nil {
		if err := draw(&b); err != nil { // before a connection is taken
			return nil, err
		}
	}
	err = s.writeAsAdmin(ctx, who, invalid, func(tx *sql.Tx) error {
		id, err := insertBook(ctx, tx, &b)
		if err != nil {
			return err
		}
		book, err = selectBook(ctx, tx, id)
		return err
	})
	return book, err
}

// draw makes what a new book lacks.
func draw(b *bookstore.NewBook) (err error) {
	if b.Image == nil {
		if b.Image, err = stock.Cover(b.Title, strings.Join(b.Authors, ", ")); err != nil {
			return fmt.Errorf("draw the cover of %q: %w", b.Title, err)
		}
	}
	if b.File == nil {
		description := ""
		if b.Description != nil {
			description = *b.Description
		}
		b.File = stock.PDF(b.Title, strings.Join(b.Authors, ", "), description)
	}
	return nil
}

// insertBook writes a book with all that belongs to it.
func insertBook(ctx context.Context, tx *sql.Tx, b *bookstore.NewBook) (id int64, err error) {
	err = tx.QueryRowContext(ctx, `INSERT INTO books (title, description, language, price, publication_date, isbn)
		VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
		b.Title, b.Description, b.Language, b.Price, b.PublicationDate, b.ISBN).Scan(&id)
	if err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO book_files (book_id, image, file) VALUES ($1, $2, $3)", id, b.Image, b.File); err != nil {
		return 0, err
	}
	// Names are made in one order by all, so that two who make the same ones wait for each other once, and do not lock
	// each other out. A conflict uses up an id; so it is for those who make one at once, not for names that are there.
	for _, link := range []struct {
		names        []string
		make, attach string
	}{
		{
			b.Authors,
			`INSERT INTO authors (name) SELECT n FROM unnest($1::text[]) n
			WHERE NOT EXISTS (SELECT FROM authors WHERE lower(name) = lower(n)) ORDER BY lower(n) ON CONFLICT (lower(name)) DO NOTHING`,
			`INSERT INTO book_authors (book_id, author_id)
			SELECT $1::bigint, id FROM authors WHERE lower(name) IN (SELECT lower(n) FROM unnest($2::text[]) n)`,
		},
		{
			b.Genres,
			`INSERT INTO genres (name) SELECT n FROM unnest($1::text[]) n
			WHERE NOT EXISTS (SELECT FROM genres WHERE lower(name) = lower(n)) ORDER BY lower(n) ON CONFLICT (lower(name)) DO NOTHING`,
			`INSERT INTO book_genres (book_id, genre_id)
			SELECT $1::bigint, id FROM genres WHERE lower(name) IN (SELECT lower(n) FROM unnest($2::text[]) n)`,
		},
	} {
		if len(link.names) == 0 {
			continue
		}
		if _, err := tx.ExecContext(ctx, link.make, link.names); err != nil {
			return 0, err
		}
		if _, err := tx.ExecContext(ctx, link.attach, id, link.names); err != nil {
			return 0, err
		}
	}
	return id, nil
}

// UpdateBook implements bookstore.Books.
func (s *Store) UpdateBook(
	ctx context.Context, who bookstore.Caller, id int64, change bookstore.BookChange,
) (book *bookstore.Book, err error) {
	invalid := change.Check()
	err = s.writeAsAdmin(ctx, who, invalid, func(tx *sql.Tx) error {
		if err := lockBook(ctx, tx, id); err != nil {
			return err
		}
		if err := update(ctx, tx, "books", "id", id, bookColumnsOf(change)); err != nil {
			return err
		}
		if err := update(ctx, tx, "book_files", "book_id", id, fileColumnsOf(change)); err != nil {
			return err
		}
		book, err = selectBook(ctx, tx, id)
		return err
	})
	return book, err
}

// lockBook keeps others from changing a book until the transaction ends, or says that there is none. Readers, and
// writers of rows that refer to it, do not wait.
func lockBook(ctx context.Context, tx *sql.Tx, id int64) error {
	return oneRow(ctx, tx, errNoBook, "SELECT FROM books WHERE id = $1 FOR NO KEY UPDATE", id)
}

// column is one column's new value.
type column struct {
	name  string
	value any
}

func bookColumnsOf(c bookstore.BookChange) (columns []column) {
	if c.Title != nil {
		columns = append(columns, column{"title", *c.Title})
	}
	for _, maybe := range []struct {
		name   string
		change bookstore.Optional[string]
	}{{"description", c.Description}, {"language", c.Language}, {"isbn", c.ISBN}} {
		if maybe.change.Set {
			columns = append(columns, column{maybe.name, maybe.change.Value})
		}
	}
	if c.Price != nil {
		columns = append(columns, column{"price", *c.Price})
	}
	if c.PublicationDate != nil {
		columns = append(columns, column{"publication_date", *c.PublicationDate})
	}
	return columns
}

func fileColumnsOf(c bookstore.BookChange) (columns []column) {
	if c.Image != nil {
		columns = append(columns, column{"image", c.Image})
	}
	if c.File != nil {
		columns = append(columns, column{"file", c.File})
	}
	return columns
}

// update sets columns of the row with this key. All names are ours, never a caller's.
func update(ctx context.Context, tx *sql.Tx, table, key string, id int64, columns []column) error {
	if len(columns) == 0 {
		return nil
	}
	sets, args := make([]string, len(columns)), []any{id}
	for i, c := range columns {
		sets[i] = fmt.Sprintf("%s = $%d", c.name, i+2)
		args = append(args, c.value)
	}
	//nolint:gosec // every part of the text is a constant of this package; what callers say are arguments
	_, err := tx.ExecContext(ctx, "UPDATE "+table+" SET "+strings.Join(sets, ", ")+" WHERE "+key+" = $1", args...)
	return err
}

// DeleteBook implements bookstore.Books.
func (s *Store) DeleteBook(ctx context.Context, who bookstore.Caller, id int64) error {
	return s.writeAsAdmin(ctx, who, nil, func(tx *sql.Tx) error {
		return oneRow(ctx, tx, errNoBook, "DELETE FROM books WHERE id = $1", id)
	})
}
