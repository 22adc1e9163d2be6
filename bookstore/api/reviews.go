package api

import "weir/bookstore"

func (a *API) reviews(r *request) (any, error) {
	return one(r, func(id int64) (any, error) {
		return list(r, defaultLimit, func(p bookstore.Page) ([]bookstore.Review, error) { return a.Shop.Reviews(r.Context(), id, p) })
	})
}

func (a *API) createReview(r *request) (any, error) {
	f, err := formOf(r, bodyMax)
	if err != nil {
		return nil, err
	}
	n := bookstore.NewReview{Rating: need[int](f, "rating"), Comment: need[string](f, "comment")}
	if err := f.err(); err != nil {
		return nil, err
	}
	return one(r, func(id int64) (*bookstore.Review, error) { return a.Shop.CreateReview(r.Context(), r.who, id, n) })
}

func (a *API) updateReview(r *request) (any, error) {
	f, err := formOf(r, bodyMax)
	if err != nil {
		return nil, err
	}
	c := bookstore.ReviewChange{Rating: set[int](f, "rating"), Comment: set[string](f, "comment")}
	if err := f.err(); err != nil {
		return nil, err
	}
	return one(r, func(id int64) (*bookstore.Review, error) { return a.Shop.UpdateReview(r.Context(), r.who, id, c) })
}

func (a *API) deleteReview(r *request) (any, error) {
	return do(r, func(id int64) error { return a.Shop.DeleteReview(r.Context(), r.who, id) })
}
