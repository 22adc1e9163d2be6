// Package scrape reads weir's page of metrics as Prometheus does. It imports nothing of this project: what the metrics mean is the caller's.
package scrape

import (
	"context"
	"fmt"
	"io"
	"net/http"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// pageMax bounds the page, in bytes: weir's has 300 lines and a hundred more for each pool.
const pageMax = 16 << 20

// Families are the metrics at an address, by name. The caller bounds the time.
func Families(ctx context.Context, url string) (map[string]*dto.MetricFamily, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(resp.Body, pageMax))
	if err != nil {
		return nil, fmt.Errorf("what %s answers are not weir's metrics: %w", url, err)
	}
	return families, nil
}
