package api_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"weir/bookstore/stock"
)

// The parts of the API's objects that the tests look at.
type (
	bookView struct {
		ID          int64
		Title       string
		Description *string
		Language    *string
		Price       float64
		Date        string   `json:"publication_date"`
		Rating      *float64 `json:"avg_rating"`
		Authors     []struct {
			ID   int64
			Name string
		}
		Genres []struct{ Name string }
	}
	userView struct {
		Username string
		Email    *string
		ID       int64
		Active   bool `json:"is_active"`
		Admin    bool `json:"is_admin"`
	}
	reviewView struct {
		ID      int64
		Rating  int
		Comment string
		Edited  bool
		User    userView
	}
	orderView struct {
		OrderID   string  `json:"order_id"`
		Total     float64 `json:"total_price"`
		Completed bool
		Client    *userView
		Books     []bookView `json:"ordered_books"`
	}
	tokenView struct {
		Access string `json:"access_token"`
		Type   string `json:"token_type"`
	}
	wishlistView struct {
		ID    int64
		Books []bookView
	}
)

func titles(books []bookView) (all []string) {
	for _, b := range books {
		all = append(all, b.Title)
	}
	return all
}

// want fails the test unless the answer has this status, and this text in it.
func want(t *testing.T, a answer, status int, text string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.body, text) {
		t.Errorf("%d %.300s\nwant %d with %s", a.status, a.body, status, text)
	}
}

func TestUserRegistersAndLogsIn(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		a := s.call("POST", "/users/", "", map[string]string{"username": " Mary ", "password": "secret", "email": "mary@example.org"})
		if tok := as[tokenView](t, a); a.status != 200 || tok.Type != "bearer" {
			t.Fatalf("register: %d %s", a.status, a.body)
		}
		want(t, s.call("POST", "/users/", "", map[string]string{"username": "mARY", "password": "x"}), 409, "Username taken")
		tok := s.login("mary", "secret")
		me := as[userView](t, s.call("GET", "/profile/", tok, nil))
		if me.Username != "Mary" || me.Email == nil || *me.Email != "mary@example.org" || !me.Active || me.Admin {
			t.Errorf("profile %+v", me)
		}
		want(t, s.call("GET", "/profile/library/", tok, nil), 200, "[]")

		admin := s.login("admin", adminPassword)
		if all := as[[]userView](t, s.call("GET", "/users/", admin, nil)); len(all) != 2 || !all[0].Admin {
			t.Errorf("users %+v", all)
		}
		if u := as[userView](t, s.call("GET", "/users/MARY", admin, nil)); u != (userView{Username: "Mary", Email: u.Email, ID: me.ID, Active: true}) {
			t.Errorf("user %+v", u)
		}
		want(t, s.call("GET", "/users/nobody/", admin, nil), 404, "User not found")
		want(t, s.call("GET", "/users/%00%ff/", admin, nil), 404, "User not found")
	})
}

func TestRightsComeFromTheDatabaseNotFromTheToken(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		admin, mary := s.login("admin", adminPassword), s.register("mary")
		want(t, s.call("GET", "/orders/", admin, nil), 200, "[]")
		s.db.Exec(t, "UPDATE users SET is_admin = username = 'mary'")
		want(t, s.call("GET", "/orders/", admin, nil), 403, "Admin privileges required")
		want(t, s.call("GET", "/orders/", mary, nil), 200, "[]")

		s.db.Exec(t, "UPDATE users SET is_active = false WHERE username = 'mary'")
		want(t, s.call("GET", "/orders/", mary, nil), 403, "not active")
		want(t, s.call("GET", "/profile/", mary, nil), 403, "not active")
		want(t, s.call("POST", "/login/", "", form("username", "mary", "password", "secret")), 403, "not active")
		want(t, s.call("POST", "/login/", "", form("username", "mary", "password", "wrong")), 401, "Login failed")
		want(t, s.call("POST", "/checkout/order/create/", mary, map[string]any{"book_ids": []int{1}}), 403, "not active")

		s.db.Exec(t, "DELETE FROM users WHERE username = 'mary'")
		want(t, s.call("GET", "/profile/", mary, nil), 401, "Could not validate credentials")
	})
}

