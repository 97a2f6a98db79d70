package wheel

import "math/bits"

// level records which slots of one level hold a timer: one bit per slot, and
// above them one bit for each word that is not zero.
type level struct {
	shift   uint  // log2 of the ticks per slot
	mask    int64 // slots - 1
	summary uint64
	words   [1 << MaxSlotBits / 64]uint64
}

func (l *level) mark(slot int64) {
	l.words[slot>>6] |= 1 << (slot & 63)
	l.summary |= 1 << (slot >> 6)
}

func (l *level) clear(slot int64) {
	l.words[slot>>6] &^= 1 << (slot & 63)
	if l.words[slot>>6] == 0 {
		l.summary &^= 1 << (slot >> 6)
	}
}

func (l *level) occupied(slot int64) bool {
	return l.words[slot>>6]&(1<<(slot&63)) != 0
}

// next returns the first tick of the first occupied slot after the one that
// holds the tick now. That one is empty: it was taken when time reached it.
func (l *level) next(now int64) (tick int64, ok bool) {
	if l.summary == 0 {
		return 0, false
	}
	number := now>>l.shift + 1
	from := number & l.mask
	return (number + (l.find(from)-from)&l.mask) << l.shift, true
}

// find returns the first occupied slot at or after from, wrapping around. There
// must be one.
func (l *level) find(from int64) int64 {
	i := from >> 6
	if w := l.words[i] >> (from & 63); w != 0 {
		return from + int64(bits.TrailingZeros64(w))
	}
	rest := l.summary >> (i + 1) << (i + 1)
	if rest == 0 {
		rest = l.summary
	}
	i = int64(bits.TrailingZeros64(rest))
	return i<<6 + int64(bits.TrailingZeros64(l.words[i]))
}
