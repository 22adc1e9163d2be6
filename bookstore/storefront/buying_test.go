package storefront_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestAUserBuysAndReads(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		v := s.visitor(t).register("countess")
		v.open("/shop/books/1/read").sees(403, "You do not own this book")
		v.open("/").send("/shop/cart", "book", "1").sees(200, "It is in your cart.", "In your cart")
		v.send("/shop/cart", "book", "3").sees(200)
		v.send("/shop/cart", "book", "3").sees(200) // once is enough
		v.open("/shop/cart").sees(200, "Pride and Prejudice", "Moby-Dick", "2 books", "€\u00a022.49")
		v.send("/shop/cart", "book", "3", "do", "remove").sees(200, "€\u00a09.99").misses("Moby-Dick")
		total := v.open("/shop/cart").token()
		v.send("/shop/buy", "total", "9.99").
			sees(200, "Thank you!", "You paid €\u00a09.99 for 1 book", "Pride and Prejudice", "your library")
		if v.at != "/shop/thanks" {
			t.Errorf("the browser is at %s: reloading would buy again", v.at)
		}
		v.open("/shop/thanks").sees(200, "Pride and Prejudice")
		v.open("/shop/cart").sees(200, "Your cart is empty")
		v.open("/shop/library").sees(200, "Pride and Prejudice", "Read")
		v.open("/").sees(200, "Yours")
		v.open("/shop/books/1/read").sees(200)
		if !strings.HasPrefix(v.page, "%PDF-") || v.head.Get("Content-Type") != "application/pdf" ||
			v.head.Get("Content-Disposition") != `inline; filename="Pride and Prejudice.pdf"` {
			t.Errorf("what is read is no PDF: %v %.20q", v.head, v.page)
		}
		v.open("/shop/books/1/read?keep").sees(200)
		if !strings.HasPrefix(v.head.Get("Content-Disposition"), "attachment") {
			t.Errorf("%v", v.head)
		}

		// The same form once more, from a page that the browser still has.
		form := url.Values{"token": {total}, "total": {"9.99"}}
		v.do(v.request(http.MethodPost, "/shop/buy", form)).sees(200, "Your cart is empty")
		if n := s.count(t, "SELECT count(*) FROM orders WHERE completed"); n != 1 {
			t.Errorf("%d orders were paid, want 1", n)
		}
	})
}

func TestAGuestBuysAndKeepsWhatHeBought(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		v := s.visitor(t)
		v.open("/shop/library").sees(200, "New here?") // nothing bought, nobody known
		for _, book := range []struct{ id, total string }{{"1", "9.99"}, {"2", "8.50"}} {
			v.open("/").send("/shop/cart", "book", book.id)
			v.open("/shop/cart").sees(200, "without an account")
			v.send("/shop/buy", "total", book.total).sees(200, "Thank you!", "in this browser")
		}
		v.open("/shop/library").sees(200, "Pride and Prejudice", "Frankenstein", "without an account")
		v.open("/shop/books/1/read").sees(200)
		v.open("/shop/books/2/read").sees(200)
		v.open("/shop/books/3/read").sees(403)

		other := s.visitor(t)
		other.open("/shop/books/1/read").sees(403)
		if n := s.count(t, "SELECT count(*) FROM orders WHERE completed AND client_user_id IS NULL"); n != 2 {
			t.Errorf("%d guests' orders, want 2", n)
		}

		// Somebody who logs in has both.
		v.register("countess")
		v.open("/").send("/shop/cart", "book", "3")
		v.open("/shop/cart").send("/shop/buy", "total", "12.50").sees(200, "Thank you!")
		v.open("/shop/library").sees(200, "Moby-Dick", "Bought in this browser without an account", "Frankenstein")
		v.open("/shop/books/1/read").sees(200)
		v.open("/shop/books/3/read").sees(200)
		v.open("/shop/books/4/read").sees(403)
	})
}

func TestFreeBooksAreReadAtOnce(t *testing.T) {
	v := directly(t).visitor(t)
	v.open("/shop/books/5").sees(200, "Free", "Read", "Download").misses("Add to cart")
	v.open("/shop/books/5/read").sees(200)
	// One that got into a cart all the same leaves it.
	v.open("/").send("/shop/cart", "book", "5")
	v.open("/shop/cart").sees(200, "Your cart is empty")
}

func TestNothingIsPaidThatCostsMoreThanWasShown(t *testing.T) {
	s := directly(t)
	v := s.visitor(t).register("countess")
	v.open("/").send("/shop/cart", "book", "1")
	v.open("/shop/cart").sees(200, "€\u00a09.99")
	s.db.Exec(t, "UPDATE books SET price = 99 WHERE id = 1")
	v.send("/shop/buy", "total", "9.99").sees(409, "another price", "€\u00a099.00")
	if n := s.count(t, "SELECT count(*) FROM orders WHERE completed"); n != 0 {
		t.Errorf("%d orders were paid", n)
	}
	v.send("/shop/buy", "total", "99.00").sees(200, "Thank you!")

	v.open("/").send("/shop/cart", "book", "2")
	v.open("/shop/cart").sees(200, "Frankenstein")
	s.db.Exec(t, "DELETE FROM books WHERE id = 2")
	v.send("/shop/buy", "total", "8.50").sees(409, "gone", "Your cart is empty")
}

func TestACartTakesWhatACookieHolds(t *testing.T) {
	s := directly(t)
	v := s.visitor(t)
	v.open("/")
	for id := 100; id < 130; id++ {
		v.send("/shop/cart", "book", strings.Repeat("9", 15)+string(rune('0'+id%10))+string(rune('0'+id/10%10)))
	}
	v.open("/").sees(200, `</span>30<span class="unseen"> books`)
	v.send("/shop/cart", "book", "1").sees(200, "Your cart is full.")
	v.open("/shop/cart").sees(200, "Your cart is empty") // there are no such books

	u, _ := url.Parse(s.url)
	for _, cart := range []string{"1.1.1", "x.1.-5.0.99999999999999999999", ".1."} {
		v.http.Jar.SetCookies(u, []*http.Cookie{{Name: "cart", Value: cart, Path: "/"}})
		v.open("/shop/cart").sees(200, "1 book", "Pride and Prejudice")
	}
	v.open("/").send("/shop/cart", "book", "none").sees(404)
}

func TestAReceiptIsReadWithCare(t *testing.T) {
	s := directly(t)
	v := s.visitor(t)
	u, _ := url.Parse(s.url)
	for _, receipt := range []string{"", "nonsense", "a_b_c", "a_1"} {
		v.http.Jar.SetCookies(u, []*http.Cookie{{Name: "receipt", Value: receipt, Path: "/"}})
		v.open("/shop/thanks").sees(200, "New here?") // the library of nobody
	}
	v.http.Jar.SetCookies(u, []*http.Cookie{{Name: "receipt", Value: "<b>_100_1.777", Path: "/"}})
	v.open("/shop/thanks").sees(200, "Pride and Prejudice")
	if strings.Contains(v.page, "<b>") {
		t.Error("what a cookie says is taken for HTML")
	}
}
