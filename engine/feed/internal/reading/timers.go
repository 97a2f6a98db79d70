package reading

// timers is a heap of the streams that wait, by time. It knows no clock.
type timers []timer

type timer struct {
	due int64
	h   *stream
}

// add puts a stream in that is not there.
func (t *timers) add(h *stream, due int64) {
	*t = append(*t, timer{due, h})
	t.up(len(*t) - 1)
}

// remove takes a stream out, if it is there.
func (t *timers) remove(h *stream) {
	i := int(h.timer)
	if i < 0 {
		return
	}
	last := len(*t) - 1
	(*t)[i] = (*t)[last]
	(*t)[last] = timer{}
	*t = (*t)[:last]
	h.timer = -1
	if i < last {
		t.down(t.up(i))
	}
}

// next returns the earliest time, never if there is none.
func (t timers) next() int64 {
	if len(t) == 0 {
		return never
	}
	return t[0].due
}

// expire takes out a stream whose time has come, nil if there is none.
func (t *timers) expire(now int64) *stream {
	if t.next() > now {
		return nil
	}
	h := (*t)[0].h
	t.remove(h)
	return h
}

func (t timers) up(i int) int {
	for i > 0 {
		parent := (i - 1) / 2
		if t[parent].due <= t[i].due {
			break
		}
		t.swap(i, parent)
		i = parent
	}
	t[i].h.timer = int32(i)
	return i
}

func (t timers) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(t) {
			break
		}
		if right := child + 1; right < len(t) && t[right].due < t[child].due {
			child = right
		}
		if t[i].due <= t[child].due {
			break
		}
		t.swap(i, child)
		i = child
	}
	t[i].h.timer = int32(i)
}

func (t timers) swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].h.timer, t[j].h.timer = int32(i), int32(j)
}
