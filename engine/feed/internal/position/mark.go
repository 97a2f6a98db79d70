package position

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

const (
	// version begins each checkpoint. Another format gets another number.
	version = "f1"

	// MaxState is the greatest length of a program's state, in bytes: what 4 KiB leave beside the rest.
	MaxState = 4000

	// MaxFailures is the greatest number of failures that a checkpoint holds; what fails more often counts as this.
	MaxFailures = math.MaxUint16
)

// ErrNoMark is matched by the error of a checkpoint that is not one of this package, or not of a version that it knows.
var ErrNoMark = errors.New("not a position of a feed")

// Mark is what is kept of a stream beside its lease.
type Mark struct {
	At       ID     // of the last message that was handled; zero: none
	Failures int    // of what follows it, in a row
	State    string // the program's own, at most MaxState bytes
}

// Encode returns the mark as a checkpoint: "f1 <id>[ <failures>[ <state>]]". Most have no failures and no state, and Redis keeps one
// for every stream, so what is empty is left out.
func (m Mark) Encode() string {
	b := make([]byte, 0, len(version)+1+41+7+len(m.State))
	b = append(b, version...)
	b = append(b, ' ')
	b = m.At.append(b)
	if m.Failures > 0 || m.State != "" {
		b = append(b, ' ')
		b = strconv.AppendInt(b, int64(min(max(m.Failures, 0), MaxFailures)), 10)
	}
	if m.State != "" {
		b = append(b, ' ')
		b = append(b, m.State...)
	}
	return string(b)
}

// Decode returns the mark of a checkpoint, which must not be empty. What it does not understand is an error, never a beginning.
func Decode(checkpoint string) (Mark, error) {
	found, rest, ok := strings.Cut(checkpoint, " ")
	if !ok || found != version {
		return Mark{}, fmt.Errorf("%w: a checkpoint that begins with %.20q; this version of the library knows those that begin with %q",
			ErrNoMark, checkpoint, version+" ")
	}
	at, rest, more := strings.Cut(rest, " ")
	id, err := Parse(at)
	if err != nil {
		return Mark{}, fmt.Errorf("%w: %w", ErrNoMark, err)
	}
	if !more {
		return Mark{At: id}, nil
	}
	count, state, more := strings.Cut(rest, " ")
	failures, err := number(count)
	if err != nil || failures > MaxFailures {
		return Mark{}, fmt.Errorf("%w: %.20q failures", ErrNoMark, count)
	}
	if more && state == "" || !more && failures == 0 || len(state) > MaxState {
		return Mark{}, fmt.Errorf("%w: a checkpoint of %d bytes with a state of %d", ErrNoMark, len(checkpoint), len(state))
	}
	return Mark{At: id, Failures: int(failures), State: state}, nil
}
