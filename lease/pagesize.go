package lease

// pageSteady is how many calls in a row must succeed before a page grows: with one, every other call would fail for as long
// as items that a page cannot carry are ahead.
const pageSteady = 2

// PageSize is how many items a call may carry: the maximum, until a call fails; then half as many, down to one, and twice as
// many again after some calls have succeeded. So an item that no call can carry ends up in a call of its own, while those around
// it go on. It is passive, and not safe for concurrent use. The zero value carries one item; use NewPageSize.
type PageSize struct {
	most, size, steady int
}

// NewPageSize returns a size that starts at most items, and never grows beyond; at least 1.
func NewPageSize(most int) PageSize {
	most = max(most, 1)
	return PageSize{most: most, size: most}
}

// Size returns how many items the next call may carry, at least 1.
func (s *PageSize) Size() int { return max(s.size, 1) }

// Failed records that a call with n items failed for a reason that may lie in them. It reports whether to retry with fewer;
// false: it was a single item, which is to blame.
func (s *PageSize) Failed(n int) bool {
	s.steady = 0
	s.size = max(min(s.Size(), n)/2, 1)
	return n > 1
}

// Succeeded records that a call succeeded.
func (s *PageSize) Succeeded() {
	if s.steady++; s.steady < pageSteady {
		return
	}
	s.steady = 0
	s.size = min(2*s.Size(), max(s.most, 1))
}
