package transport

// ReplayWindow is how many packet numbers behind the newest one a receiver still takes, each once.
const ReplayWindow = 4096

// window remembers which packet numbers of a sender were seen: RFC 6479's ring of words, one more than the window
// needs, so that moving on clears whole words. The zero window has seen nothing; numbers begin at 1.
type window struct {
	newest uint64
	seen   [ReplayWindow/64 + 1]uint64
}

// fresh reports whether a number is new and not too old.
func (w *window) fresh(number uint64) bool {
	switch {
	case number == 0:
		return false
	case number > w.newest:
		return true
	case w.newest-number >= ReplayWindow:
		return false
	}
	word, bit := w.place(number)
	return *word&bit == 0
}

// mark notes a fresh number.
func (w *window) mark(number uint64) {
	if number > w.newest {
		words := uint64(len(w.seen))
		for i := range min(number/64-w.newest/64, words) {
			w.seen[(number/64-i)%words] = 0
		}
		w.newest = number
	}
	word, bit := w.place(number)
	*word |= bit
}

func (w *window) place(number uint64) (word *uint64, bit uint64) {
	return &w.seen[number/64%uint64(len(w.seen))], 1 << (number % 64)
}
