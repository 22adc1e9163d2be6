package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Worker is this process as one of several.
type Worker struct {
	Number   int // from 1
	Listener net.Listener
	total    int
	dir      string
	life     *os.File
}

// Started reports whether this process was started as a worker.
func Started() bool { return os.Getenv(numberVar) != "" }

// Join says what this process is: a worker, or nil if nobody started it as one.
func Join() (*Worker, error) {
	number, total := os.Getenv(numberVar), os.Getenv(totalVar)
	if !Started() {
		return nil, nil //nolint:nilnil // no worker and no error is an ordinary answer
	}
	w := &Worker{dir: os.Getenv(dirVar), life: os.NewFile(parentFD, "parent")}
	var err1, err2, err3 error
	w.Number, err1 = strconv.Atoi(number)
	w.total, err2 = strconv.Atoi(total)
	file := os.NewFile(listenerFD, "listener")
	w.Listener, err3 = net.FileListener(file) // a copy
	_ = file.Close()
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("join as worker %s of %s: %w", number, total, err)
	}
	return w, nil
}

// WithParent is ctx until the parent is gone, by whatever end.
func (w *Worker) WithParent(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		_, _ = w.life.Read(make([]byte, 1)) // nobody writes: it returns when the other end is closed
	}()
	return ctx
}

// peerWait bounds how long a scrape waits for one of the others.
const peerWait = time.Second

func (w *Worker) socket(number int) string { return filepath.Join(w.dir, fmt.Sprint(number)) }

// Share lets the others gather what own has, until close is called, and returns what gathers from all. Each worker's
// metrics need a label that tells them apart: Label.
func (w *Worker) Share(own prometheus.Gatherer) (all prometheus.Gatherer, closeShare func(), err error) {
	path := w.socket(w.Number)
	_ = os.Remove(path) // of the one whose place we took
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, nil, fmt.Errorf("share metrics: %w", err)
	}
	server := &http.Server{
		Handler:           promhttp.HandlerFor(own, promhttp.HandlerOpts{}),
		ReadHeaderTimeout: peerWait,
	}
	go func() { _ = server.Serve(l) }() // it ends when it is closed
	gatherers := prometheus.Gatherers{own}
	for number := 1; number <= w.total; number++ {
		if number != w.Number {
			gatherers = append(gatherers, peer(w.socket(number)))
		}
	}
	return gatherers, func() { _ = server.Close() }, nil
}

// Label tells this worker's metrics from the others'.
func (w *Worker) Label() prometheus.Labels {
	return prometheus.Labels{"process": strconv.Itoa(w.Number)}
}

// peer gathers from another worker. One that is not there just now has nothing to say.
func peer(socket string) prometheus.Gatherer {
	client := &http.Client{
		Timeout: peerWait,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", socket)
			},
			DisableKeepAlives: true,
		},
	}
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		resp, err := client.Get("http://worker/")
		if err != nil {
			return nil, nil // it is being started, or stopped
		}
		defer resp.Body.Close()
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(resp.Body)
		if err != nil {
			return nil, fmt.Errorf("read another worker's metrics: %w", err)
		}
		list := make([]*dto.MetricFamily, 0, len(families))
		for _, f := range families {
			list = append(list, f)
		}
		return list, nil
	})
}
