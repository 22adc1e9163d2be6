package login

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestMetricNamesEachReason: who reads the metric's page finds what its label may say.
func TestMetricNamesEachReason(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	_, row, _ := strings.Cut(string(page), "| `weir_logins_failed_total` |")
	row, _, _ = strings.Cut(row, "\n")
	for r := Malformed; r.String() != "unknown"; r++ {
		if !regexp.MustCompile(`\b` + r.String() + `\b`).MatchString(row) {
			t.Errorf("docs/metrics.md does not say %s of weir_logins_failed_total", r)
		}
	}
}
