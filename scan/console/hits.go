package console

import (
	"context"
	"fmt"

	"github.com/streamlease/streamlease/scan"
)

const (
	// mostCounted is up to how many items a confirmation counts.
	mostCounted = 1000
	// mostPages is how many pages it reads for that.
	mostPages = 10
)

// hits says how many items an action concerns.
func (s *site) hits(ctx context.Context, a Action) (string, error) {
	noun := "delayed announcement"
	var page func(cursor string) (n int, next string, err error)
	switch a.Kind {
	case ActionAsk:
		return s.heldBy(ctx, a.Wish.Consumer)
	case ActionReannounce:
		return s.countStranded(ctx, a.Selection)
	case ActionSendBack, ActionDrop:
		noun = "dead letter"
		page = func(cursor string) (int, string, error) {
			some, next, err := s.inspect().LettersPage(ctx, a.Selection, cursor, 200)
			return len(some), next, err
		}
	default:
		page = func(cursor string) (int, string, error) {
			some, next, err := s.inspect().DelayedPage(ctx, a.Selection, cursor, 200)
			return len(some), next, err
		}
	}
	n, cursor := 0, ""
	for range mostPages {
		some, next, err := page(cursor)
		if err != nil {
			return "", err
		}
		if n, cursor = n+some, next; next == "" || n >= mostCounted {
			break
		}
	}
	if cursor != "" {
		return fmt.Sprintf("at least %s; there may be more than was counted", plural(n, noun)), nil
	}
	return plural(n, noun), nil
}

func (s *site) countStranded(ctx context.Context, sel scan.Selection) (string, error) {
	n := 0
	for _, err := range s.inspect().Stranded(ctx, sel) {
		if err != nil {
			return "", err
		}
		if n++; n == mostCounted {
			return fmt.Sprintf("at least %s; there may be more than was counted", plural(n, "stranded announcement")), nil
		}
	}
	return plural(n, "stranded announcement"), nil
}

// heldBy says what a consumer holds, in all of its runs.
func (s *site) heldBy(ctx context.Context, consumer string) (string, error) {
	found, err := s.sampler.current(ctx)
	if err != nil {
		return "", err
	}
	runs, held := 0, 0
	for _, p := range found.Balance.Processes {
		if p.ConsumerID == consumer {
			runs, held = runs+1, held+p.Held
		}
	}
	if runs == 0 {
		return "no process that runs now", nil
	}
	return plural(runs, "process") + ", with " + plural(held, "stream"), nil
}
