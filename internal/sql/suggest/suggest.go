// Package suggest finds the name that somebody who mistyped another probably meant.
package suggest

import "strings"

// maxLength bounds the work on hostile names, in bytes.
const maxLength = 64

// Nearest returns the candidate closest to name, or "" when none is close: at most
// a third of the letters, rounded up, may be wrong. Where none is, the shortest that
// has the name as words of it, as paid_orders has orders. Of equals the first wins.
func Nearest(name string, candidates []string) string {
	if name == "" || len(name) > maxLength {
		return ""
	}
	name = strings.ToLower(name)
	best, bestDistance := "", (len(name)+2)/3+1
	for _, c := range candidates {
		if len(c) > maxLength || strings.EqualFold(c, name) && c == name {
			continue
		}
		if d := distance(name, strings.ToLower(c)); d < bestDistance && d < len(c) {
			best, bestDistance = c, d
		}
	}
	if best != "" {
		return best
	}
	for _, c := range candidates {
		if hasWords(strings.ToLower(c), name) && (best == "" || len(c) < len(best)) {
			best = c
		}
	}
	return best
}

// hasWords says whether words, with underscores or dots between them, stand in s as such.
func hasWords(s, words string) bool {
	return len(words) > 2 && strings.Contains("_"+strings.ReplaceAll(s, ".", "_")+"_", "_"+words+"_")
}

// distance counts insertions, deletions, replacements and swaps of neighbours
// (optimal string alignment), in bytes.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
