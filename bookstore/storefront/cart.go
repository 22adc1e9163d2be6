package storefront

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"weir/bookstore"
)

// cartPage is what the visitor is about to buy.
type cartPage struct {
	Books   []card
	Total   bookstore.Cents
	Changed bool // the prices are others than those that were shown before
}

// books reads those that there still are, each in a transaction of its own: a cart is small.
func (v *visit) books(ids []int64) ([]bookstore.Book, error) {
	books := make([]bookstore.Book, 0, len(ids))
	for _, id := range ids {
		b, err := v.shop.Shop.Book(v.r.Context(), id)
		if bookstore.Is(err, bookstore.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		books = append(books, *b)
	}
	return books, nil
}

func (s *Storefront) cart(v *visit) error { return v.showCart(http.StatusOK, false) }

// showCart takes out what is gone from the shop, or need not be bought.
func (v *visit) showCart(status int, changed bool) error {
	books, err := v.books(v.cart)
	if err != nil {
		return err
	}
	p := cartPage{Changed: changed}
	if p.Books, err = v.cards(books); err != nil {
		return err
	}
	p.Books = slices.DeleteFunc(p.Books, card.Readable)
	if len(p.Books) != len(v.cart) {
		left := make([]int64, len(p.Books))
		for i, b := range p.Books {
			left[i] = b.ID
		}
		v.setCart(left)
	}
	for _, b := range p.Books {
		p.Total += b.Price
	}
	return v.show(status, "cart", "Your cart", p)
}

// fill puts a book into the cart, or takes it out.
func (s *Storefront) fill(v *visit) error {
	id, err := strconv.ParseInt(v.r.PostForm.Get("book"), 10, 64)
	if err != nil || id < 1 {
		return errNoPage
	}
	back := local(v.r.PostForm.Get("back"))
	if v.r.PostForm.Get("do") == "remove" {
		v.setCart(slices.DeleteFunc(v.cart, func(other int64) bool { return other == id }))
		return v.goTo(back, "removed")
	}
	if len(v.cart) >= cartMax && !slices.Contains(v.cart, id) {
		return v.goTo("/shop/cart", "full")
	}
	if !slices.Contains(v.cart, id) {
		v.setCart(append(v.cart, id))
	}
	return v.goTo(back, "added")
}

// buy orders what is in the cart and pays, which always succeeds. An order that costs something else than the visitor was
// shown is not paid.
func (s *Storefront) buy(v *visit) error {
	if len(v.cart) == 0 { // bought already, in another window
		return v.goTo("/shop/cart", "")
	}
	order, err := s.Shop.CreateOrder(v.r.Context(), v.buyer(), v.cart)
	if bookstore.Is(err, bookstore.Invalid) { // a book is gone, or free by now
		return v.showCart(http.StatusConflict, true)
	}
	if err != nil {
		return err
	}
	if order.TotalPrice.String() != v.r.PostForm.Get("total") {
		return v.showCart(http.StatusConflict, true)
	}
	if order, err = s.Shop.CaptureOrder(v.r.Context(), order.OrderID); err != nil {
		return err
	}
	if v.who.Guest() {
		if err := v.remember(order.OrderedBooks); err != nil {
			return err
		}
	}
	v.setCookie(receiptCookie, receipt{order.OrderID, order.TotalPrice, v.cart}.String(), receiptLife)
	v.setCart(nil)
	return v.goTo("/shop/thanks", "")
}

// buyer is who orders: a guest's earlier purchases have nothing to do with it.
func (v *visit) buyer() bookstore.Caller { return bookstore.Caller{Username: v.who.Username} }

// remember keeps what a guest has bought in his browser, the latest first.
func (v *visit) remember(books []bookstore.Book) error {
	all := slices.Clone(books)
	for _, id := range v.bought {
		if !slices.ContainsFunc(books, func(b bookstore.Book) bool { return b.ID == id }) {
			all = append(all, bookstore.Book{ID: id})
		}
	}
	t, err := v.shop.Keys.Guest(all[:min(len(all), boughtMax)])
	if err != nil {
		return err
	}
	v.setCookie(boughtCookie, t, sessionLife)
	return nil
}

// receipt is what the browser keeps for the thank-you page.
type receipt struct {
	OrderID string
	Total   bookstore.Cents
	IDs     []int64
}

func (r receipt) String() string {
	return r.OrderID + "_" + strconv.FormatInt(int64(r.Total), 10) + "_" + textOf(r.IDs)
}

func receiptOf(text string) (r receipt, ok bool) {
	words := strings.Split(text, "_")
	if len(words) != 3 {
		return r, false
	}
	total, err := strconv.ParseInt(words[1], 10, 64)
	if err != nil {
		return r, false
	}
	return receipt{words[0], bookstore.Cents(total), idsOf(words[2], cartMax)}, true
}

// thanksPage is a purchase.
type thanksPage struct {
	OrderID string
	Total   bookstore.Cents
	Books   []card
}

func (s *Storefront) thanks(v *visit) error {
	r, ok := receiptOf(v.cookie(receiptCookie))
	if !ok {
		return v.goTo("/shop/library", "")
	}
	books, err := v.books(r.IDs)
	if err != nil {
		return err
	}
	p := thanksPage{OrderID: r.OrderID, Total: r.Total}
	if p.Books, err = v.cards(books); err != nil {
		return err
	}
	return v.show(http.StatusOK, "thanks", "Thank you", p)
}
