package storefront_test

import (
	"regexp"
	"strings"
	"testing"
)

func TestWishesComeAndGo(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		v := s.visitor(t)
		v.open("/shop/books/3").send("/shop/books/3/wish", "do", "add").sees(200, "New here?") // a guest has to log in
		if v.at != "/shop/login?next=%2Fshop%2Fbooks%2F3" {
			t.Errorf("sent to %s", v.at)
		}
		v.register("countess")
		v.open("/shop/wishlist").sees(200, "There is nothing on your wishlist.")
		v.open("/shop/books/3").send("/shop/books/3/wish", "do", "add").sees(200, "It is on your wishlist.", "♥ On your wishlist")
		v.open("/shop/wishlist").sees(200, "Moby-Dick", "€\u00a012.50")
		v.send("/shop/books/3/wish", "do", "remove").sees(200, "It is no longer on your wishlist.").misses("Moby-Dick")
		v.open("/shop/books/3").send("/shop/books/99/wish", "do", "add").sees(404)
	})
}

var ownReview = regexp.MustCompile(`name="review" value="(\d+)"`)

func TestReviewsAreWrittenChangedAndDeleted(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		s.db.Exec(t, "DELETE FROM reviews")
		v := s.visitor(t).register("countess")
		v.open("/shop/books/4").sees(200, "Nobody has reviewed this book yet.")
		v.send("/shop/books/4/reviews", "comment", "good").sees(422, "choose one", ">good</textarea>")
		v.send("/shop/books/4/reviews", "rating", "9", "comment", "good").sees(422, "must be from 0 to 5")
		v.send("/shop/books/4/reviews", "rating", "4", "comment", "  ").sees(422, "must not be empty")
		v.send("/shop/books/4/reviews", "rating", "4", "comment", "<script>alert(1)</script> & so on").
			sees(200, "Thank you for your review.", "4 of 5", "Your review")
		if strings.Contains(v.page, "<script>alert") {
			t.Error("a review is taken for HTML")
		}
		own := ownReview.FindStringSubmatch(v.page)
		v.send("/shop/books/4/reviews", "rating", "1", "comment", "again").sees(409, "already", ">again</textarea>")
		v.send("/shop/books/4/reviews", "review", own[1], "rating", "0", "comment", "on second thoughts").
			sees(200, "0 of 5", "on second thoughts", "edited")

		other := s.visitor(t).register("stranger")
		other.open("/shop/books/4").send("/shop/books/4/reviews", "review", own[1], "rating", "5", "comment", "mine now").sees(403)
		other.open("/shop/books/4").send("/shop/books/4/reviews/delete", "review", own[1]).sees(403)
		other.open("/shop/books/4").sees(200, "on second thoughts")

		v.open("/shop/books/4").send("/shop/books/4/reviews/delete", "review", own[1]).
			sees(200, "Your review is gone.", "Nobody has reviewed this book yet.")
		s.visitor(t).open("/shop/books/4").sendAsGuest("/shop/books/4/reviews", t)
	})
}

// sendAsGuest is a guest's review: he is sent to log in.
func (v *visitor) sendAsGuest(path string, t *testing.T) {
	t.Helper()
	v.send(path, "rating", "5", "comment", "I was never here").sees(200, "New here?")
}

func TestManyReviewsArePaged(t *testing.T) {
	s := directly(t)
	s.db.Exec(t, "DELETE FROM reviews",
		`INSERT INTO reviews (rating, comment, review_date, user_id, book_id)
		 SELECT 3, 'review number ' || row_number() OVER (ORDER BY id), current_date, id, 2 FROM users ORDER BY id LIMIT 12`)
	v := s.visitor(t)
	v.open("/shop/books/2").sees(200, "review number 10", "Next →").misses("review number 11")
	v.open("/shop/books/2?reviews=2").sees(200, "review number 12", "← Previous").misses("review number 9<")
}
