package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"weir/bookstore"
)

// joinedSQL yields a row for each pair of an author and a genre of each book. The page is cut from the books before the
// join multiplies them.
const joinedSQL = `
SELECT b.id, b.title, b.description, b.language, b.price, b.publication_date, b.isbn, b.avg_rating,
       a.id, a.name, g.id, g.name
FROM (SELECT ` + bookColumns + ` FROM books ORDER BY id LIMIT $1 OFFSET $2) b
LEFT JOIN (book_authors ba JOIN authors a ON a.id = ba.author_id) ON ba.book_id = b.id
LEFT JOIN (book_genres bg JOIN genres g ON g.id = bg.genre_id) ON bg.book_id = b.id
ORDER BY b.id, a.id, g.id`

// Joined lists books as the original's eagerly loading mapper did: BEGIN, one SELECT that joins all, COMMIT, over the
// extended protocol. It is the shape on purpose: this is the fat client, three round trips and a large answer.
func (s *Store) Joined(ctx context.Context, page bookstore.Page) ([]bookstore.Book, error) {
	books := []bookstore.Book{}
	err := pgx.BeginFunc(ctx, s.async, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, joinedSQL, limitOrAll(page), page.Skip)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if books, err = addJoined(books, rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	if err != nil {
		return nil, classify(err)
	}
	return books, nil
}

// addJoined folds a row into the list. Rows come in order, so the book is the last one or a new one, its author is the
// last one or a new one, and all its genres came with its first author.
func addJoined(books []bookstore.Book, row pgx.Rows) ([]bookstore.Book, error) {
	var (
		b                     bookstore.Book
		authorID, genreID     *int64
		authorName, genreName *string
	)
	err := row.Scan(&b.ID, &b.Title, &b.Description, &b.Language, &b.Price, &b.PublicationDate, &b.ISBN, &b.AvgRating,
		&authorID, &authorName, &genreID, &genreName)
	if err != nil {
		return nil, err
	}
	if len(books) == 0 || books[len(books)-1].ID != b.ID {
		b.Authors, b.Genres = []bookstore.Author{}, []bookstore.Genre{}
		books = append(books, b)
	}
	book := &books[len(books)-1]
	if authorID != nil && (len(book.Authors) == 0 || book.Authors[len(book.Authors)-1].ID != *authorID) {
		book.Authors = append(book.Authors, bookstore.Author{ID: *authorID, Name: *authorName})
	}
	if genreID != nil && len(book.Authors) <= 1 {
		book.Genres = append(book.Genres, bookstore.Genre{ID: *genreID, Name: *genreName})
	}
	return books, nil
}
