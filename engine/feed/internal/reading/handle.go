package reading

// Handle is a stream that is being read.
type Handle struct {
	stream
	r *Reader
}

// Wake ends Hold: the stream is read if it was rung meanwhile, or always if now is true, and rests otherwise. A stream that is not held
// is read at once if now is true, instead of after the time of After.
func (h *Handle) Wake(now bool) {
	r := h.r
	r.mu.Lock()
	defer r.mu.Unlock()
	r.roster.wake(&h.stream, now, r.now())
}

// Remove ends reading of the stream. No call to the source begins once Remove has returned; one that is under way may still be, and
// what it returns has no effect. What it holds of the budget is freed by Release, as ever.
func (h *Handle) Remove() {
	r := h.r
	r.mu.Lock()
	defer r.mu.Unlock()
	h.removed.Store(true)
	r.roster.remove(&h.stream)
}
