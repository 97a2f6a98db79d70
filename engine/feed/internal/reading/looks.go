package reading

import (
	"context"

	"github.com/streamlease/streamlease/cluster/backoff"
)

// looks is the goroutine of a lane that looks at streams.
func (r *Reader) looks(l *lane) {
	var looks []glance
	for {
		if looks = r.takeLooks(l, looks); len(looks) == 0 {
			return
		}
		r.count(Looks, len(looks))
		streams := make([]string, len(looks))
		for i := range looks {
			streams[i] = looks[i].h.source.Stream()
		}
		ctx, cancel := context.WithTimeout(r.ctx, r.cfg.Timeout)
		infos, errs := r.glanceAt(ctx, looks, streams)
		cancel()
		for i, g := range looks {
			r.looked(g, infos[i], errs[i])
		}
		if transportFailed(errs) {
			backoff.Sleep(r.ctx, minDelay)
		}
	}
}

// glanceAt looks at streams of which one that is at its start probably does not exist: whether it does costs a server a fraction of a script.
func (r *Reader) glanceAt(ctx context.Context, looks []glance, streams []string) ([]Info, []error) {
	var begin, other []int // in looks
	for i := range looks {
		if looks[i].after == "0-0" {
			begin = append(begin, i)
		} else {
			other = append(other, i)
		}
	}
	if len(begin) == 0 {
		return r.lookAt(ctx, streams)
	}
	there := r.exist(ctx, pick(streams, begin))
	for j, i := range begin {
		if there[j] {
			other = append(other, i)
		}
	}
	infos, errs := make([]Info, len(looks)), make([]error, len(looks))
	if len(other) > 0 {
		some, failed := r.lookAt(ctx, pick(streams, other))
		for j, i := range other {
			infos[i], errs[i] = some[j], failed[j]
		}
	}
	return infos, errs
}

func pick(all []string, which []int) []string {
	some := make([]string, len(which))
	for j, i := range which {
		some[j] = all[i]
	}
	return some
}

// mostLooks are taken in one pipeline.
const mostLooks = 128

func (r *Reader) takeLooks(l *lane, hold []glance) []glance {
	r.mu.Lock()
	defer r.mu.Unlock()
	for l.looks.len() == 0 {
		if !r.running || l.ended {
			return nil
		}
		l.glare.Wait()
	}
	if r.ctx.Err() != nil {
		return nil
	}
	return l.looks.pop(mostLooks, hold[:0])
}

// looked passes what a look has shown to the source.
func (r *Reader) looked(g glance, info Info, err error) {
	result := Result{After: g.after}
	switch {
	case err == nil:
		result.Info = &info
	case passes(err):
		r.again(g.h, false)
		return
	case Permanent(err) && !lacksRights(err):
		result.Err = err
	}
	r.mu.Lock()
	g.h.clear(look)
	r.mu.Unlock()
	r.tell(g.h, result, g.epoch)
}

func transportFailed(errs []error) bool {
	for _, err := range errs {
		if err != nil && unreached(err) {
			return true
		}
	}
	return false
}
