package record

import (
	"fmt"
	"strconv"
	"strings"
)

// version marks the format of a checkpoint.
const version = "t1"

// Checkpoint is how far the ticks of a schedule have come.
type Checkpoint struct {
	Born    int64  // the incarnation that it is of, ms
	Last    int64  // the time of the last tick, ms; 0: none yet
	Number  uint64 // of the last tick; 0: none yet
	Trigger int64  // Row.Trigger of the last tick that was asked for, µs; 0: none
	Missed  int    // skipped since the last tick, for the next one to say
	State   []byte // what the user saved; nil: nothing
}

// Encode returns the text of a checkpoint: "t1 <born> <last> <number> <trigger> <missed>", and if there is a state, a newline and it.
func (c *Checkpoint) Encode() string {
	var room [192]byte // on the stack, since each tick encodes one
	b := room[:0]
	b = append(b, version...)
	b = strconv.AppendInt(append(b, ' '), c.Born, 10)
	b = strconv.AppendInt(append(b, ' '), c.Last, 10)
	b = strconv.AppendUint(append(b, ' '), c.Number, 10)
	b = strconv.AppendInt(append(b, ' '), c.Trigger, 10)
	b = strconv.AppendInt(append(b, ' '), int64(c.Missed), 10)
	if c.State != nil {
		b = append(append(b, '\n'), c.State...)
	}
	return string(b)
}

// ParseCheckpoint parses a checkpoint.
func ParseCheckpoint(text string) (c Checkpoint, err error) {
	head, state, has := strings.Cut(text, "\n")
	parts := strings.Split(head, " ")
	if len(parts) != 6 || parts[0] != version {
		return c, fmt.Errorf("the checkpoint %.40q was not written by this layer", text)
	}
	for i, to := range map[int]*int64{1: &c.Born, 2: &c.Last, 4: &c.Trigger} {
		if *to, err = parseTime(parts[i]); err != nil {
			return Checkpoint{}, fmt.Errorf("part %d of the checkpoint %.100q: %w", i+1, head, err)
		}
	}
	if c.Number, err = strconv.ParseUint(parts[3], 10, 64); err != nil {
		return Checkpoint{}, fmt.Errorf("part 4 of the checkpoint %.100q is no number", head)
	}
	if c.Missed, err = parseCount(parts[5]); err != nil {
		return Checkpoint{}, fmt.Errorf("part 6 of the checkpoint %.100q: %w", head, err)
	}
	if has {
		c.State = []byte(state)
	}
	return c, nil
}
