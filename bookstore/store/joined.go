package store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/bookstore"
)

// joinOf yields a row for each pair of an author and a genre of each of the books, in order. more are further columns
// of the books.
func joinOf(books, more string) string {
	return "SELECT " + bookColumns + ", a.id, a.name, g.id, g.name" + more + `
FROM (` + books + `) b
LEFT JOIN (book_authors ba JOIN authors a ON a.id = ba.author_id) ON ba.book_id = b.id
LEFT JOIN (book_genres bg JOIN genres g ON g.id = bg.genre_id) ON bg.book_id = b.id
ORDER BY b.id, a.id, g.id`
}

// joinedSQL cuts the page from the books before the join multiplies them, blobs included: the original's join repeated
// them in every row, too.
func joinedSQL(blobs bool) string {
	if !blobs {
		return joinOf("SELECT "+bookColumns+" FROM books b ORDER BY b.id LIMIT $1 OFFSET $2", "")
	}
	return joinOf("SELECT "+bookColumns+blobColumns+" FROM books b"+blobJoin+" ORDER BY b.id LIMIT $1 OFFSET $2", ", b.image, b.file")
}

// asText asks for values as text: they are read in place, and copied only where the answer needs them.
var asText = pgx.QueryResultFormats{pgx.TextFormatCode}

// Joined lists books as the original's eagerly loading mapper did: BEGIN, one SELECT that joins all, COMMIT, over the
// extended protocol with a named prepared statement. It is the shape on purpose: this is the fat client, three round
// trips and a large answer.
func (s *Store) Joined(ctx context.Context, page bookstore.Page) (books []bookstore.Book, err error) {
	err = s.retry(ctx, func() error {
		tx, err := s.async.Begin(ctx)
		if err != nil {
			return err
		}
		if books, err = s.queryJoined(ctx, tx, page); err != nil {
			_ = tx.Rollback(ctx) // the error before is the one to tell
			return err
		}
		if _, held := ctx.Value(holdKey{}).(*hold); held {
			endNowOrLater(ctx, func() { _ = tx.Commit(ctx) }) // it only read, and the answer is out
			return nil
		}
		return tx.Commit(ctx)
	})
	return books, err
}

// usualBooks is the room that a listing starts with: the original's experiment had 20.
const usualBooks = 20

func (s *Store) queryJoined(ctx context.Context, tx pgx.Tx, page bookstore.Page) ([]bookstore.Book, error) {
	rows, err := tx.Query(ctx, s.joinedSQL, asText, limitOrAll(page), page.Skip)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	books := make([]bookstore.Book, 0, usualBooks)
	for rows.Next() {
		if books, err = addJoined(books, rows.RawValues()); err != nil {
			return nil, err
		}
	}
	return books, rows.Err()
}

// The columns of joinOf.
const (
	colID = iota
	colTitle
	colDescription
	colLanguage
	colPrice
	colDate
	colISBN
	colRating
	colAuthorID
	colAuthorName
	colGenreID
	colGenreName
)

// addJoined folds a row into the list. Rows come in order, so the book is the last one or a new one, its author is the
// last one or a new one, and all its genres came with its first author. Values are read from the driver's buffer: this
// is the path that the experiment loads, and most of a row repeats what the one before it said.
func addJoined(books []bookstore.Book, row [][]byte) ([]bookstore.Book, error) {
	id, err := strconv.ParseInt(string(row[colID]), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read a book's id: %w", err)
	}
	if len(books) == 0 || books[len(books)-1].ID != id {
		b, err := bookOf(id, row)
		if err != nil {
			return nil, err
		}
		books = append(books, b)
	}
	book := &books[len(books)-1]
	if row[colAuthorID] != nil {
		id, err := strconv.ParseInt(string(row[colAuthorID]), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read an author's id: %w", err)
		}
		if newAuthor(book, id) {
			book.Authors = append(book.Authors, bookstore.Author{ID: id, Name: string(row[colAuthorName])})
		}
	}
	if row[colGenreID] != nil && newGenre(book) {
		id, err := strconv.ParseInt(string(row[colGenreID]), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read a genre's id: %w", err)
		}
		book.Genres = append(book.Genres, bookstore.Genre{ID: id, Name: string(row[colGenreName])})
	}
	return books, nil
}

// newAuthor says whether a row's author was not in the rows before it.
func newAuthor(book *bookstore.Book, id int64) bool {
	return len(book.Authors) == 0 || book.Authors[len(book.Authors)-1].ID != id
}

// newGenre says whether a row's genre was not in the rows before it, which it was as soon as there is a second author.
func newGenre(book *bookstore.Book) bool { return len(book.Authors) <= 1 }

func bookOf(id int64, row [][]byte) (b bookstore.Book, err error) {
	b.ID, b.Title = id, string(row[colTitle])
	b.Description, b.Language, b.ISBN = maybeText(row[colDescription]), maybeText(row[colLanguage]), maybeText(row[colISBN])
	b.Authors, b.Genres = []bookstore.Author{}, []bookstore.Genre{}
	if b.Price, err = bookstore.ParseCents(string(row[colPrice])); err != nil {
		return b, err
	}
	if b.PublicationDate.Time, err = time.Parse(time.DateOnly, string(row[colDate])); err != nil {
		return b, fmt.Errorf("read a book's date: %w", err)
	}
	if row[colRating] != nil {
		rating, err := strconv.ParseFloat(string(row[colRating]), 64)
		if err != nil {
			return b, fmt.Errorf("read a book's rating: %w", err)
		}
		b.AvgRating = &rating
	}
	return b, nil
}

func maybeText(b []byte) *string {
	if b == nil {
		return nil
	}
	s := string(b)
	return &s
}
