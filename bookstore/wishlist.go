package bookstore

import "context"

// Wishlist is what a user would like to have.
type Wishlist struct {
	ID    int64  `json:"id"` // 0 until something was wished for
	Books []Book `json:"books"`
}

// Wishlists are the wishes of users.
type Wishlists interface {
	// Wishlist is the caller's, which may be empty.
	Wishlist(ctx context.Context, who Caller) (*Wishlist, error)
	// AddWish puts a book on it, harmlessly if it is there. NotFound if there is no such book.
	AddWish(ctx context.Context, who Caller, bookID int64) error
	// RemoveWish takes a book from it, harmlessly if it is not there. NotFound if there is no such book.
	RemoveWish(ctx context.Context, who Caller, bookID int64) error
}
