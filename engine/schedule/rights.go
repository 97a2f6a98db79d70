package schedule

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/lease"
)

// rightsTime is how long it may take to find out which rights are missing, and rightsStep how long each question.
const (
	rightsTime = 5 * time.Second
	rightsStep = time.Second
)

// withRights adds to an error that says that one right is missing all that are. It matches api.ErrMissingRights then.
func (t *Table) withRights(ctx context.Context, err error) error {
	if !lease.LacksRight(err) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, rightsTime)
	defer cancel()
	var all []string
	for _, l := range preflight.MissingToSchedule(ctx, t.publisher.Client(), preflight.Terms{Layout: t.layout, Timeout: rightsStep}) {
		all = append(all, l.String())
	}
	if len(all) == 0 { // somebody has granted it meanwhile, or the node that refused is not among those that were asked
		return fmt.Errorf("%w: %w", api.ErrMissingRights, err)
	}
	return fmt.Errorf("%w: %s (first seen: %w)", api.ErrMissingRights, strings.Join(all, "; "), err)
}
