package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// healthCmd is for images without a shell, where nothing else could ask.
type healthCmd struct {
	Listen  string        `default:"127.0.0.1:8000" env:"BOOKSTORE_LISTEN" help:"Where the shop serves."`
	Ready   bool          `help:"Ask whether its database answers (/readyz), not only whether it lives (/healthz)."`
	Timeout time.Duration `default:"3s" help:"How long the answer may take."`
}

// Run is silent if all is well.
func (c *healthCmd) Run(ctx context.Context, _ streams) error {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("ask the shop: %w", err)
	}
	switch host { // it listens everywhere, which is no place to connect to; an image without anything does not know localhost
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	path := "/healthz"
	if c.Ready {
		path = "/readyz"
	}
	ctx, stop := context.WithTimeout(ctx, c.Timeout)
	defer stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+path, nil)
	if err != nil {
		return fmt.Errorf("ask the shop: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask the shop: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("ask the shop: %s answers %s", path, answer.Status)
	}
	return nil
}
