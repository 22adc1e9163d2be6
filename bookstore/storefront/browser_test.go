package storefront_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"weir/internal/browsertest"
)

func TestBrowserBuysByKeyboardAndSeesEveryPage(t *testing.T) {
	browsertest.Chromium(t)
	s := throughWeir(t)
	p := sit(t, s)

	// A purchase without a mouse, by somebody who makes an account on the way.
	p.open("/")
	p.do(chromedp.KeyEvent(kb.Tab))
	if first := find[string](p, "document.activeElement.className"); first != "skip" {
		t.Errorf("the first Tab leads to %q, not past the menu", first)
	}
	p.press("Add to cart: Moby-Dick")
	p.until("It is in your cart.")
	p.press("Cart")
	p.until("Your cart")
	p.press("log in or register")
	p.until("New here?")
	p.tab("Password") // past the other form
	p.write("User name", "ishmael")
	p.write("Password", "call me that")
	p.do(chromedp.KeyEvent(kb.Enter))
	p.until("Welcome!")
	p.press("Buy")
	p.until("Thank you!")
	p.look("bought")
	if n := s.count(t, `SELECT count(*) FROM orders o JOIN users u ON u.id = o.client_user_id
		WHERE o.completed AND u.username = 'ishmael'`); n != 1 {
		t.Errorf("%d orders, want 1", n)
	}
	p.press("Read Moby-Dick")
	p.do(chromedp.Sleep(300 * time.Millisecond)) // the browser's own reader is no page of ours
	p.complaints.Take()

	// Something to see on every page.
	p.open("/shop/books/3")
	find[bool](p, "document.querySelector('[name=rating][value=\"5\"]').click() || true")
	p.do(chromedp.SendKeys(chromedp.CSS("#comment"), "It is about everything, and a whale."),
		chromedp.Click(chromedp.CSS("#review button")))
	p.until("Thank you for your review.")
	for _, id := range []string{"2", "6"} {
		p.open("/shop/books/" + id)
		p.do(chromedp.Click(chromedp.CSS("[aria-pressed=false]")))
		p.until("On your wishlist")
		p.do(chromedp.Click(chromedp.CSS(`form[action="/shop/cart"] button`)))
		p.until("It is in your cart.")
	}
	p.look("carted")
	pages := map[string]func(){
		"front": p.opens("/"), "second": p.opens("/?page=2"),
		"book": p.opens("/shop/books/3"), "other": p.opens("/shop/books/6"),
		"search": p.opens("/shop/search?q=melville"), "author": p.opens("/shop/authors/1"), "genre": p.opens("/shop/genres/1"),
		"cart": p.opens("/shop/cart"), "thanks": p.opens("/shop/thanks"),
		"library": p.opens("/shop/library"), "wishlist": p.opens("/shop/wishlist"),
		"profile": p.opens("/shop/profile"), "nowhere": p.opens("/shop/elsewhere"),
	}
	p.everywhere(pages)

	p.open("/shop/profile")
	p.do(chromedp.Click(chromedp.CSS(`form[action="/shop/logout"] button`)))
	p.until("You are logged out.")
	p.everywhere(map[string]func(){
		"login": p.opens("/shop/login"), "guestcart": p.opens("/shop/cart"), "guestbook": p.opens("/shop/books/1"),
		"wrong": func() {
			p.open("/shop/login")
			p.do(chromedp.SendKeys(chromedp.CSS("#name"), "ishmael"), chromedp.SendKeys(chromedp.CSS("#password"), "x"),
				chromedp.Click(chromedp.CSS(`form[action="/shop/register"] button`)))
			p.until("Username taken")
		},
	})
}

