package livepage

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed page.html live.css live.js
var files embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"seconds": seconds, "perhaps": perhaps, "rate": rate, "long": long, "count": grouped[int], "count64": grouped[uint64], "count32": grouped[uint32],
	"pool": breakable,
}).ParseFS(files, "page.html"))

// breakable is the name of a pool, which breaks after its database where there is no room for all of it.
func breakable(name string) template.HTML {
	return template.HTML(strings.ReplaceAll(template.HTMLEscapeString(name), "/", "/<wbr>")) //nolint:gosec // it is escaped
}

// Page serves what a Sampler has.
type Page struct {
	Sampler *Sampler
	Texts   func(r *http.Request) bool // whether who asks so may read texts of statements and errors
	More    func() More                // nil: there is no more

	mu    sync.Mutex
	more  More
	asked time.Time // of the snapshot that more goes with
}

// view is what there is to show. Whatever the number of those who look, More is asked once for each snapshot.
func (p *Page) view(texts bool) (View, bool) {
	v, ok := p.Sampler.View(texts)
	if !ok || p.More == nil {
		return v, ok
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.asked.Equal(v.At) {
		p.more, p.asked = p.More(), v.At
	}
	v.add(p.more, texts)
	return v, true
}

// shown is what the templates get.
type shown struct {
	View
	Texts    bool
	Pictures []Picture
}

// ServeHTTP serves /live and what belongs to it.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	switch r.URL.Path {
	case "/live":
		p.render(w, r, "page")
	case "/live/now":
		p.render(w, r, "now")
	case "/live.json":
		p.numbers(w, r)
	case "/live/live.css", "/live/live.js":
		http.ServeFileFS(w, r, files, r.URL.Path[len("/live/"):]) //nolint:gosec // one of two names, of embedded files
	default:
		http.NotFound(w, r)
	}
}

// NamesThisMachine reports whether a request was made to this machine by its address or as localhost. A page from elsewhere that a browser
// shows may have a name of its own resolve to this machine, and would be let read what it gets from there.
func NamesThisMachine(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.Trim(r.Host, "[]")
	}
	_, err = netip.ParseAddr(host)
	return err == nil || strings.EqualFold(host, "localhost")
}

// render makes a template whole before it sends any of it.
func (p *Page) render(w http.ResponseWriter, r *http.Request, name string) {
	texts := p.Texts(r)
	v, ok := p.view(texts)
	if !ok {
		http.Error(w, "weir has just started", http.StatusServiceUnavailable)
		return
	}
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, shown{v, texts, v.pictures()}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	send(w, "text/html; charset=utf-8", b.Bytes())
}

func (p *Page) numbers(w http.ResponseWriter, r *http.Request) {
	v, ok := p.view(p.Texts(r))
	if !ok {
		http.Error(w, "weir has just started", http.StatusServiceUnavailable)
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	send(w, "application/json", b)
}

func send(w http.ResponseWriter, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the other side may be gone
}
