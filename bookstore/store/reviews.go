package store

import (
	"context"
	"database/sql"
	"errors"

	"weir/bookstore"
)

var errNotAuthor = bookstore.Refuse(bookstore.Forbidden, "This is not your review")

const reviewColumns = "r.rating, r.comment, r.id, r.edited, " + userColumns

func queryReviews(ctx context.Context, tx *sql.Tx, clause string, args ...any) ([]bookstore.Review, error) {
	//nolint:gosec // every part of the text is a constant of this package; what callers say are arguments
	rows, err := tx.QueryContext(ctx, "SELECT "+reviewColumns+" FROM reviews r JOIN users u ON u.id = r.user_id "+clause, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	reviews := []bookstore.Review{}
	for rows.Next() {
		var r bookstore.Review
		fields := append([]any{&r.Rating, &r.Comment, &r.ID, &r.Edited}, userFields(&r.User)...)
		if err := rows.Scan(fields...); err != nil {
			return nil, err
		}
		r.User.Email = nil // everybody may read reviews
		reviews = append(reviews, r)
	}
	return reviews, rows.Err()
}

// Reviews implements bookstore.Reviews.
func (s *Store) Reviews(ctx context.Context, bookID int64, page bookstore.Page) (reviews []bookstore.Review, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		var exists bool
		if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM books WHERE id = $1)", bookID).Scan(&exists); err != nil {
			return err
		}
		if !exists {
			return errNoBook
		}
		reviews, err = queryReviews(ctx, tx, "WHERE r.book_id = $1 ORDER BY r.id LIMIT $2 OFFSET $3",
			bookID, limitOrAll(page), page.Skip)
		return err
	})
	return reviews, err
}

// CreateReview implements bookstore.Reviews. The book is locked before the review is written: two who review it at
// once would each compute an average without the other's rating.
func (s *Store) CreateReview(
	ctx context.Context, who bookstore.Caller, bookID int64, n bookstore.NewReview,
) (review *bookstore.Review, err error) {
	invalid := n.Check()
	err = s.writeAsMember(ctx, who, invalid, func(tx *sql.Tx, u *bookstore.User) error {
		if err := lockBook(ctx, tx, bookID); err != nil {
			return err
		}
		review = &bookstore.Review{Rating: n.Rating, Comment: n.Comment, User: *u}
		review.User.Email = nil // as everybody sees it
		err := tx.QueryRowContext(ctx, "INSERT INTO reviews (rating, comment, user_id, book_id) VALUES ($1, $2, $3, $4) RETURNING id",
			n.Rating, n.Comment, u.ID, bookID).Scan(&review.ID)
		if err != nil {
			return err
		}
		return rate(ctx, tx, bookID)
	})
	return review, err
}

// rate brings a book's average up to date. The book must be locked.
func rate(ctx context.Context, tx *sql.Tx, bookID int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE books
		SET avg_rating = (SELECT avg(rating)::double precision FROM reviews WHERE book_id = $1) WHERE id = $1`, bookID)
	return err
}

// UpdateReview implements bookstore.Reviews.
func (s *Store) UpdateReview(
	ctx context.Context, who bookstore.Caller, id int64, change bookstore.ReviewChange,
) (review *bookstore.Review, err error) {
	invalid := change.Check()
	err = s.writeReview(ctx, who, id, invalid, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE reviews SET edited = true,
			rating = coalesce($2::smallint, rating), comment = coalesce($3::text, comment) WHERE id = $1`,
			id, change.Rating, change.Comment)
		if err != nil {
			return err
		}
		reviews, err := queryReviews(ctx, tx, "WHERE r.id = $1", id)
		if err != nil {
			return err
		}
		if len(reviews) == 0 {
			return errNoReview // deleted while we waited for the book
		}
		review = &reviews[0]
		return nil
	})
	return review, err
}

// DeleteReview implements bookstore.Reviews.
func (s *Store) DeleteReview(ctx context.Context, who bookstore.Caller, id int64) error {
	return s.writeReview(ctx, who, id, nil, func(tx *sql.Tx) error {
		return oneRow(ctx, tx, errNoReview, "DELETE FROM reviews WHERE id = $1", id)
	})
}

// writeReview changes a review for its author or an administrator, its book locked, and brings the book's average up to
// date.
func (s *Store) writeReview(ctx context.Context, who bookstore.Caller, id int64, invalid error, do func(*sql.Tx) error) error {
	return s.writeAsMember(ctx, who, nil, func(tx *sql.Tx, u *bookstore.User) error {
		var authorID, bookID int64
		err := tx.QueryRowContext(ctx, "SELECT user_id, book_id FROM reviews WHERE id = $1", id).Scan(&authorID, &bookID)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return errNoReview
		case err != nil:
			return err
		case authorID != u.ID && !u.IsAdmin:
			return errNotAuthor
		case invalid != nil:
			return invalid
		}
		if err := lockBook(ctx, tx, bookID); err != nil {
			return err
		}
		if err := do(tx); err != nil {
			return err
		}
		return rate(ctx, tx, bookID)
	})
}