// The page is not ours: it is looked at for what it asks for, says, and does, not for how it looks.
func TestBrowserAsksTheAPIOnItsPage(t *testing.T) {
	browsertest.Chromium(t)
	p := sit(t, directly(t))
	const list = "#operations-books-getBooks" // GET /books/
	grounds := map[string]string{}
	for device, width := range map[string]int64{"desk": 1280, "phone": 390} {
		p.as("dark", width)
		p.do(chromedp.Navigate(p.shop.url+"/docs"), chromedp.WaitReady(chromedp.CSS(list)))
		grounds["dark"] = find[string](p, "getComputedStyle(document.body).backgroundColor")
		p.picture("dark-" + device + "-api")
		p.as("light", width)
		p.do(chromedp.Navigate(p.shop.url+"/docs"), chromedp.WaitReady(chromedp.CSS(list)))
		p.do(chromedp.Click(chromedp.CSS(list+" button.opblock-summary-control")), chromedp.Click(chromedp.CSS(list+" .try-out__btn")),
			chromedp.Click(chromedp.CSS(list+" button.execute")))
		p.until("Pride and Prejudice")
		if n := find[int](p, "document.querySelectorAll('.opblock').length"); n < 30 {
			t.Errorf("%d operations, want all", n)
		}
		grounds["light"] = find[string](p, "getComputedStyle(document.body).backgroundColor")
		if grounds["light"] == grounds["dark"] {
			t.Errorf("light and dark look alike: %v", grounds)
		}
		if w := find[int64](p, "innerWidth"); w != width {
			t.Errorf("a window of %d pixels shows %d", width, w)
		}
		if to := find[string](p, "document.querySelector('.shop-back a').getAttribute('href')"); to != "/" {
			t.Errorf("the way back leads to %q", to)
		}
		p.complained(device + "-api")
		p.picture(device + "-api")
	}
}

// load asks the shop for books until the test ends.
func (s *shop) load(t *testing.T, clients int) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(func() { stop(); all.Wait() })
	for i := range clients {
		path := []string{"/books/", "/async_books/"}[i%2]
		all.Go(func() {
			for ctx.Err() == nil {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
				if err != nil {
					return
				}
				if resp, err := http.DefaultClient.Do(req); err == nil {
					_ = resp.Body.Close()
				}
			}
		})
	}
}

func TestBrowserSeesTheExperimentLive(t *testing.T) {
	browsertest.Chromium(t)
	s := throughWeir(t)
	p := sit(t, s)
	p.open("/live")
	p.do(chromedp.Sleep(1500 * time.Millisecond))
	s.load(t, 16)
	number := func(tile string) (n float64) {
		text := find[string](p, "document.querySelector('[data-tile="+tile+"]').textContent.replaceAll(',', '')")
		_, _ = fmt.Sscanf(text, "%g", &n)
		return n
	}
	deadline := time.Now().Add(20 * time.Second)
	for number("requests") < 5 || number("clients") < 2 || find[int](p, "document.querySelectorAll('.plot path[d*=L]').length") < 10 {
		if time.Now().After(deadline) {
			t.Fatalf("nothing moves: %s", find[string](p, "document.querySelector('main').innerText"))
		}
		time.Sleep(100 * time.Millisecond)
	}
	if n, most := number("backends"), number("poolSize"); n < 1 || n > most {
		t.Errorf("%v backends, want 1 to %v", n, most)
	}
	p.do(chromedp.Sleep(6 * time.Second)) // a curve to look at
	points := func() int {
		return find[int](p, "(document.querySelector('.plot path').getAttribute('d').match(/L/g) || []).length")
	}
	before := points()
	p.open("/live")
	if after := points(); after < before-1 {
		t.Errorf("after a reload the picture has %d points, had %d", after, before)
	}
	if text := find[string](p, "document.querySelector('.heading code').textContent"); !strings.Contains(text, s.url+"/async_books/") {
		t.Errorf("the page says %q, the shop is at %s", text, s.url)
	}
	for _, scheme := range []string{"light", "dark"} {
		for device, width := range map[string]int64{"desk": 1280, "phone": 390, "small": 320} {
			p.as(scheme, width)
			find[bool](p, "dispatchEvent(new Event('resize'))")
			p.look(scheme + "-" + device + "-live")
		}
	}
}
