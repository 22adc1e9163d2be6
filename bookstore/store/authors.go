package store

import (
	"context"

	"weir/bookstore"
)

// Authors lists authors in a transaction of one SELECT.
func (s *Store) Authors(ctx context.Context, page bookstore.Page) ([]bookstore.Author, error) {
	tx, err := s.sync.BeginTx(ctx, nil)
	if err != nil {
		return nil, classify(err)
	}
	defer func() { _ = tx.Rollback() }() // it only read
	authors, err := queryNamed[bookstore.Author](ctx, tx, "SELECT name, id FROM authors ORDER BY id LIMIT $1 OFFSET $2",
		limitOrAll(page), page.Skip)
	return authors, classify(err)
}
