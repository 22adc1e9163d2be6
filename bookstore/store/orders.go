package store

import (
	"context"
	"database/sql"
	"errors"
	"regexp"

	"weir/bookstore"
)

// CreateOrder implements bookstore.Orders.
func (s *Store) CreateOrder(ctx context.Context, who bookstore.Caller, bookIDs []int64) (order *bookstore.Order, err error) {
	invalid := bookstore.CheckOrder(bookIDs)
	err = s.write(ctx, func(tx *sql.Tx) error {
		order = new(bookstore.Order)
		var clientID *int64
		if !who.Guest() {
			if order.Client, err = member(ctx, tx, who); err != nil {
				return err
			}
			clientID = &order.Client.ID
		}
		if invalid != nil {
			return invalid
		}
		if order.OrderedBooks, err = selectBooks(ctx, tx, bookstore.Page{}, "WHERE b.id = ANY($3::bigint[])", bookIDs); err != nil {
			return err
		}
		if order.TotalPrice, err = total(bookIDs, order.OrderedBooks); err != nil {
			return err
		}
		err := tx.QueryRowContext(ctx, `INSERT INTO orders (total_price, client_user_id) VALUES ($1, $2)
			RETURNING order_date, order_id, completed, id`, order.TotalPrice, clientID).
			Scan(&order.OrderDate, &order.OrderID, &order.Completed, &order.ID)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO ordered_books (order_id, book_id) SELECT $1::bigint, unnest($2::bigint[])",
			order.ID, bookIDs)
		return err
	})
	return order, err
}

// total is the price of an order, or what is wrong with it. books are those that there are of ids.
func total(ids []int64, books []bookstore.Book) (sum bookstore.Cents, err error) {
	known := make(map[int64]bool, len(books))
	for i := range books {
		known[books[i].ID] = true
		sum += books[i].Price
	}
	invalid := &bookstore.Error{Code: bookstore.Invalid, Detail: "invalid order"}
	wrong := func(msg string, loc ...any) {
		invalid.Fields = append(invalid.Fields, bookstore.Field{Loc: append([]any{"body", "book_ids"}, loc...), Msg: msg, Type: "value_error"})
	}
	for i, id := range ids {
		if !known[id] {
			wrong("there is no such book", i)
		}
	}
	if invalid.Fields == nil && (sum <= 0 || sum > bookstore.CentsMax) {
		wrong("the total must be above 0 and at most " + bookstore.CentsMax.String() + "; free books need no order")
	}
	if invalid.Fields != nil {
		return 0, invalid
	}
	return sum, nil
}

// uuid is the form that PostgreSQL takes; it takes others, which we never gave out.
var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

const orderColumns = "o.order_date, o.total_price, o.order_id, o.completed, o.id, o.client_user_id"

// CaptureOrder implements bookstore.Orders. The order is locked, so that of two who capture it at once the second finds
// it completed.
func (s *Store) CaptureOrder(ctx context.Context, orderID string) (order *bookstore.Order, err error) {
	if !uuid.MatchString(orderID) {
		return nil, errNoOrder
	}
	err = s.write(ctx, func(tx *sql.Tx) error {
		order = new(bookstore.Order)
		var clientID *int64
		err := tx.QueryRowContext(ctx, "SELECT "+orderColumns+" FROM orders o WHERE o.order_id = $1::uuid FOR UPDATE", orderID).
			Scan(&order.OrderDate, &order.TotalPrice, &order.OrderID, &order.Completed, &order.ID, &clientID)
		if errors.Is(err, sql.ErrNoRows) {
			return errNoOrder
		}
		if err != nil {
			return err
		}
		if !order.Completed {
			if err := complete(ctx, tx, order.ID, clientID); err != nil {
				return err
			}
			order.Completed = true
		}
		if clientID != nil {
			clients, err := queryUsers(ctx, tx, "WHERE u.id = $1", *clientID)
			if err != nil {
				return err
			}
			order.Client = &clients[0] // the foreign key says that there is one
		}
		order.OrderedBooks, err = selectBooks(ctx, tx, bookstore.Page{}, "JOIN ordered_books ob ON ob.book_id = b.id WHERE ob.order_id = $3", order.ID)
		return err
	})
	return order, err
}

