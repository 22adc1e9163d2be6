package storefront

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/bookstore"
	"weir/bookstore/token"
)

// The cookies. Scripts see none of them, and no other site's form sends them.
const (
	sessionCookie = "session" // a user's token
	boughtCookie  = "bought"  // a guest's token: what was bought here without an account
	cartCookie    = "cart"    // ids; nobody but the visitor cares
	tokenCookie   = "form"    // see forgery.go
	receiptCookie = "receipt" // what the thank-you page shows
)

// How long they live.
const (
	sessionLife = token.Life
	cartLife    = 30 * 24 * time.Hour
	receiptLife = time.Hour
)

// cartMax bounds a cart and boughtMax what a guest's cookie remembers: a browser takes 4 KB.
const (
	cartMax   = 30
	boughtMax = 100
)

// visit is one request for a page, and its visitor.
type visit struct {
	shop *Storefront
	w    http.ResponseWriter
	r    *http.Request
	who  bookstore.Caller // a user, or a guest: never both
	// bought is what a guest has bought in this browser; he keeps it when he logs in.
	bought []int64
	cart   []int64
	set    map[string]string // cookies that this answer sets: they hold at once
}

// visit finds out who comes. A session that has ended makes a guest of him.
func (s *Storefront) visit(w http.ResponseWriter, r *http.Request) *visit {
	v := &visit{shop: s, w: w, r: r, set: map[string]string{}}
	if t := v.cookie(boughtCookie); t != "" {
		if guest, err := s.Keys.Read(t); err == nil {
			v.bought = guest.Bought
		}
	}
	v.who = bookstore.Caller{Bought: v.bought}
	if t := v.cookie(sessionCookie); t != "" {
		if user, err := s.Keys.Read(t); err == nil && !user.Guest() {
			v.who = user
		} else {
			v.setCookie(sessionCookie, "", 0)
		}
	}
	v.cart = idsOf(v.cookie(cartCookie), cartMax)
	return v
}

func (v *visit) cookie(name string) string {
	if value, ok := v.set[name]; ok {
		return value
	}
	c, err := v.r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

// setCookie keeps a value in the browser; an empty one takes it away. An answer sets each cookie once.
func (v *visit) setCookie(name, value string, life time.Duration) {
	c := &http.Cookie{ //nolint:gosec // Secure would keep it from shops without TLS, such as that on one's own machine
		Name: name, Value: value, Path: "/", MaxAge: int(life.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: v.shop.SecureCookies || v.r.TLS != nil,
	}
	if value == "" {
		c.MaxAge = -1
	}
	if _, again := v.set[name]; again {
		lines := v.w.Header().Values("Set-Cookie")
		v.w.Header()["Set-Cookie"] = slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, name+"=") })
	}
	v.set[name] = value
	http.SetCookie(v.w, c)
}

func (v *visit) setCart(ids []int64) {
	v.cart = ids
	v.setCookie(cartCookie, textOf(ids), cartLife)
}

// enter logs a user in.
func (v *visit) enter(u *bookstore.User) error {
	t, err := v.shop.Keys.User(u)
	if err != nil {
		return err
	}
	v.setCookie(sessionCookie, t, sessionLife)
	v.setCookie(tokenCookie, "", 0) // the next form gets a new one
	return nil
}

// textOf writes ids as they stand in a cookie, and idsOf reads them: at most so many, none twice, nothing that is no id.
func textOf(ids []int64) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = strconv.FormatInt(id, 10)
	}
	return strings.Join(words, ".")
}

func idsOf(text string, most int) (ids []int64) {
	for word := range strings.SplitSeq(text, ".") {
		id, err := strconv.ParseInt(word, 10, 64)
		if err == nil && id > 0 && len(ids) < most && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}
