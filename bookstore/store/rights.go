package store

import (
	"context"
	"database/sql"
	"errors"

	"weir/bookstore"
)

// Who may not.
var (
	errGuest         = bookstore.Refuse(bookstore.Unauthenticated, "Not authenticated")
	errUnknownCaller = bookstore.Refuse(bookstore.Unauthenticated, "Could not validate credentials")
	errInactive      = bookstore.Refuse(bookstore.Forbidden, "The account is not active")
	errNoAdmin       = bookstore.Refuse(bookstore.Forbidden, "Admin privileges required")
)

const userColumns = "u.username, u.email, u.id, u.is_active, u.is_admin, u.register_date"

// userFields are where a row of userColumns goes.
func userFields(u *bookstore.User) []any {
	return []any{&u.Username, &u.Email, &u.ID, &u.IsActive, &u.IsAdmin, &u.RegisterDate}
}

// member finds who asks. Rights come from here, never from a token: they may have been withdrawn since it was made.
func member(ctx context.Context, tx *sql.Tx, who bookstore.Caller) (*bookstore.User, error) {
	if who.Guest() {
		return nil, errGuest
	}
	var u bookstore.User
	err := tx.QueryRowContext(ctx, "SELECT "+userColumns+" FROM users u WHERE lower(u.username) = lower($1)", who.Username).
		Scan(userFields(&u)...)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, errUnknownCaller
	case err != nil:
		return nil, err
	case !u.IsActive:
		return nil, errInactive
	}
	return &u, nil
}

func admin(ctx context.Context, tx *sql.Tx, who bookstore.Caller) error {
	u, err := member(ctx, tx, who)
	if err == nil && !u.IsAdmin {
		return errNoAdmin
	}
	return err
}

// writeAsAdmin is write for administrators. invalid is what is wrong with their input, or nil: whoever may not is told
// that first, and nothing of the input.
func (s *Store) writeAsAdmin(ctx context.Context, who bookstore.Caller, invalid error, do func(*sql.Tx) error) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		if err := admin(ctx, tx, who); err != nil {
			return err
		}
		if invalid != nil {
			return invalid
		}
		return do(tx)
	})
}

// writeAsMember is write for users, as writeAsAdmin is for administrators.
func (s *Store) writeAsMember(
	ctx context.Context, who bookstore.Caller, invalid error, do func(*sql.Tx, *bookstore.User) error,
) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		u, err := member(ctx, tx, who)
		if err != nil {
			return err
		}
		if invalid != nil {
			return invalid
		}
		return do(tx, u)
	})
}
