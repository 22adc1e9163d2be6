package stock_test

import (
	"bytes"
	"fmt"
	"image/png"
	"reflect"
	"strings"
	"testing"

	"weir/bookstore"
	"weir/bookstore/stock"
)

func TestAnyNumberOfBooksHasTitlesOfItsOwn(t *testing.T) {
	const n = 70_000 // more than qualities, things and places give: volumes, too
	books := stock.Books(n)
	titles, numbers := map[string]bool{}, map[string]bool{}
	for i, b := range books {
		if title := strings.ToLower(b.Title); titles[title] {
			t.Fatalf("book %d: a second %q", i, b.Title)
		} else {
			titles[title] = true
		}
		if b.ISBN != nil {
			if numbers[*b.ISBN] {
				t.Fatalf("book %d: a second ISBN %s", i, *b.ISBN)
			}
			numbers[*b.ISBN] = true
		}
		if err := b.Check(); err != nil || len(b.Authors) == 0 || len(b.Genres) == 0 {
			t.Fatalf("book %d: %+v: %v", i, b, err)
		}
	}
	if !reflect.DeepEqual(stock.Books(100), books[:100]) {
		t.Error("the first hundred books are others when more are asked for")
	}
}

func TestISBNsHaveRightCheckDigits(t *testing.T) {
	for _, b := range stock.Books(60) {
		if b.ISBN == nil {
			continue
		}
		sum := 0
		for i, c := range *b.ISBN {
			sum += int(c-'0') * (1 + 2*(i%2))
		}
		if len(*b.ISBN) != 13 || sum%10 != 0 {
			t.Errorf("%q: ISBN %s", b.Title, *b.ISBN)
		}
	}
}

func TestCoversDifferAndStayTheSame(t *testing.T) {
	seen := map[string]string{}
	for _, b := range stock.Books(24) {
		author := strings.Join(b.Authors, ", ")
		cover, err := stock.Cover(b.Title, author)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[string(cover)]; ok {
			t.Errorf("%q has the cover of %q", b.Title, other)
		}
		seen[string(cover)] = b.Title
		again, err := stock.Cover(b.Title, author)
		if err != nil || !bytes.Equal(cover, again) {
			t.Errorf("%q: another cover the second time (%v)", b.Title, err)
		}
		picture, err := png.Decode(bytes.NewReader(cover))
		if err != nil {
			t.Fatalf("%q: %v", b.Title, err)
		}
		if size := picture.Bounds().Size(); size.X*3 != size.Y*2 || len(cover) > 64<<10 {
			t.Errorf("%q: %v in %d bytes", b.Title, size, len(cover))
		}
	}
	// Whatever an administrator calls a book, it can be drawn.
	for _, title := range []string{"x", strings.Repeat("long ", 40), strings.Repeat("w", 200), "日本 \u202e"} {
		if _, err := stock.Cover(title, title); err != nil {
			t.Errorf("%q: %v", title, err)
		}
	}
}

// The offsets of a PDF are what a reader goes by; qpdf and poppler were content with the rest.
func TestPDFsTableLeadsToItsObjects(t *testing.T) {
	pdf := string(stock.PDF(`A (strange) \ title`, "Karel Čapek", "Čeština, Deutsch & 日本"))
	if !strings.HasPrefix(pdf, "%PDF-1.4\n") || !strings.HasSuffix(pdf, "%%EOF\n") {
		t.Fatalf("no PDF: %q", pdf)
	}
	var start, n int
	if _, err := fmt.Sscanf(pdf[strings.LastIndex(pdf, "startxref"):], "startxref\n%d", &start); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(pdf[start:], "xref\n0 %d\n", &n); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(pdf[start:], "\n")[2:]
	for i := 1; i < n; i++ {
		var offset int
		if _, err := fmt.Sscanf(lines[i], "%010d 00000 n ", &offset); err != nil || len(lines[i]) != 19 {
			t.Fatalf("line %q: %v", lines[i], err)
		}
		if want := fmt.Sprintf("%d 0 obj\n", i); !strings.HasPrefix(pdf[offset:], want) {
			t.Errorf("object %d: the table leads to %.20q", i, pdf[offset:])
		}
	}
	for _, want := range []string{`(A \(strange\) \\ title)`, "(Karel Capek)", "(Ce\x9atina, Deutsch & ??)"} {
		if !strings.Contains(pdf, want) {
			t.Errorf("no %s in it", want)
		}
	}
}

func TestReadersReviewWhatThereIs(t *testing.T) {
	books := stock.Books(20)
	readers := stock.Readers(60, books)
	if !reflect.DeepEqual(readers, stock.Readers(60, books)) {
		t.Error("other readers the second time")
	}
	names := map[string]bool{}
	for _, r := range readers {
		n := bookstore.NewUser{Username: r.Username, Password: "x"}
		if err := n.Check(); err != nil || names[r.Username] {
			t.Errorf("reader %q: %v, or a second one", r.Username, err)
		}
		names[r.Username] = true
		said := map[string]bool{}
		for _, review := range r.Reviews {
			n := bookstore.NewReview{Rating: review.Rating, Comment: review.Comment}
			if err := n.Check(); err != nil || said[review.Title] {
				t.Errorf("%s on %q: %v, or a second time", r.Username, review.Title, err)
			}
			said[review.Title] = true
		}
		if len(said) == 0 {
			t.Errorf("%s says nothing", r.Username)
		}
	}
	if got := stock.Readers(3, nil); len(got) != 3 || len(got[0].Reviews) != 0 {
		t.Errorf("without books: %+v", got)
	}
}
