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
	// ErrServiceRunning means that consumers of a service are alive, so that it can be neither deleted nor repartitioned.
	// Nothing was changed. Stop them; one that was killed counts as alive until its session has ended. If the error also matches
	// api.ErrForeignConsumers, they are legacy consumers, of the library that this one replaces.
	ErrServiceRunning = errors.New("scan: the service is running")

	// ErrServiceJoined means that consumers are alive in a service whose deletion or repartitioning was begun, by this call or an
	// earlier one, and has not ended. Some of it may be done, and no other consumer starts until it has ended
	// (api.ErrServiceStopped). Stop them, and run the same operation again.
	ErrServiceJoined = errors.New("scan: consumers work with a service that is being changed")
)

// presence is who works with a service that is to be changed.
type presence struct {
	who    string // empty: nobody does
	legacy bool   // it is a legacy consumer, of the library that this one replaces
}

func (w presence) any() bool { return w.who != "" }

// error returns what to do about it, which depends on whether a change is on record by now.
func (w presence) error(begun bool) error {
	if !w.any() {
		return nil
	}
	kind, then := ErrServiceRunning, "stop them first, or wait until their sessions have ended"
	if begun {
		kind, then = ErrServiceJoined, "stop them, or wait until their sessions have ended, and run the same operation again to finish it"
	}
	if w.legacy {
		return fmt.Errorf("%w: %w: %s; %s", kind, api.ErrForeignConsumers, w.who, then)
	}
	return fmt.Errorf("%w: %s; %s", kind, w.who, then)
}

// Running returns an error when consumers had live sessions. It matches ErrServiceJoined where a change of the service was begun,
// and ErrServiceRunning otherwise.
func (s *Survey) Running() error { return s.sessions().error(s.State != "") }

// sessions returns the consumers that have live sessions.
func (s *Survey) sessions() presence {
	t := s.Total()
	if t.Alive == 0 {
		return presence{}
	}
	return presence{who: fmt.Sprintf("%d sessions of service %s are alive, such as those of %s", t.Alive, s.Service,
		strings.Join(t.Consumers[:min(len(t.Consumers), maxNames)], ", "))}
}

// present returns who works with the service: consumers with live sessions, by a survey, or a legacy consumer that holds the lock
// of an entry that is pending for it. The locks of stopped ones have expired.
func (i *Inspector) present(ctx context.Context, s *Survey) (presence, error) {
	if who := s.sessions(); who.any() {
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
			return presence{}, explained(fmt.Sprintf("looking for legacy consumers in partition %d", c.Partition), err)
		}
		if alive != "" {
			return presence{who: fmt.Sprintf("%s holds the lock of an entry in partition %d", alive, c.Partition), legacy: true}, nil
		}
	}
	return presence{}, nil
}

// checkStopped returns an error when somebody works with the service, by a survey.
func (i *Inspector) checkStopped(ctx context.Context, s *Survey) error {
	who, err := i.present(ctx, s)
	if err != nil {
		return err
	}
	return who.error(s.State != "")
}
