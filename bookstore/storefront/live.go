package storefront

import (
	"encoding/json"
	"log/slog"
	"net/http"
)

// live shows the experiment as it runs. The page has the figures of this moment; its script asks for those of the next.
func (s *Storefront) live(v *visit) error {
	n, err := s.gauges.read(v.r.Context())
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "live", "Live", livePage{now: n, At: v.origin()})
}

// livePage is what the metrics say, and where the shop is for those who put load on it.
type livePage struct {
	*now
	At string
}

// origin is the shop's address as the visitor has it.
func (v *visit) origin() string {
	scheme := "http"
	if v.r.TLS != nil || v.shop.SecureCookies {
		scheme = "https"
	}
	return scheme + "://" + v.r.Host
}

// now is what the script asks for.
func (s *Storefront) now(w http.ResponseWriter, r *http.Request) {
	n, err := s.gauges.read(r.Context())
	if err != nil {
		s.Log.Error("metrics failed", slog.Any("error", err))
		http.Error(w, "the metrics cannot be read", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_ = json.NewEncoder(w).Encode(n) // a visitor who left needs no answer
}
