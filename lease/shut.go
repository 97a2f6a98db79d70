package lease

import "context"

// Shut marks a lease as shut, because its owner is about to leave its stream: see lua/shut.lua. The mark is what a Disposition with IfShut
// is given; each call returns another one. With open set, it takes the mark off. Verdicts: Kept; Lost: the lease is another's; Missing:
// the server does not know it, which a renewal finds out more about.
func (s *Store) Shut(ctx context.Context, p int, consumer string, l *Lease, open bool) (verdict Verdict, mark string, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	on := "1"
	if open {
		on = "0"
	}
	answer, err := s.rest.Do(ctx, Call{
		Script: scriptShut,
		Keys:   []string{s.layout.Keys(p).Input, l.key},
		Args:   []string{consumer, s.layout.Group(), s.mode, on, l.tag},
	}).AsStrSlice()
	if err != nil {
		return 0, "", err
	}
	if len(answer) != 2 || len(answer[0]) != 1 {
		return 0, "", orMalformed("shut", nil)
	}
	return Verdict(answer[0][0]), answer[1], nil
}