// complete marks an order as paid and gives its books to its client, in the order of their ids: two orders of one
// client that share books then wait for each other in one direction only.
func complete(ctx context.Context, tx *sql.Tx, id int64, clientID *int64) error {
	if _, err := tx.ExecContext(ctx, "UPDATE orders SET completed = true WHERE id = $1", id); err != nil {
		return err
	}
	if clientID == nil {
		return nil
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO book_ownership (user_id, book_id)
		SELECT $1::bigint, book_id FROM ordered_books WHERE order_id = $2 ORDER BY book_id ON CONFLICT DO NOTHING`, *clientID, id)
	return err
}

// Orders implements bookstore.Orders, in one SELECT each for the orders, what they hold, and the books.
func (s *Store) Orders(ctx context.Context, who bookstore.Caller, page bookstore.Page) (orders []bookstore.Order, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		if err := admin(ctx, tx, who); err != nil {
			return err
		}
		if orders, err = queryOrders(ctx, tx, page); err != nil {
			return err
		}
		return fillOrders(ctx, tx, orders)
	})
	return orders, err
}

func queryOrders(ctx context.Context, tx *sql.Tx, page bookstore.Page) ([]bookstore.Order, error) {
	rows, err := tx.QueryContext(ctx, "SELECT "+orderColumns+`,
		coalesce(u.username, ''), u.email, coalesce(u.is_active, false), coalesce(u.is_admin, false), coalesce(u.register_date, o.order_date)
		FROM orders o LEFT JOIN users u ON u.id = o.client_user_id ORDER BY o.id LIMIT $1 OFFSET $2`, limitOrAll(page), page.Skip)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	orders := []bookstore.Order{}
	for rows.Next() {
		o, u, clientID := bookstore.Order{OrderedBooks: []bookstore.Book{}}, bookstore.User{}, (*int64)(nil)
		err := rows.Scan(&o.OrderDate, &o.TotalPrice, &o.OrderID, &o.Completed, &o.ID, &clientID,
			&u.Username, &u.Email, &u.IsActive, &u.IsAdmin, &u.RegisterDate)
		if err != nil {
			return nil, err
		}
		if clientID != nil {
			u.ID = *clientID
			o.Client = &u
		}
		orders = append(orders, o)
	}
	return orders, rows.Err()
}

// fillOrders reads the books of orders.
func fillOrders(ctx context.Context, tx *sql.Tx, orders []bookstore.Order) error {
	at, ids := make(map[int64]*bookstore.Order, len(orders)), make([]int64, len(orders))
	for i := range orders {
		at[orders[i].ID], ids[i] = &orders[i], orders[i].ID
	}
	books, err := selectBooks(ctx, tx, bookstore.Page{},
		"WHERE b.id IN (SELECT book_id FROM ordered_books WHERE order_id = ANY($3::bigint[]))", ids)
	if err != nil {
		return err
	}
	book := make(map[int64]*bookstore.Book, len(books))
	for i := range books {
		book[books[i].ID] = &books[i]
	}
	rows, err := tx.QueryContext(ctx,
		"SELECT order_id, book_id FROM ordered_books WHERE order_id = ANY($1::bigint[]) ORDER BY order_id, book_id", ids)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var orderID, bookID int64
		if err := rows.Scan(&orderID, &bookID); err != nil {
			return err
		}
		// A book that came between the two SELECTs, or went, is left out.
		if o, b := at[orderID], book[bookID]; o != nil && b != nil {
			o.OrderedBooks = append(o.OrderedBooks, *b)
		}
	}
	return rows.Err()
}
