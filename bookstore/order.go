package bookstore

import "context"

// Order is a purchase: created first, captured (paid) then.
type Order struct {
	OrderDate    Date   `json:"order_date"`
	TotalPrice   Cents  `json:"total_price"`
	OrderID      string `json:"order_id"` // a random UUID; who knows it may capture the order
	Completed    bool   `json:"completed"`
	ID           int64  `json:"id"`
	Client       *User  `json:"client"` // nil: a guest's
	OrderedBooks []Book `json:"ordered_books"`
}

// Orders are the purchases. Payment always succeeds.
type Orders interface {
	// CreateOrder is for users and guests. Invalid if a book is unknown or named twice, or all are free.
	CreateOrder(ctx context.Context, who Caller, bookIDs []int64) (*Order, error)
	// CaptureOrder completes an order and gives its books to its client, harmlessly if that has happened. Of a guest's
	// order whoever captures it gets a token that lists the books (token.Keys.Guest). NotFound.
	CaptureOrder(ctx context.Context, orderID string) (*Order, error)
	// Orders lists all orders, for administrators.
	Orders(ctx context.Context, who Caller, page Page) ([]Order, error)
}
