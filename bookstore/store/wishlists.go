package store

import (
	"context"
	"database/sql"
	"errors"

	"weir/bookstore"
)

// Wishlist implements bookstore.Wishlists.
func (s *Store) Wishlist(ctx context.Context, who bookstore.Caller) (list *bookstore.Wishlist, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		u, err := member(ctx, tx, who)
		if err != nil {
			return err
		}
		list = &bookstore.Wishlist{Books: []bookstore.Book{}}
		err = tx.QueryRowContext(ctx, "SELECT id FROM wishlists WHERE user_id = $1", u.ID).Scan(&list.ID)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		list.Books, err = selectBooks(ctx, tx, bookstore.Page{},
			"JOIN wishlisted_books w ON w.book_id = b.id WHERE w.wishlist_id = $3", list.ID)
		return err
	})
	return list, err
}

// AddWish implements bookstore.Wishlists. A user's first wish makes the list; two first wishes at once make one.
func (s *Store) AddWish(ctx context.Context, who bookstore.Caller, bookID int64) error {
	return s.writeAsMember(ctx, who, nil, func(tx *sql.Tx, u *bookstore.User) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO wishlists (user_id) VALUES ($1) ON CONFLICT DO NOTHING", u.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO wishlisted_books (wishlist_id, book_id)
			SELECT id, $2 FROM wishlists WHERE user_id = $1 ON CONFLICT DO NOTHING`, u.ID, bookID)
		return err // a book that there is not breaks the foreign key
	})
}

// RemoveWish implements bookstore.Wishlists.
func (s *Store) RemoveWish(ctx context.Context, who bookstore.Caller, bookID int64) error {
	return s.writeAsMember(ctx, who, nil, func(tx *sql.Tx, u *bookstore.User) error {
		if err := oneRow(ctx, tx, errNoBook, "SELECT FROM books WHERE id = $1", bookID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM wishlisted_books w USING wishlists l
			WHERE l.id = w.wishlist_id AND l.user_id = $1 AND w.book_id = $2`, u.ID, bookID)
		return err
	})
}