func TestReviewsMoveTheAverage(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		mary, jane, admin := s.register("mary"), s.register("jane"), s.login("admin", adminPassword)
		s.db.Exec(t, "UPDATE users SET email = username || '@example.org'")
		average := func() string {
			t.Helper()
			b := as[bookView](t, s.call("GET", "/books/2/", "", nil))
			if b.Rating == nil {
				return "none"
			}
			return fmt.Sprint(*b.Rating)
		}
		a := s.call("POST", "/books/2/reviews/", mary, map[string]any{"rating": 5, "comment": " Best. "})
		first := as[reviewView](t, a)
		if a.status != 200 || first.Rating != 5 || first.Comment != "Best." || first.User.Email != nil || first.Edited || first.User.Username != "mary" {
			t.Errorf("first review: %d %s", a.status, a.body)
		}
		want(t, s.call("POST", "/books/2/reviews/", mary, map[string]any{"rating": 1, "comment": "Again."}), 409, "reviewed this book already")
		want(t, s.call("POST", "/books/99/reviews/", mary, map[string]any{"rating": 1, "comment": "What?"}), 404, "Book not found")
		want(t, s.call("POST", "/books/2/reviews/", "", map[string]any{"rating": 1, "comment": "Me too."}), 401, "Not authenticated")
		second := as[reviewView](t, s.call("POST", "/books/2/reviews/", jane, map[string]any{"rating": 2, "comment": "So so."}))
		if got := average(); got != "3.5" {
			t.Errorf("average %s, want 3.5", got)
		}

		path := fmt.Sprintf("/reviews/%d/", second.ID)
		want(t, s.call("PATCH", path, mary, map[string]any{"rating": 1}), 403, "not your review")
		a = s.call("PATCH", path, jane, map[string]any{"rating": 0}) // zero is a rating, and not none
		if r := as[reviewView](t, a); a.status != 200 || r.Rating != 0 || r.Comment != "So so." || !r.Edited {
			t.Errorf("changed review: %d %s", a.status, a.body)
		}
		want(t, s.call("PATCH", path, jane, map[string]any{"rating": nil}), 422, "must not be null")
		want(t, s.call("PATCH", path, admin, map[string]any{"comment": "Moderated."}), 200, "Moderated.")
		if got := average(); got != "2.5" {
			t.Errorf("average %s, want 2.5", got)
		}
		list := as[[]reviewView](t, s.call("GET", "/books/2/reviews/", "", nil))
		if len(list) != 2 || list[0].ID != first.ID || list[1].User.Username != "jane" || list[1].User.Email != nil {
			t.Errorf("reviews %+v", list)
		}

		want(t, s.call("DELETE", path, mary, nil), 403, "not your review")
		want(t, s.call("DELETE", path+"?book_id=2", admin, nil), 200, "null") // as the original's clients ask
		want(t, s.call("DELETE", path, admin, nil), 404, "Review not found")
		want(t, s.call("DELETE", fmt.Sprintf("/reviews/%d", first.ID), mary, nil), 200, "null")
		if got := average(); got != "none" {
			t.Errorf("average %s, want none", got)
		}
	})
}

func TestWishlistTakesAndGives(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		mary := s.register("mary")
		want(t, s.call("GET", "/profile/wishlist/", mary, nil), 200, `{"id":0,"books":[]}`)
		for _, id := range []int{7, 3, 7} { // the second time is harmless
			want(t, s.call("PUT", fmt.Sprintf("/books/%d/wishlist/", id), mary, nil), 200, "null")
		}
		list := as[wishlistView](t, s.call("GET", "/profile/wishlist/", mary, nil))
		if list.ID == 0 || !slices.Equal(titles(list.Books), []string{"Moby-Dick", "The Gilded Age"}) {
			t.Errorf("wishlist %+v", list)
		}
		for range 2 {
			want(t, s.call("DELETE", "/books/3/wishlist/", mary, nil), 200, "null")
		}
		if list := as[wishlistView](t, s.call("GET", "/profile/wishlist/", mary, nil)); !slices.Equal(titles(list.Books), []string{"The Gilded Age"}) {
			t.Errorf("wishlist %+v", list)
		}
	})
}

