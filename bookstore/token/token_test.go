package token_test

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"weir/bookstore"
	"weir/bookstore/token"
)

const secret = "a secret that only the tests know"

func keys(t *testing.T, secret string) *token.Keys {
	t.Helper()
	k, err := token.New(secret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// claims reads a token as a client would, without the secret.
func claims(t *testing.T, s string) map[string]any {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(s, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTokenSaysWhoSomebodyIs(t *testing.T) {
	k := keys(t, secret)
	user, err := k.User(&bookstore.User{Username: "mary", IsAdmin: true, IsActive: true})
	if err != nil {
		t.Fatal(err)
	}
	guest, err := k.Guest([]bookstore.Book{{ID: 3}, {ID: 5}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		token string
		want  bookstore.Caller
	}{
		{user, bookstore.Caller{Username: "mary"}},
		{guest, bookstore.Caller{Bought: []int64{3, 5}}},
	} {
		if got, err := k.Read(c.token); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v, %v; want %+v", got, err, c.want)
		}
	}

	u := claims(t, user)
	days := time.Until(time.Unix(int64(u["exp"].(float64)), 0)).Hours() / 24
	if u["sub"] != "mary" || u["is_admin"] != true || u["is_active"] != true || days < 7.9 || days > 8.1 || len(u) != 4 {
		t.Errorf("a user's claims are %v", u)
	}
	if g := claims(t, guest); !reflect.DeepEqual(g["ordered_book_ids"], []any{3.0, 5.0}) || len(g) != 2 {
		t.Errorf("a guest's claims are %v", g)
	}
}

func TestBadTokenIsRefused(t *testing.T) {
	k := keys(t, secret)
	good, err := k.User(&bookstore.User{Username: "mary"})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := keys(t, strings.ToUpper(secret)).User(&bookstore.User{Username: "mary"})
	if err != nil {
		t.Fatal(err)
	}
	sign := func(method jwt.SigningMethod, key any, c jwt.MapClaims) string {
		s, err := jwt.NewWithClaims(method, c).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	future := time.Now().Add(time.Hour).Unix()
	for name, s := range map[string]string{
		"empty":           "",
		"no token":        "x.y.z",
		"cut":             good[:len(good)-1],
		"another secret":  foreign,
		"unsigned":        sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, jwt.MapClaims{"sub": "mary", "exp": future}),
		"another method":  sign(jwt.SigningMethodHS512, []byte(secret), jwt.MapClaims{"sub": "mary", "exp": future}),
		"expired":         sign(jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"sub": "mary", "exp": time.Now().Unix() - 1}),
		"without an end":  sign(jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"sub": "mary"}),
		"names nobody":    sign(jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"exp": future}),
		"books no number": sign(jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"exp": future, "ordered_book_ids": "all"}),
	} {
		if who, err := k.Read(s); !bookstore.Is(err, bookstore.Unauthenticated) {
			t.Errorf("%s: %+v, %v; want it refused", name, who, err)
		}
	}
}

func TestShortSecretIsRefused(t *testing.T) {
	if _, err := token.New(strings.Repeat("x", 31)); err == nil {
		t.Error("a secret of 31 bytes was taken")
	}
	if _, err := token.New(token.RandomSecret()); err != nil {
		t.Error(err)
	}
}
