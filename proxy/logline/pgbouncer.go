package logline

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
)

// pgbouncerHandler writes lines as PgBouncer does: TIME [PID] LEVEL OBJECT: DB/USER@PEER TEXT. The object is a client (peer) or
// a server (server, with db; id is its number). Attributes that have no place in that
// form follow the text.
type pgbouncerHandler struct {
	out   io.Writer
	level slog.Leveler
	attrs []slog.Attr
	mu    *sync.Mutex
}

func (o Options) pgbouncerHandler(out io.Writer) slog.Handler {
	return &pgbouncerHandler{out: out, level: o.Level, mu: new(sync.Mutex)}
}

func (h *pgbouncerHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

func (h *pgbouncerHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = append(c.attrs[:len(c.attrs):len(c.attrs)], attrs...)
	return &c
}

// WithGroup drops the group's name: no line of weir's has one.
func (h *pgbouncerHandler) WithGroup(string) slog.Handler { return h }

func (h *pgbouncerHandler) Handle(_ context.Context, r slog.Record) error {
	var b bytes.Buffer
	b.WriteString(r.Time.Format("2006-01-02 15:04:05.000 MST") + " [" + strconv.Itoa(os.Getpid()) + "] " + pgbouncerLevel(r.Level) + " ")
	known, rest := map[string]string{}, ""
	server, id := "", uint64(0)
	add := func(a slog.Attr) bool {
		a = bounded(nil, slog.Attr{Key: a.Key, Value: a.Value.Resolve()})
		text := oneLine(a.Value.String())
		switch a.Key {
		case "db", "user", "peer":
			known[a.Key] = text
		case "server":
			server = text
		case "id":
			id, _ = strconv.ParseUint(text, 10, 32)
		case "pool":
			known[a.Key] = text
			rest += " pool=" + text
		default:
			rest += " " + a.Key + "=" + text
		}
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	object := named(known["db"], "(nodb)") + "/" + named(known["user"], "(nouser)")
	switch peer, ok := known["peer"]; {
	case ok:
		if known["db"] == "" && known["user"] == "" && known["pool"] != "" { // "db/user", too
			object = known["pool"]
		}
		fmt.Fprintf(&b, "C-%s: %s@%s ", pointer(peer, 0), object, peer)
	case server != "" && known["db"] != "":
		fmt.Fprintf(&b, "S-%s: %s@%s ", pointer(server, id), object, server)
		server = ""
	}
	if server != "" {
		rest += " server=" + server
	}
	b.WriteString(oneLine(shortened(r.Message, messageMax)) + rest + "\n")
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.out.Write(b.Bytes())
	return err
}

// pointer is what stands for an address in PgBouncer, which tools know lines by: ptr in SHOW SERVERS where the number is known, and else
// made of the place, which is one client's as long as its connection lives; clients of the unix socket have one together.
func pointer(place string, number uint64) string {
	if number == 0 {
		h := fnv.New64a()
		_, _ = h.Write([]byte(place))
		number = h.Sum64() >> 24
	}
	return Pointer(number)
}

// Pointer is ptr, as SHOW and the log have it: what stands for an address in PgBouncer. It is the same as long as the connection of that number
// lives, and no other's.
func Pointer(number uint64) string {
	const digits = "0123456789abcdef"
	b := []byte("0x000000000000")
	for n, i := number<<8, len(b)-1; n > 0 && i > 1; n, i = n>>4, i-1 {
		b[i] = digits[n&15]
	}
	return string(b)
}

// messageMax bounds a text that may hold what a client or a server has said, in bytes.
const messageMax = 1000

func pgbouncerLevel(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "ERROR"
	case l >= slog.LevelWarn:
		return "WARNING"
	case l >= slog.LevelInfo:
		return "LOG"
	}
	return "DEBUG"
}

func named(text, without string) string {
	if text == "" {
		return without
	}
	return text
}

// oneLine keeps what strangers say from beginning lines of their own.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}
