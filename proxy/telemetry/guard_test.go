package telemetry

import (
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTokenGuardsAllButHealth(t *testing.T) {
	const secret = "correct horse-battery"
	token := secret
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "the page") })
	h := handler(Options{
		Source: sample{}, Ready: func() error { return nil }, Page: page, Token: func() string { return token }, Pprof: true, Log: slog.New(slog.DiscardHandler),
	})
	basic := func(user, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	code := func(path, authorization string) int {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if asks := strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Basic "); asks != (w.Code == http.StatusUnauthorized) {
			t.Errorf("%s: %d, and asks for a password: %t", path, w.Code, asks)
		}
		return w.Code
	}
	guarded := []string{"/", "/live", "/live/now", "/live/live.js", "/live.json", "/metrics", "/debug/pprof/", "/debug/pprof/heap", "/nowhere"}
	for _, path := range guarded {
		for _, wrong := range []string{
			"", "Bearer", "Bearer ", "Bearer x", "Bearer " + secret + "x", "Bearer " + secret[:8], secret, basic("", ""), basic(secret, ""), basic("weir", "x"), "Basic !",
		} {
			if got := code(path, wrong); got != http.StatusUnauthorized {
				t.Errorf("%s with %q: %d", path, wrong, got)
			}
		}
		for _, right := range []string{"Bearer " + secret, "bearer " + secret, basic("", secret), basic("anyone", secret)} {
			if got := code(path, right); got == http.StatusUnauthorized {
				t.Errorf("%s with %q: %d", path, right, got)
			}
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if got := code(path, ""); got != http.StatusOK {
			t.Errorf("%s: %d, and probes have no token", path, got)
		}
	}
	token = "" // as after a reload
	for _, path := range guarded {
		if got := code(path, ""); got == http.StatusUnauthorized {
			t.Errorf("%s without a token in the configuration: %d", path, got)
		}
	}
}

func TestBrowserIsLedToThePage(t *testing.T) {
	h := handler(Options{Source: sample{}, Page: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler)})
	for accept, want := range map[string]int{"text/html,application/xhtml+xml": http.StatusFound, "*/*": http.StatusOK} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d, want %d", accept, w.Code, want)
		}
	}
}
