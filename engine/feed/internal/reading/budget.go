package reading

import "sync"

// budget bounds the memory of messages: of those that sources have, and of those that are being read, as far as can be foreseen.
type budget struct {
	max int64

	mu struct {
		sync.Mutex
		used int64
	}
}

// share returns what one pipeline may reserve, at most an eighth of all, and takes it; 0: there is nothing left.
func (b *budget) share() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(max(b.max/8, 1), b.max-b.mu.used)
	if n <= 0 {
		return 0
	}
	b.mu.used += n
	return n
}

// add takes memory without asking, or gives it back. It reports whether there is room.
func (b *budget) add(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.used += n
	return b.mu.used < b.max
}

func (b *budget) used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.used
}

// guess is what a stream reserves for one message while the size of none is known: so a pipeline of the default size fits into a share
// of the default size.
const guess = 32 << 10

// plan returns how many messages to ask a stream for, and what to reserve for them. left is what remains of the share of a pipeline of
// that many streams, mean the mean memory of a message, count what the stream wants. A stream that may have only a message or two gets
// an even part, so that it takes no room from others; one of which more is known (its last page was full) gets all that is left.
// 0: it must wait for another pipeline; the first stream of a pipeline never has to, so one message always passes.
func plan(left, share int64, streams int, mean int64, count int, full, first bool) (n int, reserved int64) {
	room := left
	if !full {
		room = min(left, max(share/int64(streams), mean))
	}
	n = int(max(min(int64(count), room/mean), 0)) // left is below 0 after a message that is larger than a share
	if n < 1 && first {
		n = 1
	}
	return n, int64(n) * mean
}
