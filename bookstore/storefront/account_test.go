package storefront_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"weir/bookstore"
	"weir/bookstore/storefront"
)

func TestWhoRegistersIsLoggedInAndComesBack(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		v := s.visitor(t)
		v.open("/shop/wishlist").sees(200, "Log in", "New here?")
		v.send("/shop/register", "username", "countess", "password", "lovelace", "email", "countess@example.org",
			"next", "/shop/wishlist").
			sees(200, "Welcome!", "Wishlist")
		v.open("/shop/profile").sees(200, "countess", "countess@example.org", "Here since")
		v.send("/shop/logout").sees(200, "You are logged out.", "Log in").misses("countess")
		v.open("/shop/profile").sees(200, "New here?")
		v.send("/shop/login", "username", "COUNTESS", "password", "lovelace", "next", "/shop/profile").sees(200, "countess@example.org")
		v.send("/shop/logout").open("/?page=2")
		next := regexp.MustCompile(`/shop/login\?next=[^"]*`).FindString(v.page)
		v.open(next).send("/shop/login", "username", "countess", "password", "byron", "next", "/?page=2").sees(401)
		if again := regexp.MustCompile(`/shop/login\?next=[^"]*`).FindString(v.page); again != next {
			t.Errorf("after a wrong password the way back is %s, was %s", again, next)
		}
		v.send("/shop/login", "username", "countess", "password", "lovelace", "next", "/?page=2").sees(200, "Page 2")
		v.open("/shop/login?next=/live").sees(200, "The experiment, live") // needs no login any more
	})
}

func TestLoginTellsNotWhatWasWrong(t *testing.T) {
	v := directly(t).visitor(t)
	v.register("countess").send("/shop/logout")
	const says = "Wrong user name or password."
	v.open("/shop/login").send("/shop/login", "username", "countess", "password", "byron").sees(401, says, `value="countess"`)
	v.open("/shop/login").send("/shop/login", "username", "stranger", "password", "byron").sees(401, says)
	if v.cookie("session") != "" {
		t.Error("there is a session all the same")
	}
	if strings.Contains(v.page, "byron") {
		t.Error("the page shows the password")
	}
}

func TestRegistrationSaysWhatIsWrongWithEachField(t *testing.T) {
	v := directly(t).visitor(t)
	v.open("/shop/login").send("/shop/register", "username", "al", "password", "", "email", "nowhere").
		sees(422, "must have at least 3 characters", "must not be empty", "must be an e-mail address", `value="nowhere"`)
	v.register("countess").send("/shop/logout")
	v.open("/shop/login").send("/shop/register", "username", "Countess", "password", "another").sees(422, "Username taken")
}

func TestNobodyIsSentToAnotherServer(t *testing.T) {
	s := directly(t)
	s.visitor(t).register("countess")
	for _, next := range []string{
		"https://evil.example/", "//evil.example/", `/\evil.example/`, "javascript:alert(1)", "evil.example", "/\t/evil.example", "",
	} {
		v := s.visitor(t)
		v.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		v.open("/shop/login?next=" + url.QueryEscape(next)).sees(200)
		v.send("/shop/login", "username", "countess", "password", "a good one", "next", next).sees(303)
		if to := v.head.Get("Location"); to != "/" {
			t.Errorf("%q leads to %q", next, to)
		}
	}
}

func TestCookiesAreForTheServerAlone(t *testing.T) {
	for _, secure := range []bool{false, true} {
		v := directly(t, func(o *storefront.Options) { o.SecureCookies = secure }).visitor(t)
		v.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		v.http.Jar = nil
		check := func(name string) (value string) {
			t.Helper()
			for _, line := range v.head.Values("Set-Cookie") {
				c, err := http.ParseSetCookie(line)
				if err != nil {
					t.Fatal(err)
				}
				if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Secure != secure {
					t.Errorf("secure %v: %s", secure, line)
				}
				if c.Name == name {
					value = c.Value
				}
			}
			if value == "" {
				t.Errorf("no cookie %s in %v", name, v.head)
			}
			return value
		}
		form := formToken(v.open("/shop/login"), check)
		req := v.request(http.MethodPost, "/shop/register",
			url.Values{"token": {form}, "username": {"countess"}, "password": {"lovelace"}})
		req.Header.Set("Cookie", "form="+form)
		v.do(req).sees(303)
		check("session")
	}
}

