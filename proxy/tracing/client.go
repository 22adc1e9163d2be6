package tracing

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"weir/config"
)

const (
	defaultURL     = "http://localhost:4318" + config.TracesPath
	defaultTimeout = 10 * time.Second
	// retryAfter is how long the first repetition waits; each further one waits twice as long.
	retryAfter = 500 * time.Millisecond
	// answerMax bounds what is read of an answer, in bytes; nothing in it is used.
	answerMax = 64 << 10
)

// client sends spans by OTLP over HTTP. It implements otlptrace.Client.
type client struct {
	url      string
	header   http.Header
	timeout  time.Duration // of an export, with its repetitions
	compress bool
	http     *http.Client
}

// variable is what OTLP's environment says about traces, or about everything.
func variable(name string) (value, variable string) {
	for _, prefix := range []string{"OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"} {
		if v := strings.TrimSpace(os.Getenv(prefix + name)); v != "" {
			return v, prefix + name
		}
	}
	return "", ""
}

// newClient reads OpenTelemetry's environment; endpoint has precedence over what that says.
func newClient(endpoint string) (*client, error) {
	if v, name := variable("PROTOCOL"); v != "" && v != "http/protobuf" {
		return nil, fmt.Errorf("%s is %q: weir sends traces as http/protobuf only (collectors take it on port 4318)", name, v)
	}
	c := &client{timeout: defaultTimeout, header: http.Header{}}
	var err error
	if c.url, err = findURL(endpoint); err != nil {
		return nil, err
	}
	if v, name := variable("TIMEOUT"); v != "" {
		ms, err := strconv.Atoi(v)
		if err != nil || ms <= 0 {
			return nil, fmt.Errorf("%s must be milliseconds (got %q)", name, v)
		}
		c.timeout = time.Duration(ms) * time.Millisecond
	}
	switch v, name := variable("COMPRESSION"); v {
	case "", "none":
	case "gzip":
		c.compress = true
	default:
		return nil, fmt.Errorf("%s must be gzip or none (got %q)", name, v)
	}
	if err := c.readHeaders(); err != nil {
		return nil, err
	}
	secrecy, err := secrecy()
	if err != nil {
		return nil, err
	}
	c.http = &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: secrecy, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the headers are for the collector
	}
	return c, nil
}

func findURL(endpoint string) (string, error) {
	if endpoint != "" {
		return config.TracesURL(endpoint)
	}
	for _, source := range []struct{ name, path string }{
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ""}, {"OTEL_EXPORTER_OTLP_ENDPOINT", config.TracesPath},
	} {
		if v := os.Getenv(source.name); v != "" {
			found, err := config.TracesURL(strings.TrimSuffix(v, "/") + source.path)
			if err != nil {
				return "", fmt.Errorf("%s %w", source.name, err)
			}
			return found, nil
		}
	}
	return defaultURL, nil
}

// readHeaders reads name=value,name=value, with values encoded as in a URL.
func (c *client) readHeaders() error {
	v, name := variable("HEADERS")
	for pair := range strings.SplitSeq(v, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if key = strings.TrimSpace(key); !ok || key == "" || err != nil {
			return fmt.Errorf("%s must be name=value, with commas between several", name) // it holds secrets
		}
		c.header.Add(key, value)
	}
	return nil
}

// secrecy is for TLS; the URL says whether there is any.
func secrecy() (*tls.Config, error) {
	s := &tls.Config{MinVersion: tls.VersionTLS12}
	if file, name := variable("CERTIFICATE"); file != "" {
		text, err := os.ReadFile(file) //nolint:gosec // G304: the operator names it
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		s.RootCAs = x509.NewCertPool()
		if !s.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s: there is no certificate in %s", name, file)
		}
	}
	cert, _ := variable("CLIENT_CERTIFICATE")
	key, _ := variable("CLIENT_KEY")
	if cert != "" || key != "" {
		own, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY: %w", err)
		}
		s.Certificates = []tls.Certificate{own}
	}
	return s, nil
}

// Start implements otlptrace.Client.
func (c *client) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (c *client) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// UploadTraces implements otlptrace.Client. It repeats what OTLP says may be repeated, until its time is over.
func (c *client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	// TracesData is, byte for byte, the ExportTraceServiceRequest that a collector wants, whose package would bring gRPC along.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return err
	}
	if c.compress {
		body = compressed(body)
	}
	for wait := retryAfter; ; wait *= 2 {
		again, err := c.post(ctx, body)
		if err == nil || !again {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

func compressed(body []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(body) // to a buffer
	_ = w.Close()
	return b.Bytes()
}

// post sends a body once. again: it may be repeated.
func (c *client) post(ctx context.Context, body []byte) (again bool, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	q.Header = c.header.Clone()
	q.Header.Set("Content-Type", "application/x-protobuf")
	q.Header.Set("User-Agent", "weir")
	if c.compress {
		q.Header.Set("Content-Encoding", "gzip")
	}
	res, err := c.http.Do(q)
	if err != nil {
		return !errors.Is(err, context.Canceled), err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, answerMax))
	_ = res.Body.Close()
	switch {
	case res.StatusCode >= 200 && res.StatusCode < 300:
		return false, nil
	case res.StatusCode == http.StatusTooManyRequests, res.StatusCode >= http.StatusBadGateway && res.StatusCode <= http.StatusGatewayTimeout:
		again = true
	}
	return again, fmt.Errorf("the collector at %s answers %s", c.url, res.Status)
}
