package store

import (
	"context"
	"database/sql"
	"strings"

	"weir/bookstore"
)

// Search implements bookstore.Books.
func (s *Store) Search(ctx context.Context, words string, page bookstore.Page) (books []bookstore.Book, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		books, err = selectBooks(ctx, tx, page, `WHERE b.title ILIKE $3 OR EXISTS (
			SELECT FROM book_authors x JOIN authors n ON n.id = x.author_id WHERE x.book_id = b.id AND n.name ILIKE $3)`, containing(words))
		return err
	})
	return books, err
}

// containing is a pattern of LIKE for a text that has these words somewhere.
func containing(words string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(words) + "%"
}
