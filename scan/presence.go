package scan

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

var (
	// ErrServiceRunning says that consumers of a service are alive, so that it can be neither deleted nor repartitioned.
	// Nothing was changed. Stop them; one that was killed counts as alive until its session has ended. Where it matches
	// api.ErrForeignConsumers, too, they are those of the library that this one follows.
	ErrServiceRunning = errors.New("scan: the service is running")

	// ErrServiceJoined says that consumers are alive in a service whose deletion or repartitioning was begun and has not
	// ended, by this call or an earlier one. Some of it may be done, and nobody else starts until it has ended
	// (api.ErrServiceStopped). Stop them, and do the same again.
	ErrServiceJoined = errors.New("scan: somebody works with a service that is being changed")
)

// presence is whoever works with a service that is to be changed.
type presence struct {
	who     string // empty: nobody does
	foreign bool   // it is a consumer of the library that this one follows
}

func (w presence) any() bool { return w.who != "" }

// error says what to do about it, which depends on whether a change is on record by now.
func (w presence) error(begun bool) error {
	if !w.any() {
		return nil
	}
	kind, then := ErrServiceRunning, "stop them first, or wait until they have ended"
	if begun {
		kind, then = ErrServiceJoined, "stop them, or wait until they have ended, and do the same again to finish it"
	}
	if w.foreign {
		return fmt.Errorf("%w: %w: %s; %s", kind, api.ErrForeignConsumers, w.who, then)
	}
	return fmt.Errorf("%w: %s; %s", kind, w.who, then)
}

// Running is an error when consumers had sessions: it matches ErrServiceJoined where a change of the service was begun, else
// ErrServiceRunning.
func (s *Survey) Running() error { return s.members().error(s.State != "") }

// members are those who have sessions.
func (s *Survey) members() presence {
	t := s.Total()
	if t.Alive == 0 {
		return presence{}
	}
	return presence{who: fmt.Sprintf("%d sessions of service %s are alive, as of %s", t.Alive, s.Service,
		strings.Join(t.Consumers[:min(len(t.Consumers), namesTold)], ", "))}
}

// present is whoever works with the service, as of a survey; or by what a consumer of the library that this one follows has
// pending and holds the lock of. Locks of those that were stopped have ended.
func (i *Inspector) present(ctx context.Context, s *Survey) (presence, error) {
	if who := s.members(); who.any() {
		return who, nil
	}
	all, err := cluster.NewLayout(i.service, cluster.MaxPartitions)
	if err != nil {
		return presence{}, err
	}
	store := lease.NewStore(all, lease.Settings{Timeout: i.set.Timeout}, i.client, i.client, nil)
	for _, c := range s.Contents {
		if c.Pending == 0 {
			continue
		}
		alive, err := store.Legacy(ctx, c.Partition)
		if err != nil {
			return presence{}, explained(fmt.Sprintf("looking for consumers of another library in partition %d", c.Partition), err)
		}
		if alive != "" {
			return presence{who: fmt.Sprintf("%s holds the lock of an entry in partition %d", alive, c.Partition), foreign: true}, nil
		}
	}
	return presence{}, nil
}

// vacant is an error when somebody works with the service, as of a survey.
func (i *Inspector) vacant(ctx context.Context, s *Survey) error {
	who, err := i.present(ctx, s)
	if err != nil {
		return err
	}
	return who.error(s.State != "")
}

// joined is the error where somebody works with a partition all the same: a consumer of an earlier version.
func (o *operation) joined(p int) error {
	return presence{who: fmt.Sprintf("a consumer came to partition %d meanwhile", p)}.error(true)
}
