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

// FormatVersion is the version of what is in Redis, in a service's meta key.
const FormatVersion = 1

// State is what is being done to a stopped service as a whole. Nobody works with it meanwhile.
type State string

// States. The empty one is the usual one.
const (
	Deleting       State = "deleting"
	Repartitioning State = "repartitioning"
)

// Format is what stands in the place of the format version meanwhile. Versions of the library that do not know states
// compare it with theirs, so they refuse to start as well.
func (s State) Format() string {
	if s == "" {
		return strconv.Itoa(FormatVersion)
	}
	return strconv.Itoa(FormatVersion) + "-" + string(s)
}

// Agreement is what the meta key of a service says. Fields that are not there are empty.
type Agreement struct {
	Format     string
	Partitions string
	State      State
	From, To   string // numbers of partitions: entries may be in any of the first From; To is what the service is to have
}

// ParseAgreement reads { format, partitions, state, from, to }, each of which may be missing.
func ParseAgreement(parts []rueidis.RedisMessage) Agreement {
	var text [5]string
	for n := range min(len(parts), len(text)) {
		text[n], _ = parts[n].ToString()
	}
	return Agreement{Format: text[0], Partitions: text[1], State: State(text[2]), From: text[3], To: text[4]}
}

// Stopped is an error that matches api.ErrServiceStopped and says what is going on and how it ends, nil when nothing is.
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

// check compares with what this program wants.
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

// Disagrees reports whether err says that the service is not, or not now, what this program takes it for. Every other
// error leaves that open.
func Disagrees(err error) bool {
	return errors.Is(err, api.ErrPartitionMismatch) || errors.Is(err, api.ErrFormat) || errors.Is(err, api.ErrServiceStopped)
}

// Agree writes the service's format and number of partitions if nobody has, and checks them if somebody has. Its
// errors match api.ErrPartitionMismatch, api.ErrFormat or api.ErrServiceStopped when they differ, and
// api.ErrNoAgreement when the record is gone although members are alive.
func (s *Store) Agree(ctx context.Context) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return Agree(ctx, s.rest, s.layout)
}

// Confirm is Agree for a member that has agreed before: where the record is gone it writes it again.
func (s *Store) Confirm(ctx context.Context) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return Confirm(ctx, s.rest, s.layout)
}

// Agree is Store.Agree for those who have no store, as a publisher.
func Agree(ctx context.Context, r *Runner, layout *cluster.Layout) error {
	return agree(ctx, r, layout, "0")
}

// Confirm is Store.Confirm for those who have no store.
func Confirm(ctx context.Context, r *Runner, layout *cluster.Layout) error {
	return agree(ctx, r, layout, "1")
}

func agree(ctx context.Context, r *Runner, layout *cluster.Layout, member string) error {
	call := Call{
		Script: scriptMeta,
		Keys:   []string{layout.Meta(), layout.Keys(0).Sessions},
		Args:   []string{strconv.Itoa(FormatVersion), strconv.Itoa(layout.Partitions()), member},
	}
	parts, err := r.Do(ctx, call).ToArray()
	if refusedRight(err) {
		// A publisher whose rights are those that earlier versions asked for: it can tell what stands there, and not
		// whether anybody is alive.
		call.Keys = call.Keys[:1]
		parts, err = r.Do(ctx, call).ToArray()
	}
	if err != nil {
		return fmt.Errorf("service %s: reading its layout from %s: %w", layout.Service(), layout.Meta(), Explain(err))
	}
	a := ParseAgreement(parts)
	if a.Format == "living" {
		return fmt.Errorf("%w: %s is gone, and %s consumers of service %s are alive; they write it again within half a minute."+
			" Those of an earlier version do not: HSET %s format %d partitions <their number>",
			api.ErrNoAgreement, layout.Meta(), number(parts, 1), layout.Service(), layout.Meta(), FormatVersion)
	}
	return a.check(layout)
}

func number(parts []rueidis.RedisMessage, n int) string {
	if n >= len(parts) {
		return "some"
	}
	value, _ := parts[n].AsInt64()
	return strconv.FormatInt(value, 10)
}

// refusedRight reports whether a right is missing.
func refusedRight(err error) bool {
	code, _ := Refusal(err)
	return code == "NOPERM" || code == "can't run this command" || code == "ACL failure in script"
}
