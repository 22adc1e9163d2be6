package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"weir/config"
)

// healthCmd is for images without a shell, where nothing else could ask.
type healthCmd struct {
	Config  string        `short:"c" placeholder:"FILE" help:"Configuration file of the weir to ask; its [http] address is asked."`
	HTTP    string        `name:"http" placeholder:"ADDR" help:"Address to ask, after https:// if it has TLS, in place of the file's, or of the default one."`
	Ready   bool          `help:"Ask whether it may get new clients (/readyz), not only whether it lives (/healthz)."`
	Timeout time.Duration `default:"3s" help:"How long the answer may take."`
}

// answerMax bounds what is shown of an answer: both are one line.
const answerMax = 1 << 10

// Run is silent if all is well. Otherwise its error says what the weir that was asked says, if there is one.
func (c *healthCmd) Run(streams) error {
	address, scheme := c.HTTP, "http://"
	if secret, ok := strings.CutPrefix(address, "https://"); ok {
		address, scheme = secret, "https://"
	}
	if address == "" {
		conf := config.Default()
		if c.Config != "" {
			var err error
			if conf, err = config.Load(c.Config); err != nil {
				return err
			}
		}
		address = conf.HTTP.Address
		if conf.HTTP.CertFile != "" {
			scheme = "https://"
		}
	}
	if address == "" {
		return errors.New("the configuration serves no HTTP: give [http] an address")
	}
	path := "/healthz"
	if c.Ready {
		path = "/readyz"
	}
	ctx, stop := context.WithTimeout(context.Background(), c.Timeout)
	defer stop()
	return ask(ctx, scheme+reachable(address)+path)
}

// reachable turns an address to listen on into one to connect to.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address // connecting says what is wrong with it
	}
	switch host { // by number: an image without anything has no /etc/hosts that knows localhost
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}

func ask(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask weir: %w", err)
	}
	//nolint:gosec // the certificate names the service, not the loopback address that is asked, and no secret is sent
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("ask weir: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, answerMax))
	if err != nil {
		return fmt.Errorf("ask weir: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, answer.Status, strings.TrimSpace(string(text)))
	}
	return nil
}
