package schedule

import "time"

// maxNext bounds what Spec.Next returns.
const maxNext = 10_000

// Next returns the first n times after a time that ticks of a schedule with this spec have, in UTC: fewer if it ends before, none if n is
// not positive, at most 10,000. It is what a form shows before a spec is saved; a first tick off the grid (Soon) is not among them, since
// that depends on when the schedule is made. Errors match ErrSpec.
//
// Times of Cron are those of the wall clock in Zone. Where it is set forward, a time that is left out becomes the first instant after
// the gap; where it is set back, a time that comes twice counts the first time only. An expression whose hour is "*" or "*/n" follows
// elapsed time instead: it has ticks in both passes.
func (s *Spec) Next(after time.Time, n int) ([]time.Time, error) {
	d, err := s.definition()
	if err != nil {
		return nil, err
	}
	t, err := timingOf(&d)
	if err != nil {
		return nil, err
	}
	var all []time.Time
	for at := after.UnixMilli(); len(all) < min(n, maxNext); {
		next, ok := t.Next(at)
		if !ok {
			break
		}
		all, at = append(all, timeOf(next)), next
	}
	return all, nil
}
