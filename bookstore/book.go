package bookstore

import "context"

// Author is a writer of books.
type Author struct {
	Name string `json:"name"`
	ID   int64  `json:"id"`
}

// Genre is a kind of book.
type Genre struct {
	Name string `json:"name"`
	ID   int64  `json:"id"`
}

// Book is a book as the API shows it: the order of the fields is the order in its JSON. Cover and text of a book are
// never part of it.
type Book struct {
	Title           string   `json:"title"`
	Description     *string  `json:"description"`
	Language        *string  `json:"language"`
	Price           Cents    `json:"price"`
	PublicationDate Date     `json:"publication_date"`
	ISBN            *string  `json:"isbn"`
	ID              int64    `json:"id"`
	AvgRating       *float64 `json:"avg_rating"`
	Authors         []Author `json:"authors"`
	Genres          []Genre  `json:"genres"`
}

// Page is a part of a listing, ordered by id. Limit 0 means all that follow.
type Page struct {
	Skip  int64
	Limit int64
}

// NewBook is a book to be made. Authors and Genres are names, found whatever their case, or made.
type NewBook struct {
	Title           string
	Description     *string
	Language        *string
	Price           Cents
	PublicationDate Date
	ISBN            *string
	Authors, Genres []string
	Image           []byte // a PNG; nil for a cover that is drawn
	File            []byte // a PDF; nil for one that is made
}

// BookChange changes the fields of a book that are set; zero values count.
type BookChange struct {
	Title           *string
	Description     Optional[string]
	Language        Optional[string]
	Price           *Cents
	PublicationDate *Date
	ISBN            Optional[string]
	Image, File     []byte // nil leaves them
}

// Optional is a change of something that may be nothing: Set says whether it changes, Value nil takes it away.
type Optional[T any] struct {
	Set   bool
	Value *T
}

// Cover is the picture of a book.
type Cover struct {
	PNG []byte // nil when the one who asked has it already
	Tag string // changes with the picture; plain characters
}

// Text is a book to read.
type Text struct {
	Title string
	PDF   []byte
}

// Books are the books of the shop.
type Books interface {
	// Books lists with one SELECT for the books and two for each of them, on purpose: the chatty client.
	Books(context.Context, Page) ([]Book, error)
	// Joined is the same list from one SELECT: the fat client, and the cheaper of both. Pages of people use this one.
	Joined(context.Context, Page) ([]Book, error)
	// Book is one book. NotFound.
	Book(ctx context.Context, id int64) (*Book, error)
	// Cover is a book's picture. known is the Tag of one that the caller holds, or empty. NotFound.
	Cover(ctx context.Context, id int64, known string) (*Cover, error)
	// Text is for everybody if the book costs nothing, else for its owners, administrators, and guests whose token lists
	// it. NotFound, Forbidden.
	Text(ctx context.Context, who Caller, id int64) (*Text, error)
	// CreateBook is for administrators. Invalid, Conflict if there is a book of this title.
	CreateBook(ctx context.Context, who Caller, book NewBook) (*Book, error)
	// Search lists the books whose title, or one of whose authors, has these words in it, whatever their case.
	Search(ctx context.Context, words string, page Page) ([]Book, error)
	// UpdateBook is for administrators. Invalid, NotFound, Conflict.
	UpdateBook(ctx context.Context, who Caller, id int64, change BookChange) (*Book, error)
	// DeleteBook is for administrators. The book's reviews, and its places in libraries, orders and wishlists, go with
	// it. NotFound.
	DeleteBook(ctx context.Context, who Caller, id int64) error
}

// Authors are the writers of the shop's books.
type Authors interface {
	Authors(context.Context, Page) ([]Author, error)
	// Author is one author. NotFound.
	Author(ctx context.Context, id int64) (*Author, error)
	// AuthorBooks lists an author's books. NotFound.
	AuthorBooks(ctx context.Context, id int64, page Page) ([]Book, error)
	// CreateAuthor is for administrators. Invalid, Conflict.
	CreateAuthor(ctx context.Context, who Caller, name string) (*Author, error)
	// DeleteAuthor is for administrators; the books stay. NotFound.
	DeleteAuthor(ctx context.Context, who Caller, id int64) error
}

// Genres are the kinds of books. They come with the books.
type Genres interface {
	Genres(context.Context, Page) ([]Genre, error)
	// Genre is one genre. NotFound.
	Genre(ctx context.Context, id int64) (*Genre, error)
	// GenreBooks lists a genre's books. NotFound.
	GenreBooks(ctx context.Context, id int64, page Page) ([]Book, error)
	// DeleteGenre is for administrators; the books stay. NotFound.
	DeleteGenre(ctx context.Context, who Caller, id int64) error
}

// Shop is all services together.
type Shop interface {
	Books
	Authors
	Genres
	Users
	Reviews
	Wishlists
	Orders
}
