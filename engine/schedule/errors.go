package schedule

import (
	"errors"
	"fmt"

	"github.com/streamlease/streamlease/api"
)

var (
	// ErrNoSchedule: there is no schedule of that name. Put it first.
	ErrNoSchedule = errors.New("schedule: no such schedule")

	// ErrSpec: a spec is out of range or contradicts itself, or a row of the table cannot be read. The message names the field, the value and
	// the remedy. With Put nothing was changed for that schedule.
	ErrSpec = errors.New("schedule: invalid spec")

	// ErrDeleted is the cause with which a task stops whose schedule was deleted.
	ErrDeleted = errors.New("schedule: deleted")

	// ErrReplaced is the cause with which a task stops whose schedule was announced again, such as by a deletion and a new one of the same
	// name. If it goes on, here or elsewhere, its task is opened again.
	ErrReplaced = errors.New("schedule: announced again")
)

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: schedule: "+format, append([]any{api.ErrInvalidConfig}, args...)...)
}
