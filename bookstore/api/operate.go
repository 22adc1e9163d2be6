package api

import (
	_ "embed"
	"html/template"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"
)

//go:embed openapi.json
var openAPI []byte

// Paths of the document and of the page that shows it, as FastAPI had them.
const (
	documentPath = "/openapi.json"
	viewerPath   = "/docs"
)

// What the page lacks by itself: a phone's width, a dark scheme, and a way back to the shop. Swagger's sheet knows light colours only, so
// they are inverted, and hues turned back.
const (
	viewerHead template.HTML = `<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<style>
.shop-back { font: 600 1rem/1.5 system-ui, sans-serif; max-width: 1460px; margin: 0 auto; padding: .9rem 20px 0; }
.shop-back a { color: #0b5cad; display: inline-block; padding: .3rem 0; }
.swagger-ui .info { margin: 1.5rem 0; }
.swagger-ui .opblock .opblock-summary-path { overflow-wrap: anywhere; }
@media (max-width: 640px) {
  .swagger-ui .wrapper { padding: 0 12px; }
  .shop-back { padding: .6rem 12px 0; }
  .swagger-ui .opblock .opblock-summary { flex-wrap: wrap; }
  .swagger-ui table, .swagger-ui .parameters-col_description input { max-width: 100%; }
  .swagger-ui .parameters-container, .swagger-ui .responses-inner { overflow-x: auto; }
}
@media (prefers-color-scheme: dark) {
  html, body { background: #16191d !important; }
  .shop-back a { color: #6cb2ff; }
  #swagger-ui { filter: invert(.9) hue-rotate(180deg); }
  .swagger-ui .highlight-code, .swagger-ui img { filter: invert(1) hue-rotate(180deg); }
}
</style>`
	viewerBack template.HTML = `<nav class="shop-back" aria-label="Shop"><a href="/">← The Bookstore</a></nav>`
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
	viewer := v5emb.NewWithConfig(swgui.Config{AppendHead: viewerHead, PrependHTML: viewerBack})("The bookstore's API", documentPath, viewerPath+"/")
	mux.Handle("GET "+viewerPath+"/", viewer)
	mux.Handle("GET "+viewerPath, http.RedirectHandler(viewerPath+"/", http.StatusMovedPermanently))
}
