package lease

// announced is what Superseded returns once the stream was announced again.
var announced = func() *chan struct{} { ch := make(chan struct{}); close(ch); return &ch }()

// Superseded returns a channel that is closed when the stream is announced again. It is made on first use.
func (l *Lease) Superseded() <-chan struct{} {
	for {
		if ch := l.superseded.Load(); ch != nil {
			return *ch
		}
		ch := make(chan struct{})
		l.superseded.CompareAndSwap(nil, &ch)
	}
}

// Supersede closes that channel. It reports true the first time: the owner is notified once that newer announcements wait.
func (l *Lease) Supersede() bool {
	before := l.superseded.Swap(announced)
	if before != nil && before != announced {
		close(*before) // nobody else has swapped this one out
	}
	return before != announced
}
