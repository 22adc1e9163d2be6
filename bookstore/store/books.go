package store

import (
	"context"
	"database/sql"

	"weir/bookstore"
)

const bookColumns = "b.id, b.title, b.description, b.language, b.price, b.publication_date, b.isbn, b.avg_rating"

// bookFields are where a row of bookColumns goes.
func bookFields(b *bookstore.Book) []any {
	return []any{&b.ID, &b.Title, &b.Description, &b.Language, &b.Price, &b.PublicationDate, &b.ISBN, &b.AvgRating}
}

// blobColumns and blobJoin bring the blobs back into a listing, where nobody wants them: Options.Blobs.
const (
	blobColumns = ", f.image, f.file"
	blobJoin    = " LEFT JOIN book_files f ON f.book_id = b.id"
)

func booksSQL(blobs bool) string {
	columns, join := bookColumns, ""
	if blobs {
		columns, join = columns+blobColumns, blobJoin
	}
	return "SELECT " + columns + " FROM books b" + join + " ORDER BY b.id LIMIT $1 OFFSET $2"
}

// Books lists books as the original's lazily loading mapper did: one SELECT for the books and then two for each of
// them, all in one transaction over the simple protocol, that ends in ROLLBACK. For 20 books that is 43 round trips on
// one backend. It is the shape on purpose: this is the chatty client, the worst case for any proxy. Joined is the same
// answer in one SELECT.
func (s *Store) Books(ctx context.Context, page bookstore.Page) (books []bookstore.Book, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		if books, err = s.queryBooks(ctx, tx, page); err != nil {
			return err
		}
		for i := range books {
			b := &books[i]
			b.Authors, err = queryNamed[bookstore.Author](ctx, tx,
				"SELECT a.name, a.id FROM authors a JOIN book_authors ba ON ba.author_id = a.id WHERE ba.book_id = $1 ORDER BY a.id", b.ID)
			if err != nil {
				return err
			}
			b.Genres, err = queryNamed[bookstore.Genre](ctx, tx,
				"SELECT g.name, g.id FROM genres g JOIN book_genres bg ON bg.genre_id = g.id WHERE bg.book_id = $1 ORDER BY g.id", b.ID)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return books, err
}

func (s *Store) queryBooks(ctx context.Context, tx *sql.Tx, page bookstore.Page) ([]bookstore.Book, error) {
	rows, err := tx.QueryContext(ctx, s.booksSQL, limitOrAll(page), page.Skip)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	books := []bookstore.Book{}
	var unwanted sql.RawBytes
	for rows.Next() {
		var b bookstore.Book
		fields := bookFields(&b)
		for len(fields) < len(columns) {
			fields = append(fields, &unwanted)
		}
		if err := rows.Scan(fields...); err != nil {
			return nil, err
		}
		books = append(books, b)
	}
	return books, rows.Err()
}

// limitOrAll is the argument of LIMIT: null means no limit.
func limitOrAll(page bookstore.Page) *int64 {
	if page.Limit == 0 {
		return nil
	}
	return &page.Limit
}

// selectBooks reads the books that a clause picks, with all that belongs to them, in one SELECT: what neither listing
// of the experiment needs takes the cheapest way. The clause follows FROM books b and says nothing of order.
func selectBooks(ctx context.Context, tx *sql.Tx, page bookstore.Page, clause string, args ...any) ([]bookstore.Book, error) {
	// The page is the first two arguments, so that a clause can count on from there.
	rows, err := tx.QueryContext(ctx, joinOf("SELECT "+bookColumns+" FROM books b "+clause+" ORDER BY b.id LIMIT $1 OFFSET $2", ""),
		append([]any{limitOrAll(page), page.Skip}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	books := []bookstore.Book{}
	for rows.Next() {
		var (
			b                     bookstore.Book
			authorID, genreID     sql.NullInt64
			authorName, genreName sql.NullString
		)
		if err := rows.Scan(append(bookFields(&b), &authorID, &authorName, &genreID, &genreName)...); err != nil {
			return nil, err
		}
		if len(books) == 0 || books[len(books)-1].ID != b.ID {
			b.Authors, b.Genres = []bookstore.Author{}, []bookstore.Genre{}
			books = append(books, b)
		}
		book := &books[len(books)-1]
		if authorID.Valid && newAuthor(book, authorID.Int64) {
			book.Authors = append(book.Authors, bookstore.Author{ID: authorID.Int64, Name: authorName.String})
		}
		if genreID.Valid && newGenre(book) {
			book.Genres = append(book.Genres, bookstore.Genre{ID: genreID.Int64, Name: genreName.String})
		}
	}
	return books, rows.Err()
}

// selectBook reads one book.
func selectBook(ctx context.Context, tx *sql.Tx, id int64) (*bookstore.Book, error) {
	books, err := selectBooks(ctx, tx, bookstore.Page{}, "WHERE b.id = $3", id)
	if err != nil {
		return nil, err
	}
	if len(books) == 0 {
		return nil, errNoBook
	}
	return &books[0], nil
}

// Book implements bookstore.Books.
func (s *Store) Book(ctx context.Context, id int64) (book *bookstore.Book, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		book, err = selectBook(ctx, tx, id)
		return err
	})
	return book, err
}
