package logline

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const patience = 20 * time.Second

// reader takes lines once it is let, and fails while it is told to.
type reader struct {
	let  chan struct{} // closed: it takes what comes
	mu   sync.Mutex
	fail error
	part int // how much it takes before it fails
	text bytes.Buffer
}

func (r *reader) Write(p []byte) (int, error) {
	<-r.let
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		n, _ := r.text.Write(p[:min(r.part, len(p))])
		return n, r.fail
	}
	return r.text.Write(p)
}

func (r *reader) setFail(err error, part int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail, r.part = err, part
}

func (r *reader) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Split(strings.TrimSuffix(r.text.String(), "\n"), "\n")
}

func willing() *reader {
	r := &reader{let: make(chan struct{})}
	close(r.let)
	return r
}

// told is what a line says of lines that were dropped; 0: it is another line.
func told(text string) int {
	m := regexp.MustCompile(`log lines dropped.* lines=(\d+)$`).FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

func TestReaderThatStopsCostsLinesAndNoTime(t *testing.T) {
	r := &reader{let: make(chan struct{})}
	logger, l := New(r, Options{})
	const all = 20_000
	for i := range all {
		logger.Info("client came and went", "n", i, "peer", strings.Repeat("x", 100)) // it would hang here
	}
	if Dropped(logger) == 0 {
		t.Fatal("nothing was dropped, so the queue has no bound")
	}
	if Dropped(logger.With("more", 1).WithGroup("g")) != Dropped(logger) {
		t.Error("a logger made of it has another count")
	}
	close(r.let)
	l.Close(patience)
	written, missing := 0, 0
	for _, text := range r.lines() {
		if n := told(text); n > 0 {
			missing += n
		} else if written++; !strings.HasSuffix(text, "x") {
			t.Fatalf("a line that is not whole: %s", text)
		}
	}
	if written+missing != all || missing != int(Dropped(logger)) {
		t.Errorf("%d lines are there, %d are said to be missing and %d counted, of %d", written, missing, Dropped(logger), all)
	}
}

func TestLineThatGetsThroughSaysHowManyDidNot(t *testing.T) {
	r := willing()
	logger, l := New(r, Options{})
	logger.Info("before")
	drained(t, l)
	r.setFail(errors.New("no space left on device"), 0)
	for range 3 {
		logger.Info("lost")
	}
	drained(t, l)
	r.setFail(nil, 0)
	logger.Info("after")
	l.Close(patience)
	got := r.lines()
	if len(got) != 3 || !strings.Contains(got[0], "before") || told(got[1]) != 3 || !strings.Contains(got[2], "after") {
		t.Errorf("%q", got)
	}
	if Dropped(logger) != 3 {
		t.Errorf("%d counted", Dropped(logger))
	}
}

// drained waits until all that was queued has been tried.
func drained(t *testing.T, l *Log) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		waits := l.lines == nil && l.lost == 0
		l.mu.Unlock()
		if waits {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("lines stay in the queue")
		}
	}
}

func TestLineThatWasCutOffDoesNotSwallowTheNext(t *testing.T) {
	r := willing()
	logger, l := New(r, Options{JSON: true})
	r.setFail(errors.New("no space left on device"), 7)
	logger.Info("cut off")
	drained(t, l)
	r.setFail(nil, 0)
	logger.Info("whole")
	l.Close(patience)
	whole := 0
	for _, text := range r.lines() {
		if json.Valid([]byte(text)) {
			whole++
		}
	}
	if whole != 2 { // and the one that tells of the loss
		t.Errorf("%d whole lines in %q", whole, r.lines())
	}
}

func TestReaderThatEndsIsAnErrorLikeAnyOther(t *testing.T) {
	out, into, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer into.Close()
	out.Close()
	logger, l := New(into, Options{})
	for range 10 {
		logger.Info("heard by nobody")
	}
	l.Close(patience)
	if Dropped(logger) != 10 {
		t.Errorf("%d dropped", Dropped(logger))
	}
}

func TestCloseDoesNotWaitForReaderThatStopped(t *testing.T) {
	out, into := io.Pipe()
	defer out.Close()
	logger, l := New(into, Options{})
	logger.Info("never read")
	ended := make(chan struct{})
	go func() { l.Close(time.Millisecond); close(ended) }()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("it waits")
	}
	logger.Info("after the end") // does not block either
}

func TestLinesKeepTheirOrder(t *testing.T) {
	out, into := io.Pipe()
	logger, l := New(into, Options{JSON: true})
	const all = 1000
	go func() {
		for i := range all {
			logger.Info("line", "n", i)
		}
		l.Close(patience)
		into.Close()
	}()
	scan, next := bufio.NewScanner(out), 0
	for ; scan.Scan(); next++ {
		var got struct{ N int }
		if err := json.Unmarshal(scan.Bytes(), &got); err != nil || got.N != next {
			t.Fatalf("line %d is %s", next, scan.Text())
		}
	}
	if next != all {
		t.Errorf("%d lines", next)
	}
}

func TestLineIsBoundedWhateverStrangersCallThemselves(t *testing.T) {
	for what, char := range map[string]string{
		"letters": "u", "quotes": `"`, "controls": "\x01", "no UTF-8": "\xff", "wide": "é", "unprintable": "\u00ad", "far": "\U000e0001",
	} {
		for _, asJSON := range []bool{false, true} {
			var text bytes.Buffer
			name := strings.Repeat(char, 9000)
			logger := slog.New(Options{JSON: asJSON}.handler(&text))
			logger.Warn("login failed", "peer", "127.0.0.1:40000", "user", name, "db", name, "reason", "no_such_user",
				"error", errors.New("password authentication failed for user "+name))
			if n := text.Len(); n > 1200 || n < 300 {
				t.Errorf("%s, JSON %t: %d bytes", what, asJSON, n)
			}
			if !strings.Contains(text.String(), ellipsis) {
				t.Errorf("%s, JSON %t: the line does not show that it was cut: %s", what, asJSON, &text)
			}
		}
	}
}

func TestNamesThatPostgreSQLHasAreWhole(t *testing.T) {
	var text bytes.Buffer
	name := strings.Repeat("n", 63)
	slog.New(Options{}.handler(&text)).Info("client", "user", name, "pool", name+"/"+name, "error", errors.New("why"), "level", slog.LevelInfo)
	for _, want := range []string{"user=" + name + " ", "pool=" + name + "/" + name, "error=why", "level=INFO"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %s in %s", want, &text)
		}
	}
}

func TestDurationsAreReadableInJSON(t *testing.T) {
	var text bytes.Buffer
	slog.New(Options{JSON: true}.handler(&text)).Info("waited", "waited", 1500*time.Millisecond)
	if !strings.Contains(text.String(), `"waited":"1.5s"`) {
		t.Errorf("got %s", &text)
	}
}

// A file takes a line at once: who is told of something finds it there.
func TestPromptLinesAreWrittenBeforeTheCallerGoesOn(t *testing.T) {
	var b bytes.Buffer
	logger, lines := New(&b, Options{Level: slog.LevelInfo, PgBouncer: true, Prompt: true})
	defer lines.Close(time.Second)
	logger.Info("first", "db", "shop", "user", "bob", "server", "10.0.0.1:5432", "id", uint32(7))
	if got := b.String(); !strings.Contains(got, " LOG S-0x000000000700: shop/bob@10.0.0.1:5432 first\n") {
		t.Errorf("got %q", got)
	}
}
