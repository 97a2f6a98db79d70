package lease

// pageSteady is how many calls in a row must succeed before a page grows: with one, a page would fail at every other call
// for as long as what it cannot carry is ahead of it.
const pageSteady = 2

// PageSize is how many items a call may carry: as many as are wanted, until such a call fails; then half as many, down to
// one, and twice as many after some that succeed. One item that a call cannot carry thus ends in a call of its own, while
// those around it go on. It is passive, and not safe for concurrent use. The zero value carries one item; use NewPageSize.
type PageSize struct {
	most, size, steady int
}

// NewPageSize starts with, and grows up to, most items; at least 1.
func NewPageSize(most int) PageSize {
	most = max(most, 1)
	return PageSize{most: most, size: most}
}

// Size is how many items the next call may carry, at least 1.
func (s *PageSize) Size() int { return max(s.size, 1) }

// Failed notes that a call with n items failed, and not for a reason that has nothing to do with them. It reports whether
// fewer are to be tried; false: it was a single one, which is to blame itself.
func (s *PageSize) Failed(n int) bool {
	s.steady = 0
	s.size = max(min(s.Size(), n)/2, 1)
	return n > 1
}

// Succeeded notes that a call succeeded.
func (s *PageSize) Succeeded() {
	if s.steady++; s.steady < pageSteady {
		return
	}
	s.steady = 0
	s.size = min(2*s.Size(), max(s.most, 1))
}
