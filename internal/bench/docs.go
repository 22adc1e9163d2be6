package bench

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// The page is written by people; only what stands between a suite's two marks is ours, and each run replaces the
// sections of the suites that it ran.
func beginMark(suite string) string { return "<!-- weirbench " + suite + ": begin -->" }
func endMark(suite string) string   { return "<!-- weirbench " + suite + ": end -->" }

// newPage is the page's start where there is none.
const newPage = `# Performance

Each table below was written by ` + "`go run ./cmd/weirbench`" + ` and says with which command, where and when. Targets take turns
in interleaved rounds on the same machine; figures are medians of the rounds, ratios are ratios of medians, and in
brackets stand the smallest and the largest ratio of a single round.
`

// WriteDoc puts the report's tables into the page at path, which is made if it is not there.
func (r Report) WriteDoc(path string) error {
	page, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		page, err = []byte(newPage), nil
	}
	if err != nil {
		return fmt.Errorf("refresh the performance page: %w", err)
	}
	text := string(page)
	for _, result := range r.Results {
		if text, err = replaceSection(text, result.Suite, r.section(result)); err != nil {
			return fmt.Errorf("refresh %s: %w", path, err)
		}
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

func (r Report) section(result Result) string {
	return fmt.Sprintf("## %s\n\n%s\n\n    %s\n\n%s. %s.\n\n%s", result.Title, result.About, r.Command,
		r.Date.Format("2006-01-02"), r.Machine, result.Table.markdown())
}

// replaceSection puts body between a suite's marks; a page without them gets them at its end. A page with only one of
// them, or with them turned round, was edited by accident and is left alone.
func replaceSection(page, suite, body string) (string, error) {
	begin, end := beginMark(suite), endMark(suite)
	section := begin + "\n" + body + end
	from, to := strings.Index(page, begin), strings.Index(page, end)
	switch {
	case from < 0 && to < 0:
		return strings.TrimRight(page, "\n") + "\n\n" + section + "\n", nil
	case from < 0 || to < from:
		return "", fmt.Errorf("the marks of section %q do not pair", suite)
	}
	return page[:from] + section + page[to+len(end):], nil
}
