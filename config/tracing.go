package config

import (
	"fmt"
	"net/url"
	"strconv"
)

// Ratio is a number from 0 to 1.
type Ratio float64

func (r Ratio) String() string { return strconv.FormatFloat(float64(r), 'g', -1, 64) }

// TracesPath is where a collector takes traces unless its URL says otherwise.
const TracesPath = "/v1/traces"

// TracesURL is the URL of a collector as an operator writes it, completed.
func TracesURL(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", fmt.Errorf("is no URL") // url's words repeat it, and it may hold a password
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return "", fmt.Errorf(`must be a URL such as "http://collector:4318"`)
	case u.User != nil:
		return "", fmt.Errorf("must not hold a password: credentials are given in OTEL_EXPORTER_OTLP_HEADERS")
	case u.Path == "" || u.Path == "/":
		u.Path = TracesPath
	}
	return u.String(), nil
}

func checkTracing(c *Config, report func([]string, string, ...any)) {
	if c.Tracing.Endpoint == "" {
		return
	}
	if _, err := TracesURL(c.Tracing.Endpoint); err != nil {
		report([]string{"tracing", "endpoint"}, "endpoint %v", err)
	}
}
