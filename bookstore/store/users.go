package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"

	"weir/bookstore"
)

var errLogin = bookstore.Refuse(bookstore.Unauthenticated, "Login failed")

// hash makes of a password what is stored. It takes a good part of a tenth of a second on purpose, so never while a
// connection is held.
func hash(password string) (string, error) {
	b, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return string(b), nil
}

// stray is the hash that a password is compared with when nobody has the name: to find that out costs the same.
var stray = sync.OnceValues(func() (string, error) { return hash("nobody's") })

// plain makes text of what a stranger sent, which PostgreSQL's text may not hold. What changes matches nothing.
func plain(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// Register implements bookstore.Users.
func (s *Store) Register(ctx context.Context, n bookstore.NewUser) (user *bookstore.User, err error) {
	if err := n.Check(); err != nil {
		return nil, err
	}
	hashed, err := hash(n.Password)
	if err != nil {
		return nil, err
	}
	err = s.write(ctx, func(tx *sql.Tx) error {
		user = new(bookstore.User)
		return tx.QueryRowContext(ctx, `INSERT INTO users AS u (username, password_hash, email)
			VALUES ($1, $2, $3) RETURNING `+userColumns, n.Username, hashed, n.Email).Scan(userFields(user)...)
	})
	return user, err
}

// Login implements bookstore.Users. The transaction is over before the password is compared, and a name that nobody has
// costs the same.
func (s *Store) Login(ctx context.Context, username, password string) (*bookstore.User, error) {
	nobody, err := stray()
	if err != nil {
		return nil, err
	}
	var (
		user  bookstore.User
		known = true
		have  string
	)
	err = s.read(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, "SELECT "+userColumns+", u.password_hash FROM users u WHERE lower(u.username) = lower($1)",
			plain(strings.TrimSpace(username))).
			Scan(append(userFields(&user), &have)...)
		if errors.Is(err, sql.ErrNoRows) {
			known, have = false, nobody
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if bcrypt.CompareHashAndPassword([]byte(have), []byte(password)) != nil || !known {
		return nil, errLogin
	}
	if !user.IsActive {
		return nil, errInactive
	}
	return &user, nil
}

// Profile implements bookstore.Users.
func (s *Store) Profile(ctx context.Context, who bookstore.Caller) (user *bookstore.User, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		user, err = member(ctx, tx, who)
		return err
	})
	return user, err
}

// Library implements bookstore.Users.
func (s *Store) Library(ctx context.Context, who bookstore.Caller) (books []bookstore.Book, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		u, err := member(ctx, tx, who)
		if err != nil {
			return err
		}
		books, err = selectBooks(ctx, tx, bookstore.Page{}, "JOIN book_ownership o ON o.book_id = b.id WHERE o.user_id = $3", u.ID)
		return err
	})
	return books, err
}

// Users implements bookstore.Users.
func (s *Store) Users(ctx context.Context, who bookstore.Caller, page bookstore.Page) (users []bookstore.User, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		if err := admin(ctx, tx, who); err != nil {
			return err
		}
		users, err = queryUsers(ctx, tx, "ORDER BY u.id LIMIT $1 OFFSET $2", limitOrAll(page), page.Skip)
		return err
	})
	return users, err
}

// User implements bookstore.Users.
func (s *Store) User(ctx context.Context, who bookstore.Caller, username string) (user *bookstore.User, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		if err := admin(ctx, tx, who); err != nil {
			return err
		}
		users, err := queryUsers(ctx, tx, "WHERE lower(u.username) = lower($1)", plain(username))
		if err != nil {
			return err
		}
		if len(users) == 0 {
			return errNoUser
		}
		user = &users[0]
		return nil
	})
	return user, err
}

func queryUsers(ctx context.Context, tx *sql.Tx, clause string, args ...any) ([]bookstore.User, error) {
	//nolint:gosec // every part of the text is a constant of this package; what callers say are arguments
	rows, err := tx.QueryContext(ctx, "SELECT "+userColumns+" FROM users u "+clause, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	users := []bookstore.User{}
	for rows.Next() {
		var u bookstore.User
		if err := rows.Scan(userFields(&u)...); err != nil {
			return nil, err
		}
		users = append(users, u)
	}
	return users, rows.Err()
}
