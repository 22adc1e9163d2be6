package api

import (
	_ "embed"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/swaggest/swgui/v5emb"
)

//go:embed openapi.json
var openAPI []byte

// Paths of the document and of the page that shows it, as FastAPI had them.
const (
	documentPath = "/openapi.json"
	viewerPath   = "/docs"
)

// operate adds what is for those who run the shop or write against it. None of it is counted as a request of the shop.
func (a *API) operate(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		a.write(w, r, message(http.StatusOK, "ok"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if a.Ready != nil {
			if err := a.Ready(r.Context()); err != nil {
				a.Log.Debug("not ready", slog.Any("error", err))
				a.write(w, r, a.failure(&request{Request: r}, err))
				return
			}
		}
		a.write(w, r, message(http.StatusOK, "ready"))
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.Gatherer, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	mux.HandleFunc("GET "+documentPath, func(w http.ResponseWriter, r *http.Request) {
		a.write(w, r, reply{status: http.StatusOK, contentType: "application/json", body: openAPI})
	})
	viewer := v5emb.New("The bookstore's API", documentPath, viewerPath+"/")
	mux.Handle("GET "+viewerPath+"/", viewer)
	mux.Handle("GET "+viewerPath, http.RedirectHandler(viewerPath+"/", http.StatusMovedPermanently))
}
