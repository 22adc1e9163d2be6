package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/bookstore/compare"
	"weir/bookstore/load"
	"weir/bookstore/report"
)

type loadCmd struct {
	URLs        []string      `arg:"" name:"url" help:"What to ask for. Of several, 3@URL is asked for three times as often as 1@URL."`
	Concurrency int           `short:"c" default:"10" help:"Clients, each with one request under way."`
	Requests    int64         `short:"n" help:"How many requests in all (visits, with --profile visit)."`
	Duration    time.Duration `short:"d" help:"How long to send requests. Without -n and -d: 10s."`
	RPS         float64       `name:"rps" help:"Requests (visits) due each second, an open loop: latency counts from when one was due."`
	Profile     string        `enum:"plain,visit" default:"plain" help:"plain: the URLs. visit: the shop's front page at each URL's host, its listing and the 20 images."`
	KeepAlive   bool          `short:"k" help:"Keep each client's TCP connection; without it each request has a new one, as with loadtest."`
	Timeout     time.Duration `default:"30s" help:"The longest wait for one answer."`
	JSON        bool          `name:"json" help:"Print the result as JSON."`
}

// durationDefault ends a load that was told no end.
const durationDefault = 10 * time.Second

func (c *loadCmd) Run(ctx context.Context, s streams) error {
	opts, err := c.options()
	if err != nil {
		return err
	}
	result, err := runShown(ctx, opts, s)
	if err != nil {
		return err
	}
	summary := result.Summary()
	if err := c.print(s, summary); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err // an interrupted load has printed what there is
	}
	if summary.Succeeded == 0 {
		return fmt.Errorf("none of %d requests succeeded", summary.Requests)
	}
	return nil
}

func (c *loadCmd) options() (load.Options, error) {
	opts := load.Options{
		Visit: c.Profile == "visit", Concurrency: c.Concurrency, Requests: c.Requests, Duration: c.Duration, Rate: c.RPS,
		KeepAlive: c.KeepAlive, Timeout: c.Timeout, Counts: &load.Counts{},
	}
	if opts.Requests <= 0 && opts.Duration <= 0 {
		opts.Duration = durationDefault
	}
	for _, arg := range c.URLs {
		target, err := parseTarget(arg)
		if err != nil {
			return opts, err
		}
		opts.Targets = append(opts.Targets, target)
	}
	return opts, nil
}

// runShown runs a load and shows how it goes meanwhile.
func runShown(ctx context.Context, opts load.Options, s streams) (*load.Result, error) {
	progress := compare.NewProgress(s.err, isTerminal(s.err))
	defer progress.Done()
	showing, stopShowing := context.WithCancel(context.Background())
	var shown sync.WaitGroup
	shown.Go(func() { showLoad(showing, progress, opts) })
	defer shown.Wait()
	defer stopShowing()
	return load.Run(ctx, opts)
}

func (c *loadCmd) print(s streams, summary load.Summary) error {
	if !c.JSON {
		return report.WriteLoad(s.out, c.head(), summary)
	}
	enc := json.NewEncoder(s.out)
	enc.SetIndent("", "  ")
	return enc.Encode(summary)
}

// parseTarget reads URL or WEIGHT@URL.
func parseTarget(arg string) (load.Target, error) {
	weight, url, found := strings.Cut(arg, "@")
	if !found || strings.Contains(weight, "/") { // a user name in a URL
		return load.Target{URL: arg, Weight: 1}, nil
	}
	n, err := strconv.Atoi(weight)
	if err != nil || n < 1 {
		return load.Target{}, fmt.Errorf("%q: want a URL, or WEIGHT@URL with a whole number from 1 on", arg)
	}
	return load.Target{URL: url, Weight: n}, nil
}

func (c *loadCmd) head() string {
	what := "GET " + strings.Join(c.URLs, ", ")
	if c.Profile == "visit" {
		what = "Visits of the front page of " + strings.Join(c.URLs, ", ")
	}
	how := "closed loop"
	if c.RPS > 0 {
		how = fmt.Sprintf("%g due a second, latency counted from then", c.RPS)
	}
	connections := "a new TCP connection each"
	if c.KeepAlive {
		connections = "connections kept"
	}
	return fmt.Sprintf("%s: %d clients, %s, %s", what, c.Concurrency, how, connections)
}

// showLoad shows how a load goes until ctx ends: each second on a terminal, elsewhere every five, as loadtest does.
func showLoad(ctx context.Context, progress *compare.Progress, opts load.Options) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	start, last := time.Now(), int64(0)
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		succeeded, failed := opts.Counts.Succeeded.Load(), opts.Counts.Failed.Load()
		share := ""
		switch {
		case opts.Duration > 0:
			share = fmt.Sprintf(" of %s", opts.Duration)
		case !opts.Visit:
			share = fmt.Sprintf(", %.0f %% done", 100*float64(succeeded+failed)/float64(opts.Requests))
		}
		line := fmt.Sprintf("%.0f s%s: %d answered, %d failed, %d under way, %d in the last second",
			time.Since(start).Seconds(), share, succeeded, failed, opts.Counts.UnderWay.Load(), succeeded+failed-last)
		last = succeeded + failed
		progress.Update("%s", line)
		if n%5 == 0 && !progress.Terminal() {
			progress.Say("%s", line)
		}
	}
}
