package telemetry

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// guard lets through to next who shows the token: as a bearer token, or as the password of any user, which browsers ask for. Without a token
// it lets everybody through. token is asked at each request, since a reload may change it.
func guard(token func() string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want := token()
		if want == "" || equal(want, shown(r)) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="weir: the token is the password", charset="UTF-8"`)
		answer(w, http.StatusUnauthorized, "want [http] token of weir's configuration, as a bearer token or as the password of any user")
	})
}

// shown is what a request has in place of the token; "" if nothing.
func shown(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// equal takes as long for one text as for another, whatever their lengths.
func equal(want, shown string) bool {
	a, b := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(shown))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
