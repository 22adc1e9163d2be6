package storefront

import (
	"net/http"

	"weir/bookstore"
)

// loginForms are the two forms of one page: for those who have an account, and for those who want one.
type loginForms struct {
	Next            string
	Login, Register account
}

// account is a form as it was sent, without its password.
type account struct {
	Username, Email string
	Wrong           map[string]string
}

func (s *Storefront) loginPage(v *visit) error {
	next := local(v.r.URL.Query().Get("next"))
	if !v.who.Guest() {
		return v.goTo(next, "")
	}
	return v.show(http.StatusOK, "login", "Log in", loginForms{Next: next})
}

func (s *Storefront) login(v *visit) error {
	f := loginForms{Next: local(v.r.PostForm.Get("next")), Login: account{Username: v.r.PostForm.Get("username")}}
	user, err := s.Shop.Login(v.r.Context(), f.Login.Username, v.r.PostForm.Get("password"))
	if err != nil {
		var known bool
		if f.Login.Wrong, known = wrong(err); !known {
			return err
		}
		if bookstore.Is(err, bookstore.Unauthenticated) {
			f.Login.Wrong = map[string]string{"": "Wrong user name or password."}
		}
		return v.show(http.StatusUnauthorized, "login", "Log in", f)
	}
	if err := v.enter(user); err != nil {
		return err
	}
	return v.goTo(f.Next, "")
}

func (s *Storefront) register(v *visit) error {
	form := v.r.PostForm
	f := loginForms{Next: local(form.Get("next")), Register: account{Username: form.Get("username"), Email: form.Get("email")}}
	n := bookstore.NewUser{Username: f.Register.Username, Password: form.Get("password")}
	if f.Register.Email != "" {
		n.Email = &f.Register.Email
	}
	user, err := s.Shop.Register(v.r.Context(), n)
	if err != nil {
		var known bool
		if f.Register.Wrong, known = wrong(err); !known {
			return err
		}
		return v.show(http.StatusUnprocessableEntity, "login", "Register", f)
	}
	if err := v.enter(user); err != nil {
		return err
	}
	return v.goTo(f.Next, "welcome")
}

func (s *Storefront) logout(v *visit) error {
	v.setCookie(sessionCookie, "", 0)
	v.setCookie(tokenCookie, "", 0)
	return v.goTo("/", "goodbye")
}

// need is for pages that only users have.
func (v *visit) need() error {
	if v.who.Guest() {
		return bookstore.Refuse(bookstore.Unauthenticated, "Please log in")
	}
	return nil
}

func (s *Storefront) profile(v *visit) error {
	if err := v.need(); err != nil {
		return err
	}
	user, err := s.Shop.Profile(v.r.Context(), v.who)
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "profile", "Profile", user)
}

// libraryPage are a user's books, and those that were bought in this browser without an account.
type libraryPage struct {
	Owned, Bought []card
}

func (s *Storefront) library(v *visit) error {
	if len(v.bought) == 0 {
		if err := v.need(); err != nil {
			return err
		}
	}
	var p libraryPage
	if !v.who.Guest() {
		books, err := s.Shop.Library(v.r.Context(), v.who)
		if err != nil {
			return err
		}
		p.Owned = mine(books)
	}
	books, err := v.books(v.bought)
	if err != nil {
		return err
	}
	p.Bought = mine(books)
	return v.show(http.StatusOK, "library", "My books", p)
}

// mine are books that the visitor has, which is known without asking.
func mine(books []bookstore.Book) []card {
	cards := make([]card, len(books))
	for i, b := range books {
		cards[i] = card{Book: b, Owned: true}
	}
	return cards
}

func (s *Storefront) wishlist(v *visit) error {
	if err := v.need(); err != nil {
		return err
	}
	list, err := s.Shop.Wishlist(v.r.Context(), v.who)
	if err != nil {
		return err
	}
	cards, err := v.cards(list.Books)
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "wishlist", "Wishlist", cards)
}
