package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"weir/bookstore"
)

// Who may not read.
var (
	errNotForGuests = bookstore.Refuse(bookstore.Forbidden, "Unauthorized")
	errNotOwned     = bookstore.Refuse(bookstore.Forbidden, "You do not own this book")
	errNotBought    = bookstore.Refuse(bookstore.Forbidden, "You have not bought this book")
)

// Cover implements bookstore.Books, in a transaction of one SELECT. Of a cover that the caller has, the server does not
// even read the picture.
func (s *Store) Cover(ctx context.Context, id int64, known string) (cover *bookstore.Cover, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		cover = new(bookstore.Cover)
		err := tx.QueryRowContext(ctx,
			"SELECT image_tag, CASE WHEN image_tag = $2 THEN NULL ELSE image END FROM book_files WHERE book_id = $1", id, plain(known)).
			Scan(&cover.Tag, &cover.PNG)
		if errors.Is(err, sql.ErrNoRows) {
			return errNoBook
		}
		return err
	})
	return cover, err
}

// Text implements bookstore.Books.
func (s *Store) Text(ctx context.Context, who bookstore.Caller, id int64) (text *bookstore.Text, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		text = new(bookstore.Text)
		var price bookstore.Cents
		err := tx.QueryRowContext(ctx, "SELECT title, price FROM books WHERE id = $1", id).Scan(&text.Title, &price)
		if errors.Is(err, sql.ErrNoRows) {
			return errNoBook
		}
		if err != nil {
			return err
		}
		if price > 0 {
			if err := mayRead(ctx, tx, who, id); err != nil {
				return err
			}
		}
		return tx.QueryRowContext(ctx, "SELECT file FROM book_files WHERE book_id = $1", id).Scan(&text.PDF)
	})
	return text, err
}

// mayRead says why the caller may not read a book that costs something, or nil.
func mayRead(ctx context.Context, tx *sql.Tx, who bookstore.Caller, id int64) error {
	switch {
	case slices.Contains(who.Bought, id):
		return nil
	case who.Bought != nil:
		return errNotBought
	case who.Guest():
		return errNotForGuests
	}
	u, err := member(ctx, tx, who)
	if err != nil || u.IsAdmin {
		return err
	}
	var owned bool
	err = tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM book_ownership WHERE user_id = $1 AND book_id = $2)", u.ID, id).
		Scan(&owned)
	if err == nil && !owned {
		return errNotOwned
	}
	return err
}
