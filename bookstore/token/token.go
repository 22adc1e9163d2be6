// Package token makes and reads the bearer tokens of the bookstore: JWTs that HS256 signs, with the original's claims.
//
// A token says who somebody is and proves it; what he may do is looked up in the database each time. The claims
// is_admin and is_active are there for clients that read them, and nothing here believes them. Keys are safe for use
// by any number of goroutines. The package imports bookstore and a JWT library.
package token

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"weir/bookstore"
)

// Life is how long a token holds, as in the original.
const Life = 8 * 24 * time.Hour

// secretMin is the shortest secret that is taken, in bytes: the size of HS256's hash (RFC 7518, 3.2).
const secretMin = 32

// Keys sign and verify.
type Keys struct {
	secret []byte
	parser *jwt.Parser
}

// New makes Keys of a secret. All processes of a shop need the same.
func New(secret string) (*Keys, error) {
	if len(secret) < secretMin {
		return nil, fmt.Errorf("the secret that signs tokens has %d bytes; at least %d are needed", len(secret), secretMin)
	}
	return &Keys{
		secret: []byte(secret),
		parser: jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithExpirationRequired()),
	}, nil
}

// RandomSecret is one for a shop that need not know its customers again after a restart.
func RandomSecret() string { return rand.Text() + rand.Text() }

// userClaims are a user's, guestClaims those of somebody who bought without an account.
type userClaims struct {
	jwt.RegisteredClaims
	IsAdmin  bool `json:"is_admin"`
	IsActive bool `json:"is_active"`
}

type guestClaims struct {
	jwt.RegisteredClaims
	OrderedBookIDs []int64 `json:"ordered_book_ids"`
}

// User makes a user's token.
func (k *Keys) User(u *bookstore.User) (string, error) {
	return k.sign(userClaims{registered(u.Username), u.IsAdmin, u.IsActive})
}

// Guest makes a token that lists what a guest has bought.
func (k *Keys) Guest(books []bookstore.Book) (string, error) {
	ids := make([]int64, len(books))
	for i := range books {
		ids[i] = books[i].ID
	}
	return k.sign(guestClaims{registered(""), ids})
}

func registered(subject string) jwt.RegisteredClaims {
	return jwt.RegisteredClaims{Subject: subject, ExpiresAt: jwt.NewNumericDate(time.Now().Add(Life))}
}

func (k *Keys) sign(claims jwt.Claims) (string, error) {
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(k.secret)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return s, nil
}

// Read verifies a token and tells whose it is. A bad one is Unauthenticated.
func (k *Keys) Read(token string) (bookstore.Caller, error) {
	var claims struct {
		jwt.RegisteredClaims
		OrderedBookIDs []int64 `json:"ordered_book_ids"`
	}
	_, err := k.parser.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return k.secret, nil })
	if err == nil && claims.Subject == "" && claims.OrderedBookIDs == nil {
		err = errors.New("the token names nobody")
	}
	if err != nil {
		return bookstore.Caller{}, &bookstore.Error{
			Code: bookstore.Unauthenticated, Detail: "Could not validate credentials", Err: err,
		}
	}
	return bookstore.Caller{Username: claims.Subject, Bought: claims.OrderedBookIDs}, nil
}