func TestUserBuysAndReads(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		mary := s.register("mary")
		want(t, s.call("GET", "/books/3/download/", mary, nil), 403, "You do not own this book")
		a := s.call("POST", "/checkout/order/create/", mary, map[string]any{"book_ids": []int{3, 1, 5}})
		order := as[orderView](t, a)
		if a.status != 201 || order.Completed || order.Total != 22.49 || order.Client == nil || order.Client.Username != "mary" ||
			!slices.Equal(titles(order.Books), []string{"Pride and Prejudice", "Moby-Dick", "Alice's Adventures in Wonderland"}) {
			t.Fatalf("order: %d %s", a.status, a.body)
		}
		want(t, s.call("GET", "/profile/library/", mary, nil), 200, "[]")
		for range 2 { // harmless when repeated
			a = s.call("POST", "/checkout/order/"+order.OrderID+"/capture/", "", nil)
			if o := as[orderView](t, a); a.status != 200 || !o.Completed || o.OrderID != order.OrderID || len(o.Books) != 3 {
				t.Errorf("capture: %d %s", a.status, a.body)
			}
		}
		if owned := as[[]bookView](t, s.call("GET", "/profile/library/", mary, nil)); !slices.Equal(titles(owned), titles(order.Books)) {
			t.Errorf("library %v", titles(owned))
		}
		a = s.call("GET", "/books/3/download/", mary, nil)
		want(t, a, 200, "%PDF-")
		kind, params, err := mime.ParseMediaType(a.header.Get("Content-Disposition"))
		if err != nil || kind != "attachment" || params["filename"] != "Moby-Dick.pdf" || a.header.Get("Content-Type") != "application/octet-stream" {
			t.Errorf("download: %v", a.header)
		}
		// Whoever has bought one of the books again loses nothing.
		again := as[orderView](t, s.call("POST", "/checkout/order/create/", mary, map[string]any{"book_ids": []int{3, 4}}))
		want(t, s.call("POST", "/checkout/order/"+strings.ToUpper(again.OrderID)+"/capture", mary, nil), 200, again.OrderID)
		if owned := as[[]bookView](t, s.call("GET", "/profile/library/", mary, nil)); len(owned) != 4 {
			t.Errorf("library %v", titles(owned))
		}

		guest := as[orderView](t, s.call("POST", "/checkout/order/create/", "", map[string]any{"book_ids": []int{2}}))
		admin := s.login("admin", adminPassword)
		orders := as[[]orderView](t, s.call("GET", "/orders/", admin, nil))
		if len(orders) != 3 || orders[0].OrderID != order.OrderID || len(orders[0].Books) != 3 || orders[2].OrderID != guest.OrderID ||
			orders[2].Client != nil || orders[2].Completed || orders[1].Client.Username != "mary" {
			t.Errorf("orders %+v", orders)
		}
		if page := as[[]orderView](t, s.call("GET", "/orders/?skip=1&limit=1", admin, nil)); len(page) != 1 || page[0].OrderID != again.OrderID {
			t.Errorf("page of orders %+v", page)
		}
		want(t, s.call("GET", "/books/9/download/", admin, nil), 200, "%PDF-")
	})
}

func TestGuestBuysAndReads(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		want(t, s.call("GET", "/books/5/download/", "", nil), 200, "%PDF-") // it costs nothing
		want(t, s.call("GET", "/books/2/download/", "", nil), 403, "Unauthorized")
		a := s.call("POST", "/checkout/order/create/", "", map[string]any{"book_ids": []int{2}})
		order := as[orderView](t, a)
		if a.status != 201 || order.Client != nil || order.Total != 8.5 {
			t.Fatalf("order: %d %s", a.status, a.body)
		}
		var guest string
		for range 2 {
			tok := as[tokenView](t, s.call("POST", "/checkout/order/"+order.OrderID+"/capture/", "", nil))
			if guest = tok.Access; tok.Type != "bearer" {
				t.Errorf("token %+v", tok)
			}
		}
		want(t, s.call("GET", "/books/2/download/", guest, nil), 200, "%PDF-")
		want(t, s.call("GET", "/books/3/download/", guest, nil), 403, "You have not bought this book")
		want(t, s.call("GET", "/profile/", guest, nil), 401, "Not authenticated")
	})
}

