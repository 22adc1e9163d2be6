package api

import "weir/bookstore"

func (a *API) orders(r *request) (any, error) {
	return list(r, defaultLimit, func(p bookstore.Page) ([]bookstore.Order, error) { return a.Shop.Orders(r.Context(), r.who, p) })
}

func (a *API) createOrder(r *request) (any, error) {
	f, err := formOf(r, bodyMax)
	if err != nil {
		return nil, err
	}
	ids := need[[]int64](f, "book_ids")
	if err := f.err(); err != nil {
		return nil, err
	}
	order, err := a.Shop.CreateOrder(r.Context(), r.who, ids)
	if err != nil {
		return nil, err
	}
	return created(order), nil
}

// captureOrder pays. A user finds the books in the library; a guest gets a token that opens them.
func (a *API) captureOrder(r *request) (any, error) {
	order, err := a.Shop.CaptureOrder(r.Context(), r.PathValue("order_id"))
	if err != nil {
		return nil, err
	}
	if order.Client != nil {
		return order, nil
	}
	return bearer(a.Keys.Guest(order.OrderedBooks))
}
