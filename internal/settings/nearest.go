package settings

import "strings"

// maxWordBytes bounds the words that Nearest compares.
const maxWordBytes = 64

// Nearest returns the candidate that a word was most likely meant to be: the one with the fewest letters to insert,
// delete, replace or swap, at most a third of the word. The first of equals wins.
func Nearest(word string, candidates []string) (nearest string, found bool) {
	word = strings.ToLower(word)
	if len(word) > maxWordBytes {
		return "", false
	}
	least := max(len(word)/3, 1) + 1
	for _, candidate := range candidates {
		if d := distance(word, strings.ToLower(candidate)); d < least {
			nearest, least, found = candidate, d, true
		}
	}
	return nearest, found
}

// distance counts the edits between two words: the restricted Damerau-Levenshtein distance, in three rows.
func distance(a, b string) int {
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