func TestAdministratorKeepsTheShop(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		admin, mary := s.login("admin", adminPassword), s.register("mary")
		in := map[string]any{
			"authors": []string{"jane AUSTEN", "Somebody New"}, "genres": []any{map[string]string{"name": "Romance"}, map[string]string{"name": "essay"}},
			"book": map[string]any{"title": "Straße / Räume", "publication_date": "2021-10-05", "price": 12.5, "language": "German"},
		}
		want(t, s.call("POST", "/books/", mary, in), 403, "Admin privileges required")
		a := s.call("POST", "/books/", admin, in)
		b := as[bookView](t, a)
		if a.status != 200 || b.Price != 12.5 || b.Date != "2021-10-05" || len(b.Authors) != 2 || b.Authors[0].ID != 1 ||
			b.Authors[0].Name != "Jane Austen" || b.Authors[1].Name != "Somebody New" || len(b.Genres) != 2 || b.Genres[0].Name != "romance" {
			t.Fatalf("new book: %d %s", a.status, a.body)
		}
		path := fmt.Sprintf("/books/%d/", b.ID)
		in["book"].(map[string]any)["title"] = "STRASSE / räume"
		want(t, s.call("POST", "/books/", admin, in), 200, "STRASSE")
		in["book"].(map[string]any)["title"] = "straße / RÄUME"
		want(t, s.call("POST", "/books/", admin, in), 409, "A book of this title exists")
		want(t, s.call("POST", "/books/", admin, map[string]any{
			"authors": []any{1}, "genres": []any{"x", map[string]any{}}, "book": map[string]any{"price": "free", "image": "%", "publication_date": "soon"},
		}), 422, `{"detail":[{"loc":["body","book","title"],"msg":"field required","type":"value_error.missing"},`+
			`{"loc":["body","book","price"],"msg":"must be an amount with at most two decimals","type":"type_error"},`+
			`{"loc":["body","book","publication_date"],"msg":"must be a day as YYYY-MM-DD","type":"type_error"},`+
			`{"loc":["body","book","image"],"msg":"must be text in base64","type":"type_error"},`+
			`{"loc":["body","authors"],"msg":"must be a list of texts","type":"type_error"},`+
			`{"loc":["body","genres",0],"msg":"must be an object","type":"type_error"},`+
			`{"loc":["body","genres",0,"name"],"msg":"field required","type":"value_error.missing"},`+
			`{"loc":["body","genres",1,"name"],"msg":"field required","type":"value_error.missing"}]}`)

		// A change tells what is absent from what is nothing, and zero from both.
		want(t, s.call("PATCH", path, admin, map[string]any{"price": 0, "description": "Rooms."}), 200, `"price":0`)
		a = s.call("PATCH", path, admin, map[string]any{"language": nil})
		if b := as[bookView](t, a); b.Price != 0 || b.Language != nil || b.Description == nil || *b.Description != "Rooms." || b.Title != "Straße / Räume" {
			t.Errorf("changed book: %s", a.body)
		}
		want(t, s.call("PATCH", path, admin, map[string]any{"title": "moby-dick"}), 409, "A book of this title exists")
		want(t, s.call("PATCH", path, admin, map[string]any{"title": nil, "price": -1}), 422, "must not be null")
		want(t, s.call("PATCH", path, admin, map[string]any{"price": 100_000_000}), 422, "must be from 0 to")
		want(t, s.call("PATCH", "/books/99/", admin, map[string]any{"price": 1}), 404, "Book not found")
		file := base64.StdEncoding.EncodeToString([]byte("%PDF-1.4 mine"))
		want(t, s.call("PATCH", path, admin, map[string]any{"file": file}), 200, "Räume")
		a = s.call("GET", path+"download/", "", nil) // it is free now
		want(t, a, 200, "%PDF-1.4 mine")
		if _, params, err := mime.ParseMediaType(a.header.Get("Content-Disposition")); err != nil || params["filename"] != "Straße - Räume.pdf" {
			t.Errorf("file name: %v", a.header)
		}

		want(t, s.call("PUT", path+"wishlist/", mary, nil), 200, "null")
		want(t, s.call("POST", path+"reviews/", mary, map[string]any{"rating": 4, "comment": "Roomy."}), 200, "Roomy.")
		want(t, s.call("DELETE", path, admin, nil), 200, "null")
		want(t, s.call("DELETE", path, admin, nil), 404, "Book not found")
		want(t, s.call("GET", "/profile/wishlist/", mary, nil), 200, `"books":[]`)

		author := s.call("POST", "/authors/", admin, map[string]string{"name": " Another "})
		want(t, author, 200, `"name":"Another"`)
		want(t, s.call("POST", "/authors/", admin, map[string]string{"name": "ANOTHER"}), 409, "An author of this name exists")
		want(t, s.call("DELETE", "/authors/1/", admin, nil), 200, "null")
		want(t, s.call("GET", "/authors/1/", "", nil), 404, "Author not found")
		want(t, s.call("GET", "/books/1/", "", nil), 200, `"authors":[]`)
		want(t, s.call("DELETE", "/genres/2/", admin, nil), 200, "null")
		want(t, s.call("DELETE", "/genres/2/", admin, nil), 404, "Genre not found")
	})
}

