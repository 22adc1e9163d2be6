package storefront

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed static
var staticFiles embed.FS

const staticPath = "/shop/static/"

// asset is a file that pages use, under an address that changes with it, so that browsers may keep it for ever.
type asset struct {
	url, kind string
	body      []byte
}

// assets are by name, and named by the name in the address.
var assets, named = func() (map[string]asset, map[string]asset) {
	all, named := map[string]asset{}, map[string]asset{}
	entries, err := staticFiles.ReadDir("static")
	if err != nil {
		panic(err) // it is embedded
	}
	for _, e := range entries {
		body, err := staticFiles.ReadFile("static/" + e.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(body)
		base, ext, _ := strings.Cut(e.Name(), ".")
		name := base + "-" + base64.RawURLEncoding.EncodeToString(sum[:6]) + "." + ext
		a := asset{url: staticPath + name, kind: mime.TypeByExtension("." + ext), body: body}
		all[e.Name()], named[name] = a, a
	}
	return all, named
}()

// staticURL is a file's address. It panics on one that is not there, which a test of the page sees.
func staticURL(name string) string {
	a, ok := assets[name]
	if !ok {
		panic(fmt.Sprintf("there is no static file %s", name))
	}
	return a.url
}

func serveStatic(w http.ResponseWriter, r *http.Request) {
	a, ok := named[path.Base(r.URL.Path)]
	if !ok || a.url != r.URL.Path {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.body)
	}
}
