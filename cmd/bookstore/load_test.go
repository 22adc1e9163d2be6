package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"weir/bookstore/load"
)

func TestLoadPrintsWhatItMeasured(t *testing.T) {
	var paths [2]atomic.Int64
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/authors/" {
			if paths[1].Add(1)%2 == 0 {
				w.WriteHeader(503)
				fmt.Fprint(w, `{"detail":"database unavailable: sorry, too many clients already (SQLSTATE 53300)"}`)
			}
			return
		}
		paths[0].Add(1)
	}))
	defer shop.Close()
	code, out, errs := command(t, "load", "-c", "4", "-n", "80", "3@"+shop.URL+"/books/", shop.URL+"/authors/")
	for _, want := range []string{"4 clients, closed loop, a new TCP connection each", "succeeded     70", "HTTP 503 with SQLSTATE 53300", "80 requests in"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("exit %d, want %q in\n%s%s", code, want, out, errs)
		}
	}
	if paths[0].Load() != 60 || paths[1].Load() != 20 {
		t.Errorf("asked %d and %d times, want 60 and 20", paths[0].Load(), paths[1].Load())
	}

	code, out, errs = command(t, "load", "-c", "2", "-n", "10", "--json", "-k", shop.URL+"/books/")
	var s load.Summary
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != 0 || s.Requests != 10 || s.Failed != 0 || s.Latency.Max == 0 {
		t.Errorf("exit %d, %v, %+v of\n%s%s", code, err, s, out, errs)
	}
}

func TestLoadThatFailsThroughoutIsAnError(t *testing.T) {
	shop := httptest.NewServer(http.NotFoundHandler())
	defer shop.Close()
	code, out, errs := command(t, "load", "-c", "1", "-n", "5", shop.URL+"/books/")
	if code != 1 || !strings.Contains(out, "HTTP 404") || !strings.Contains(errs, "bookstore: none of 5 requests succeeded") {
		t.Errorf("exit %d:\n%s%s", code, out, errs)
	}
}

func TestInterruptedLoadPrintsWhatThereIs(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	var n atomic.Int64
	shop := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if n.Add(1) == 25 {
			interrupt()
		}
	}))
	defer shop.Close()
	var out, errs output
	code := run(ctx, []string{"load", "-c", "1", "-d", "1h", shop.URL}, streams{&out, &errs})
	if code != 1 || !strings.Contains(out.String(), "succeeded     24") || !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("exit %d:\n%s%s", code, out.String(), errs.String())
	}
}
