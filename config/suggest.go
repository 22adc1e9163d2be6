package config

import (
	"strings"

	"github.com/agext/levenshtein"
)

// nearest returns the known word that an unknown one most likely means, or "" if none is near: at most two edits, or
// a third of a long word; else the longest word that it contains (PgBouncer's default_pool_size). Beyond that a guess
// confuses more than it helps.
func nearest(word string, known []string) string {
	const partMin = 4 // letters; shorter words are parts of too many
	best, bestDistance, bestPart := "", max(2, len(word)/3)+1, ""
	for _, k := range known {
		// A guess that shares hardly a letter with a short word is none.
		if d := levenshtein.Distance(word, k, nil); d < bestDistance && d < len(k) && d < len(word) {
			best, bestDistance = k, d
		}
		if len(k) >= partMin && len(k) > len(bestPart) && strings.Contains(word, k) {
			bestPart = k
		}
	}
	if best == "" {
		return bestPart
	}
	return best
}

// DidYouMean returns the tail of a message, empty if nothing is near.
func DidYouMean(word string, known []string) string {
	if k := nearest(word, known); k != "" {
		return `; did you mean "` + k + `"?`
	}
	return ""
}