// formToken is the form's token, whose cookie is as it should be.
func formToken(v *visitor, check func(string) string) string {
	v.t.Helper()
	form := check("form")
	if form != v.token() {
		v.t.Error("cookie and form have different tokens")
	}
	return form
}

func TestFormsFromElsewhereDoNothing(t *testing.T) {
	s := directly(t)
	v := s.visitor(t).register("countess")
	v.open("/shop/books/3").sees(200)
	good := v.token()
	stranger := s.visitor(t).open("/shop/login").token()
	for name, change := range map[string]func(url.Values, http.Header){
		"no token":          func(f url.Values, _ http.Header) { f.Del("token") },
		"a stranger's":      func(f url.Values, _ http.Header) { f.Set("token", stranger) },
		"an empty one":      func(f url.Values, _ http.Header) { f.Set("token", "") },
		"another site":      func(_ url.Values, h http.Header) { h.Set("Sec-Fetch-Site", "cross-site") },
		"a sibling":         func(_ url.Values, h http.Header) { h.Set("Sec-Fetch-Site", "same-site") },
		"another origin":    func(_ url.Values, h http.Header) { h.Set("Origin", "https://evil.example") },
		"another kind":      func(_ url.Values, h http.Header) { h.Set("Content-Type", "text/plain") },
		"an unnamed origin": func(_ url.Values, h http.Header) { h.Set("Origin", "null") },
	} {
		f := url.Values{"token": {good}, "do": {"add"}, "back": {"/"}}
		req := v.request(http.MethodPost, "/shop/books/3/wish", f)
		change(f, req.Header)
		sent := v.request(http.MethodPost, "/shop/books/3/wish", f)
		sent.Header = req.Header
		if v.do(sent); v.code != http.StatusForbidden {
			t.Errorf("%s: %d", name, v.code)
		}
	}
	if n := s.count(t, "SELECT count(*) FROM wishlisted_books"); n != 0 {
		t.Errorf("%d wishes all the same", n)
	}
	v.open("/shop/books/3").send("/shop/books/3/wish", "do", "add").sees(200, "It is on your wishlist.")
}

func TestLoggingInChangesTheFormsToken(t *testing.T) {
	v := directly(t).visitor(t)
	before := v.open("/shop/login").token()
	v.register("countess")
	if after := v.open("/shop/profile").token(); after == before {
		t.Error("whoever planted the token before still knows it")
	}
}

func TestASessionThatIsOverIsAGuests(t *testing.T) {
	s := directly(t)
	v := s.visitor(t).register("countess")
	session := func(value string) {
		u, _ := url.Parse(s.url)
		v.http.Jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: value, Path: "/"}})
	}
	session("nonsense")
	v.open("/").sees(200, "Log in").misses("countess")
	if v.cookie("session") != "" {
		t.Error("the browser keeps what does not hold")
	}
	// The account is gone, its token still holds.
	ghost, err := s.keys.User(&bookstore.User{Username: "ghost", IsActive: true})
	if err != nil {
		t.Fatal(err)
	}
	session(ghost)
	v.open("/shop/profile").sees(200, "New here?")
	if v.cookie("session") != "" {
		t.Error("the browser keeps what does not hold")
	}
	// A guest's token makes no user.
	guest, err := s.keys.Guest([]bookstore.Book{{ID: 1}})
	if err != nil {
		t.Fatal(err)
	}
	session(guest)
	v.open("/shop/profile").sees(200, "New here?")
}

func TestWhoIsNotActiveMayStillLookAround(t *testing.T) {
	s := directly(t)
	v := s.visitor(t).register("countess")
	s.db.Exec(t, "UPDATE users SET is_active = false WHERE username = 'countess'")
	v.open("/").sees(200, "Pride and Prejudice")
	v.open("/shop/books/1").sees(200)
	v.open("/shop/profile").sees(403, "The account is not active")
	v.send("/shop/logout")
	v.open("/shop/login").send("/shop/login", "username", "countess", "password", "a good one").sees(401, "not active")
}
