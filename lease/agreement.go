package lease

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
)

// FormatVersion is the version of the data format in Redis, as it stands in a service's meta key.
const FormatVersion = 1

// State is the operation under way on a stopped service as a whole. Nobody works with the service meanwhile.
type State string

// States. Usually there is none: the empty string.
const (
	Deleting       State = "deleting"
	Repartitioning State = "repartitioning"
)

// Format is what replaces the format version while the operation runs. Versions of the library that do not know states
// compare it with their own version, so they refuse to start as well.
func (s State) Format() string {
	if s == "" {
		return strconv.Itoa(FormatVersion)
	}
	return strconv.Itoa(FormatVersion) + "-" + string(s)
}

// Agreement is the content of a service's meta key. Fields that it lacks are empty.
type Agreement struct {
	Format     string
	Partitions string
	State      State
	From, To   string // numbers of partitions: entries may be in any of the first From; the service is to have To
	NeverOpen  bool   // no engine has opened the service, or none for a month; only Agreed finds out
}

// ParseAgreement reads { format, partitions, state, from, to, opened }, each of which may be missing.
func ParseAgreement(parts []rueidis.RedisMessage) Agreement {
	var text [5]string
	for n := range min(len(parts), len(text)) {
		text[n], _ = parts[n].ToString()
	}
	a := Agreement{Format: text[0], Partitions: text[1], State: State(text[2]), From: text[3], To: text[4]}
	if len(parts) > len(text) {
		opened, err := parts[len(text)].AsInt64()
		a.NeverOpen = err == nil && opened == 0
	}
	return a
}

// Stopped returns an error that matches api.ErrServiceStopped and says which operation is under way and how to end it; nil if
// none is.
func (a *Agreement) Stopped(service string) error {
	switch a.State {
	case "":
		return nil
	case Deleting:
		return fmt.Errorf("%w: service %s is being deleted: delete it again to finish that, or repartition it to %s to keep what is left",
			api.ErrServiceStopped, service, a.fallback())
	case Repartitioning:
		return fmt.Errorf("%w: service %s is being repartitioned from %s to %s partitions: repartition it to %s again to finish that, or to %s to undo it",
			api.ErrServiceStopped, service, a.Partitions, a.To, a.To, a.fallback())
	}
	return fmt.Errorf("%w: service %s is %q, which this version does not know", api.ErrServiceStopped, service, a.State)
}

func (a *Agreement) fallback() string {
	if a.Partitions == "" {
		return "the number that it had"
	}
	return a.Partitions
}

// check compares the agreement with what this program was configured for.
func (a *Agreement) check(layout *cluster.Layout) error {
	service, want := layout.Service(), strconv.Itoa(layout.Partitions())
	if err := a.Stopped(service); err != nil {
		return err
	}
	if version := strconv.Itoa(FormatVersion); a.Format != version {
		return fmt.Errorf("%w: service %s has %q in %s, this version writes %s", api.ErrFormat, service, a.Format, layout.Meta(), version)
	}
	if a.Partitions != want {
		return fmt.Errorf("%w: service %s has %s partitions, this program asks for %s: use WithPartitions(%s), or another service name",
			api.ErrPartitionMismatch, service, a.Partitions, want, a.Partitions)
	}
	return nil
}

// Disagrees reports whether err means that the service differs, at least for now, from what this program was configured for.
// Every other error leaves that open.
func Disagrees(err error) bool {
	return errors.Is(err, api.ErrPartitionMismatch) || errors.Is(err, api.ErrFormat) || errors.Is(err, api.ErrServiceStopped)
}

// Agree writes the service's format and number of partitions if nobody has, and checks them otherwise. Its errors match
// api.ErrPartitionMismatch, api.ErrFormat or api.ErrServiceStopped if they differ, api.ErrNoAgreement if the record is gone
// although members are alive, and api.ErrUnsupportedServer if the server is older than Redis 6.2.
func (s *Store) Agree(ctx context.Context) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return Agree(ctx, s.rest, s.layout)
}

// Confirm is Agree for a member that has agreed before: it restores the record if that is gone.
func (s *Store) Confirm(ctx context.Context) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return Confirm(ctx, s.rest, s.layout)
}

// Agree is Store.Agree for callers without a store, such as a publisher.
func Agree(ctx context.Context, r *Runner, layout *cluster.Layout) error {
	_, err := Agreed(ctx, r, layout)
	return err
}

// Agreed is Agree, and returns what was agreed on.
func Agreed(ctx context.Context, r *Runner, layout *cluster.Layout) (Agreement, error) {
	return agree(ctx, r, layout, "0")
}

// Confirm is Store.Confirm for callers without a store.
func Confirm(ctx context.Context, r *Runner, layout *cluster.Layout) error {
	_, err := agree(ctx, r, layout, "1")
	return err
}

func agree(ctx context.Context, r *Runner, layout *cluster.Layout, member string) (Agreement, error) {
	call := Call{
		Script: scriptMeta,
		Keys:   []string{layout.Meta(), layout.Keys(0).Sessions},
		Args:   []string{strconv.Itoa(FormatVersion), strconv.Itoa(layout.Partitions()), member},
	}
	parts, err := r.Do(ctx, call).ToArray()
	if LacksRight(err) {
		// A publisher with the rights that earlier versions asked for: it can read the record, but not whether anybody is
		// alive.
		call.Keys = call.Keys[:1]
		parts, err = r.Do(ctx, call).ToArray()
	}
	if err != nil {
		return Agreement{}, fmt.Errorf("service %s: reading its layout from %s: %w", layout.Service(), layout.Meta(), Explain(err))
	}
	a := ParseAgreement(parts)
	if a.Format == "living" {
		return a, fmt.Errorf("%w: %s is gone, and %s consumers of service %s are alive; they restore it within half a minute."+
			" Those of an earlier version do not: HSET %s format %d partitions <their number>",
			api.ErrNoAgreement, layout.Meta(), number(parts, 1), layout.Service(), layout.Meta(), FormatVersion)
	}
	return a, a.check(layout)
}

func number(parts []rueidis.RedisMessage, n int) string {
	if n >= len(parts) {
		return "some"
	}
	value, _ := parts[n].AsInt64()
	return strconv.FormatInt(value, 10)
}
