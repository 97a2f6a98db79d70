package main

import (
	"context"
	"fmt"
	"time"
)

// play is what happens, in order.
func (s *show) play(ctx context.Context) error {
	pager, err := s.startPage(ctx, "watcher-1")
	if err != nil {
		return err
	}
	s.say("Started watcher-1, which declared %d monitors of %s, each every %v. The page: http://%s", s.monitors, s.sites.address, s.every, s.listen)
	second, err := s.start(ctx, "watcher-2")
	if err != nil {
		return err
	}
	third, err := s.start(ctx, "watcher-3")
	if err != nil {
		return err
	}
	if err := until(ctx, "all are checked", func() (bool, error) {
		n, err := s.proof.monitors(ctx)
		return n == s.monitors, err
	}); err != nil {
		return err
	}
	s.say("Three processes are up, and each monitor was checked once.")

	from := time.Now()
	if err := s.pass(ctx, s.every); err != nil {
		return err
	}
	if err := s.lateness(ctx, "Undisturbed", from); err != nil {
		return err
	}
	if err := s.sicken(ctx); err != nil {
		return err
	}
	if err := s.crash(ctx, third); err != nil {
		return err
	}
	if err := s.alerted(ctx, "down"); err != nil {
		return err
	}
	if err := s.roll(ctx, pager, second); err != nil {
		return err
	}
	s.sites.set(0, s.monitors, fine)
	s.say("All sites are fine again.")
	if err := s.alerted(ctx, "up"); err != nil {
		return err
	}
	return s.prove(ctx)
}

// pass waits.
func (s *show) pass(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// lateness says how late checks were since a time.
func (s *show) lateness(ctx context.Context, when string, from time.Time) error {
	f, err := s.proof.between(ctx, from, time.Now().Add(-time.Second)) // those after it may not be recorded yet
	if err == nil {
		s.say("%s: %v.", when, f)
	}
	return err
}

// sicken has some sites misbehave.
func (s *show) sicken(context.Context) error {
	for i, way := range []string{broken, hanging, defaced} {
		s.sites.set(i*sick, (i+1)*sick, way)
	}
	s.say("%d sites answer with status 500 now, %d do not answer, and %d show another text.", sick, sick, sick)
	return nil
}

// crash kills a process, and waits until others have taken over.
func (s *show) crash(ctx context.Context, p *process) error {
	from := time.Now()
	if err := p.kill(); err != nil {
		return err
	}
	s.say("Killed %s (SIGKILL).", p.name)
	if _, err := s.start(ctx, "watcher-4"); err != nil {
		return err
	}
	// Its session ends after 10 s; then what was due meanwhile is checked.
	if err := s.pass(ctx, 2*s.every); err != nil {
		return err
	}
	return s.lateness(ctx, "Since then", from)
}

// alerted waits for the alerts about all sick sites.
func (s *show) alerted(ctx context.Context, status string) error {
	if err := until(ctx, fmt.Sprintf("all alerts are there: %s", status), func() (bool, error) {
		n, _ := s.hook.count(status)
		return n >= 3*sick, nil
	}); err != nil {
		return err
	}
	n, again := s.hook.count(status)
	s.say("The webhook has got %d alerts, one for each site that is %s, and %d alerts again with the same key.", n, status, again)
	return nil
}

// roll replaces each process, as a deploy does: the new one first, but for the one that has the page and its history.
func (s *show) roll(ctx context.Context, pager, second *process) error {
	from := time.Now()
	s.say("A deploy: each process is replaced.")
	if _, err := s.start(ctx, "watcher-5"); err != nil {
		return err
	}
	took, err := second.stop()
	if err != nil {
		return err
	}
	s.say("watcher-5 has taken the place of %s, which handed its monitors over in %v.", second.name, took.Round(time.Millisecond))
	if took, err = pager.stop(); err != nil {
		return err
	}
	if _, err := s.startPage(ctx, "watcher-6"); err != nil {
		return err
	}
	s.say("watcher-6 has taken the place of %s and goes on with its history; the handing over took %v.", pager.name, took.Round(time.Millisecond))
	if err := s.pass(ctx, s.every); err != nil {
		return err
	}
	return s.lateness(ctx, "During the deploy", from)
}

// prove counts checks that were lost, and those that were repeated.
func (s *show) prove(ctx context.Context) error {
	var checks int
	var lost []string
	var added int64
	if err := until(ctx, "all is recorded", func() (bool, error) {
		var err error
		if checks, lost, err = s.proof.lost(ctx, s.every); err != nil {
			return false, err
		}
		added, err = s.redis.Do(ctx, s.redis.B().Xlen().Key("uptime:reports").Build()).AsInt64()
		return true, err
	}); err != nil {
		return err
	}
	s.say("In the history: %d checks of %d monitors. Lost: %d. Made twice: %d, which the history has once.", checks, s.monitors, len(lost), added-int64(checks))
	if len(lost) > 0 {
		return fmt.Errorf("lost, among others: %s", lost[0])
	}
	return nil
}