func TestCoverIsKeptUntilItChanges(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		ask := func(tag string) answer {
			t.Helper()
			req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/books/3/image/", nil)
			if err != nil {
				t.Fatal(err)
			}
			if tag != "" {
				req.Header.Set("If-None-Match", tag)
			}
			a, err := s.send(req)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		first := ask("")
		drawn, err := stock.Cover("Moby-Dick", "Herman Melville")
		if err != nil {
			t.Fatal(err)
		}
		if first.status != 200 || first.header.Get("Content-Type") != "image/png" || first.body != string(drawn) {
			t.Fatalf("cover: %d %v, %d bytes", first.status, first.header, len(first.body))
		}
		tag := first.header.Get("ETag")
		for _, known := range []string{tag, "W/" + tag} {
			if a := ask(known); a.status != 304 || a.body != "" || a.header.Get("ETag") != tag {
				t.Errorf("with %s: %d, %d bytes", known, a.status, len(a.body))
			}
		}
		for _, other := range []string{`"x"`, "\xff", `""`} {
			if a := ask(other); a.status != 200 || len(a.body) != len(drawn) {
				t.Errorf("with %q: %d, %d bytes", other, a.status, len(a.body))
			}
		}
		admin := s.login("admin", adminPassword)
		image := base64.StdEncoding.EncodeToString(append(drawn[:8:8], "another"...))
		want(t, s.call("PATCH", "/books/3/", admin, map[string]any{"image": image}), 200, "Moby-Dick")
		if a := ask(tag); a.status != 200 || a.header.Get("ETag") == tag || !strings.HasSuffix(a.body, "another") {
			t.Errorf("changed cover: %d %v", a.status, a.header)
		}
	})
}

// TestManyAtOnce lets users collide on purpose: all review one book, wish, and buy the same books, while the database
// is at its strictest, where PostgreSQL gives up whoever it cannot put in order. Nobody may notice.
func TestManyAtOnce(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		s.db.Exec(t, "ALTER DATABASE "+s.db.Name+" SET default_transaction_isolation = 'serializable'")
		s.db.Exec(t, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
		for range 8 { // the pools may hold connections that have just died
			_, _ = s.try(t.Context(), "GET", "/authors/", "", nil)
		}
		const users = 6
		var wg sync.WaitGroup
		for i := range users {
			name := fmt.Sprint("user", i)
			tok := s.register(name)
			wg.Go(func() {
				s.must(t, "POST", "/books/1/reviews/", tok, map[string]any{"rating": i % 6, "comment": name})
				s.must(t, "PUT", "/books/1/wishlist/", tok, nil)
				order := as[orderView](t, s.must(t, "POST", "/checkout/order/create/", tok, map[string]any{"book_ids": []int{4, 3, 2, 1}}))
				var both sync.WaitGroup
				for range 2 { // an impatient click
					both.Go(func() { s.must(t, "POST", "/checkout/order/"+order.OrderID+"/capture/", "", nil) })
				}
				both.Wait()
				if owned := as[[]bookView](t, s.must(t, "GET", "/profile/library/", tok, nil)); len(owned) != 4 {
					t.Errorf("%s owns %v", name, titles(owned))
				}
			})
		}
		wg.Wait()
		if b := as[bookView](t, s.call("GET", "/books/1/", "", nil)); b.Rating == nil || *b.Rating != 2.5 {
			t.Errorf("average %v, want 2.5", b.Rating)
		}
	})
}

// must asks and wants success. It may be called from any goroutine.
func (s *shop) must(t *testing.T, method, path, token string, body any) answer {
	a, err := s.try(context.WithoutCancel(t.Context()), method, path, token, body)
	if err != nil || a.status >= 300 {
		t.Errorf("%s %s: %d %s (%v)", method, path, a.status, a.body, err)
		a.body = "null"
	}
	return a
}
