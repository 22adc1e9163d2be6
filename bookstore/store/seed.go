package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"weir/bookstore"
	"weir/bookstore/stock"
)

// Seeding says what a shop opens with.
type Seeding struct {
	Books int // at least; those of before stay
	Users int // readers who have reviewed some of them
	// UserPassword lets the readers in; without one nobody can log in as them.
	UserPassword string
	// Admin is the administrator's name, AdminPassword what lets him in. Without a password none is made.
	Admin, AdminPassword string
}

// DefaultSeeding is the original's experiment: 20 books, and a few readers.
func DefaultSeeding() Seeding { return Seeding{Books: 20, Users: 12, Admin: "admin"} }

// seedLock is the advisory lock of whoever seeds, so that two do it one after the other. An arbitrary number. It ends
// with the transaction: a session's lock would stay on the backend that a transaction pooler gives to somebody else.
const seedLock = 0x626f6f6b73 // "books"

// seedBatch is how many books one transaction brings: enough to be quick, few enough not to hold anything for long.
const seedBatch = 50

// lockedOut is the hash of no password.
const lockedOut = "!"

// Seed fills the shop. Repeating it changes nothing that it wrote and removes nothing, except that the administrator
// has the password that the last one named. Several processes may seed at once.
func (s *Store) Seed(ctx context.Context, what Seeding) error {
	if err := s.seed(ctx, what); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	return nil
}

func (s *Store) seed(ctx context.Context, what Seeding) error {
	books := stock.Books(what.Books)
	for rest := books; len(rest) > 0; rest = rest[min(seedBatch, len(rest)):] {
		if err := s.seedBooks(ctx, rest[:min(seedBatch, len(rest))]); err != nil {
			return err
		}
	}
	if what.AdminPassword != "" {
		if err := s.seedAdmin(ctx, what.Admin, what.AdminPassword); err != nil {
			return fmt.Errorf("administrator: %w", err)
		}
	}
	hashed := lockedOut
	if what.UserPassword != "" {
		var err error
		if hashed, err = hash(what.UserPassword); err != nil { // one for all: each takes time
			return err
		}
	}
	for _, reader := range stock.Readers(what.Users, books) {
		if err := s.seedReader(ctx, reader, hashed); err != nil {
			return fmt.Errorf("reader %s: %w", reader.Username, err)
		}
	}
	return nil
}

// seeding is a transaction of the only one who seeds.
func (s *Store) seeding(ctx context.Context, do func(*sql.Tx) error) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", int64(seedLock)); err != nil {
			return err
		}
		return do(tx)
	})
}

// seedBooks brings those of a batch that are missing. They are drawn before the transaction begins, since that takes
// longer than to write them; if somebody else brings one meanwhile, it was drawn for nothing.
func (s *Store) seedBooks(ctx context.Context, batch []bookstore.NewBook) error {
	var missing []bookstore.NewBook
	err := s.read(ctx, func(tx *sql.Tx) (err error) {
		missing, err = missingBooks(ctx, tx, batch)
		return err
	})
	if err != nil || len(missing) == 0 {
		return err
	}
	for i := range missing {
		if err := draw(&missing[i]); err != nil {
			return err
		}
	}
	err = s.seeding(ctx, func(tx *sql.Tx) error {
		still, err := missingBooks(ctx, tx, missing)
		if err != nil {
			return err
		}
		for i := range still {
			if _, err := insertBook(ctx, tx, &still[i]); err != nil {
				return fmt.Errorf("%q: %w", still[i].Title, err)
			}
		}
		return nil
	})
	if err == nil {
		s.log.Debug("books seeded", slog.Int("books", len(missing)))
	}
	return err
}

// missingBooks are those that the shop does not have, in the same order.
func missingBooks(ctx context.Context, tx *sql.Tx, books []bookstore.NewBook) ([]bookstore.NewBook, error) {
	titles := make([]string, len(books))
	for i := range books {
		titles[i] = books[i].Title
	}
	rows, err := tx.QueryContext(ctx, `SELECT t.title FROM unnest($1::text[]) t (title)
		WHERE EXISTS (SELECT FROM books b WHERE lower(b.title) = lower(t.title))`, titles)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	have := map[string]bool{}
	for rows.Next() {
		var title string
		if err := rows.Scan(&title); err != nil {
			return nil, err
		}
		have[title] = true
	}
	var missing []bookstore.NewBook
	for i := range books {
		if !have[books[i].Title] {
			missing = append(missing, books[i])
		}
	}
	return missing, rows.Err()
}

// seedAdmin makes the administrator, or makes him one who can log in with this password.
func (s *Store) seedAdmin(ctx context.Context, name, password string) error {
	n := bookstore.NewUser{Username: name, Password: password}
	if err := n.Check(); err != nil {
		return checkText(err)
	}
	var have string
	err := s.read(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx,
			"SELECT password_hash FROM users WHERE lower(username) = lower($1) AND is_admin AND is_active", n.Username).Scan(&have)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil || bcrypt.CompareHashAndPassword([]byte(have), []byte(password)) == nil {
		return err
	}
	hashed, err := hash(password)
	if err != nil {
		return err
	}
	return s.seeding(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO users (username, password_hash, is_admin) VALUES ($1, $2, true)
			ON CONFLICT (lower(username)) DO UPDATE SET password_hash = $2, is_admin = true, is_active = true`, n.Username, hashed)
		return err
	})
}

// checkText says in words what a form would show.
func checkText(err error) error {
	var e *bookstore.Error
	if !errors.As(err, &e) {
		return err
	}
	words := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		words[i] = fmt.Sprintf("%v %s", f.Loc[len(f.Loc)-1], f.Msg)
	}
	return errors.New(strings.Join(words, ", "))
}

// seedReader makes a reader and his reviews, all in one transaction. Somebody who has the name already keeps it, and his
// opinions: he may be a customer.
func (s *Store) seedReader(ctx context.Context, reader stock.Reader, hashed string) error {
	return s.seeding(ctx, func(tx *sql.Tx) error {
		var userID int64
		err := tx.QueryRowContext(ctx, `INSERT INTO users (username, password_hash) SELECT $1, $2
			WHERE NOT EXISTS (SELECT FROM users WHERE lower(username) = lower($1)) RETURNING id`,
			reader.Username, hashed).Scan(&userID)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, review := range reader.Reviews {
			if err := seedReview(ctx, tx, userID, review); err != nil {
				return err
			}
		}
		return nil
	})
}

func seedReview(ctx context.Context, tx *sql.Tx, userID int64, review stock.Review) error {
	var bookID int64
	err := tx.QueryRowContext(ctx, "SELECT id FROM books WHERE lower(title) = lower($1) FOR NO KEY UPDATE", review.Title).Scan(&bookID)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // somebody has taken it from the shelf
	}
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO reviews (rating, comment, user_id, book_id) VALUES ($1, $2, $3, $4)",
		review.Rating, review.Comment, userID, bookID)
	if err != nil {
		return err
	}
	return rate(ctx, tx, bookID)
}
