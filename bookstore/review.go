package bookstore

import "context"

// Review is what a user says of a book.
type Review struct {
	Rating  int    `json:"rating"`
	Comment string `json:"comment"`
	ID      int64  `json:"id"`
	User    User   `json:"user"` // without the e-mail address: everybody may read reviews
	Edited  bool   `json:"edited"`
}

// NewReview is a review to be written.
type NewReview struct {
	Rating  int // 0 to 5
	Comment string
}

// ReviewChange changes the fields that are set.
type ReviewChange struct {
	Rating  *int
	Comment *string
}

// Reviews are what users say. Each change brings the book's average rating up to date in the same transaction.
type Reviews interface {
	// Reviews lists a book's reviews. NotFound if there is no such book.
	Reviews(ctx context.Context, bookID int64, page Page) ([]Review, error)
	// CreateReview is for users, once for each book. Invalid, NotFound, Conflict.
	CreateReview(ctx context.Context, who Caller, bookID int64, review NewReview) (*Review, error)
	// UpdateReview is for its author and administrators. Invalid, NotFound.
	UpdateReview(ctx context.Context, who Caller, id int64, change ReviewChange) (*Review, error)
	// DeleteReview is for its author and administrators. NotFound.
	DeleteReview(ctx context.Context, who Caller, id int64) error
}
