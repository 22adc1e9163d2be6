package storefront

import (
	"errors"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"weir/bookstore"
)

// reviewsShown is how many reviews a page of a book has.
const reviewsShown = 10

// bookPage is a book with all that is known of it.
type bookPage struct {
	Book           card
	Wished         bool
	Reviews        []bookstore.Review
	Number         int
	Earlier, Later string
	Form           reviewForm
}

// reviewForm is a review that the visitor writes, or changes.
type reviewForm struct {
	Own     *bookstore.Review
	Rating  int
	Comment string
	Wrong   map[string]string
}

// Ratings are those that can be given, the best first.
func (reviewForm) Ratings() []int { return []int{5, 4, 3, 2, 1, 0} }

func (s *Storefront) book(v *visit) error {
	id, err := v.id()
	if err != nil {
		return err
	}
	return v.showBook(http.StatusOK, id, nil)
}

// showBook shows a book; with a form if the visitor's review was not taken.
func (v *visit) showBook(status int, id int64, rejected *reviewForm) error {
	ctx := v.r.Context()
	b, err := v.shop.Shop.Book(ctx, id)
	if err != nil {
		return err
	}
	p := bookPage{Number: v.number("reviews"), Form: reviewForm{Rating: -1}}
	if p.Reviews, err = v.shop.Shop.Reviews(ctx, id, part(p.Number, reviewsShown)); err != nil {
		return err
	}
	p.Reviews, p.Earlier, p.Later = turn(p.Reviews, p.Number, reviewsShown, bookPath(id), "reviews")
	cards, err := v.cards([]bookstore.Book{*b})
	if err != nil {
		return err
	}
	p.Book = cards[0]
	if p.Wished, err = v.wished(id); err != nil {
		return err
	}
	if own := v.ownReview(p.Reviews); own != nil {
		p.Form = reviewForm{Own: own, Rating: own.Rating, Comment: own.Comment}
	}
	if rejected != nil {
		rejected.Own, p.Form = p.Form.Own, *rejected
	}
	return v.show(status, "book", b.Title, p)
}

func (v *visit) wished(id int64) (bool, error) {
	if v.who.Guest() {
		return false, nil
	}
	list, err := v.shop.Shop.Wishlist(v.r.Context(), v.who)
	if err != nil {
		if bookstore.Is(err, bookstore.Forbidden) {
			return false, nil
		}
		return false, err
	}
	return slices.ContainsFunc(list.Books, func(b bookstore.Book) bool { return b.ID == id }), nil
}

// ownReview is the visitor's among those.
func (v *visit) ownReview(reviews []bookstore.Review) *bookstore.Review {
	if v.who.Guest() {
		return nil
	}
	i := slices.IndexFunc(reviews, func(r bookstore.Review) bool { return strings.EqualFold(r.User.Username, v.who.Username) })
	if i < 0 {
		return nil
	}
	return &reviews[i]
}

// review writes a review, or changes the one that the form was shown for.
func (s *Storefront) review(v *visit) error {
	id, err := v.id()
	if err != nil {
		return err
	}
	f := reviewForm{Rating: -1, Comment: v.r.PostForm.Get("comment")}
	if n, err := strconv.Atoi(v.r.PostForm.Get("rating")); err == nil {
		f.Rating = n
	}
	if f.Rating < 0 {
		f.Wrong = map[string]string{"rating": "choose one"}
		return v.showBook(http.StatusUnprocessableEntity, id, &f)
	}
	if own := v.r.PostForm.Get("review"); own != "" {
		reviewID, parseErr := strconv.ParseInt(own, 10, 64)
		if parseErr != nil {
			return errNoPage
		}
		_, err = s.Shop.UpdateReview(v.r.Context(), v.who, reviewID, bookstore.ReviewChange{Rating: &f.Rating, Comment: &f.Comment})
	} else {
		_, err = s.Shop.CreateReview(v.r.Context(), v.who, id, bookstore.NewReview{Rating: f.Rating, Comment: f.Comment})
	}
	var e *bookstore.Error
	if errors.As(err, &e) && (e.Code == bookstore.Invalid || e.Code == bookstore.Conflict) {
		f.Wrong, _ = wrong(err)
		return v.showBook(statuses[e.Code], id, &f)
	}
	if err != nil {
		return err
	}
	return v.goTo(bookPath(id), "reviewed")
}

func (s *Storefront) unreview(v *visit) error {
	id, err := v.id()
	if err != nil {
		return err
	}
	review, err := strconv.ParseInt(v.r.PostForm.Get("review"), 10, 64)
	if err != nil {
		return errNoPage
	}
	if err := s.Shop.DeleteReview(v.r.Context(), v.who, review); err != nil {
		return err
	}
	return v.goTo(bookPath(id), "unreviewed")
}

// wish puts a book on the wishlist, or takes it off.
func (s *Storefront) wish(v *visit) error {
	id, err := v.id()
	if err != nil {
		return err
	}
	change, done := s.Shop.AddWish, "wished"
	if v.r.PostForm.Get("do") == "remove" {
		change, done = s.Shop.RemoveWish, "unwished"
	}
	if err := change(v.r.Context(), v.who, id); err != nil {
		return err
	}
	return v.goTo(local(v.r.PostForm.Get("back")), done)
}

// read sends a book to be read in the browser, or kept.
func (s *Storefront) read(v *visit) error {
	id, err := v.id()
	if err != nil {
		return err
	}
	who := v.who
	if slices.Contains(v.bought, id) { // as a guest, whoever he is now
		who = bookstore.Caller{Bought: v.bought}
	}
	text, err := s.Shop.Text(v.r.Context(), who, id)
	if err != nil {
		return err
	}
	disposition := "inline"
	if v.r.URL.Query().Has("keep") {
		disposition = "attachment"
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/pdf")
	h.Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": text.Title + ".pdf"}))
	h.Set("Content-Length", strconv.Itoa(len(text.PDF)))
	h.Set("Cache-Control", "private, no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if v.r.Method != http.MethodHead {
		_, _ = v.w.Write(text.PDF) //nolint:gosec // a PDF, and said to be one
	}
	return nil
}
