package bookstore

import "context"

// User is a customer of the shop.
type User struct {
	Username     string  `json:"username"`
	Email        *string `json:"email"`
	ID           int64   `json:"id"`
	IsActive     bool    `json:"is_active"`
	IsAdmin      bool    `json:"is_admin"`
	RegisterDate Date    `json:"register_date"`
}

// Caller is who asks, as a verified token says. The zero value is a guest.
type Caller struct {
	Username string
	Bought   []int64 // books that a guest has bought
}

// Guest says whether the caller is nobody in particular.
func (c Caller) Guest() bool { return c.Username == "" }

// NewUser is somebody who registers.
type NewUser struct {
	Username string // 3 to 20 characters; unique whatever its case
	Password string // at most 72 bytes, which is all that bcrypt takes
	Email    *string
}

// Users are the customers. Passwords are hashed and compared while no connection is held.
type Users interface {
	// Register makes a user. Invalid, Conflict if the name is taken.
	Register(context.Context, NewUser) (*User, error)
	// Login finds the user of this name and password. Unauthenticated, which does not tell what was wrong; Forbidden if
	// the account is not active.
	Login(ctx context.Context, username, password string) (*User, error)
	// Profile is the caller.
	Profile(ctx context.Context, who Caller) (*User, error)
	// Library lists the books that the caller owns.
	Library(ctx context.Context, who Caller) ([]Book, error)
	// Users lists all users, for administrators.
	Users(ctx context.Context, who Caller, page Page) ([]User, error)
	// User is one user, for administrators. NotFound.
	User(ctx context.Context, who Caller, username string) (*User, error)
}
