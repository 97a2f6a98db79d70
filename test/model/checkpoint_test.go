package model

import (
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
)

// checkpoints is what must be true of them. A checkpoint is a number, and each that is set is greater than all before, whoever sets it.
//
// So on the server that of a stream never becomes less, unless it is deleted, or forgotten in a failover: nobody stores an older one
// over a newer, least of all an owner whose token was replaced. Who acquires the stream finds what is there, which is the last one that
// was stored, or a later one that was set under the previous token.
type checkpoints struct {
	set     int               // the last one that was set
	stored  map[string]int    // by stream, 0: none
	owner   map[string]uint64 // the token under which a stream was last acquired, 0: not on this server
	saved   int               // how many were stored
	refused int               // and how many were not
}

// setCheckpoint sets that of one stream that a consumer owns.
func (c *consumer) setCheckpoint(x *item) {
	c.r.points.set++
	x.value = c.r.points.set
	c.r.note("%s sets %d for %s", c, x.value, x.entry.Stream)
}

// savings returns the checkpoints of those of these items that have one, for a call that is sent now.
func (c *consumer) savings(items []*item) (saves lease.Savings) {
	c.number++
	saves.Number = c.number
	leases := c.leasesOf(items)
	for i, x := range items {
		if x.value != 0 {
			saves.Items = append(saves.Items, lease.Saving{Lease: leases[i], Value: strconv.Itoa(x.value)})
		}
	}
	return saves
}

// save stores the checkpoints of these items.
func (c *consumer) save(items []*item) {
	saves := c.savings(items)
	if c.name == "" || len(saves.Items) == 0 {
		return
	}
	name := c.name
	alone := c.r.rand.IntN(4) == 0
	c.send("save", func() func() {
		var verdicts string
		if alone {
			for _, v := range c.r.h.store.SaveCheckpointsAlone(c.r.h.ctx, 0, name, saves.Number, saves.Items) {
				verdicts += string(rune(v))
			}
		} else {
			var err error
			verdicts, err = c.r.h.store.SaveCheckpoints(c.r.h.ctx, 0, name, saves.Number, saves.Items)
			c.r.ok(err)
		}
		c.r.saved(saves, verdicts)
		return func() {}
	})
}

// saved notes what a call has stored that the server just ran.
func (r *run) saved(saves lease.Savings, verdicts string) {
	for i, x := range saves.Items {
		if i < len(verdicts) && lease.Verdict(verdicts[i]) == lease.Saved {
			value, _ := strconv.Atoi(x.Value)
			r.storedOne(x.Lease.Stream(), value, uint64(x.Lease.Token()))
		} else {
			r.points.refused++
		}
	}
}

// storedOne notes that the server has stored one, and checks that it might.
func (r *run) storedOne(stream string, value int, token uint64) {
	r.note("%d of %s is stored under %d", value, stream, token)
	r.require(value >= r.points.stored[stream], "%d of %s is stored over %d", value, stream, r.points.stored[stream])
	r.require(r.points.owner[stream] == 0 || r.points.owner[stream] == token, "a checkpoint of %s is stored under %d, which was replaced by %d",
		stream, token, r.points.owner[stream])
	r.points.stored[stream] = value
	r.points.saved++
}

// left notes what an ending has left that the server just ran.
func (r *run) left(d *lease.Disposition, o lease.Outcome, stream string) {
	if o.Checkpoint != lease.Saved {
		return
	}
	token, _ := strconv.ParseUint(d.Token, 10, 64)
	switch {
	case d.DropCheckpoint:
		r.note("that of %s is deleted", stream)
		r.points.stored[stream] = 0
	case d.Checkpoint != nil:
		value, _ := strconv.Atoi(*d.Checkpoint)
		r.storedOne(stream, value, token)
	}
}

// found notes an acquisition that the server just ran, and checks what it found.
func (r *run) found(x *item, take lease.Take) {
	r.ok(take.CheckpointErr)
	value, _ := strconv.Atoi(take.Checkpoint)
	r.require(value == r.points.stored[x.entry.Stream], "%s was acquired with %q, and %d is stored", x.entry.Stream, take.Checkpoint,
		r.points.stored[x.entry.Stream])
	r.points.owner[x.entry.Stream] = uint64(take.Token)
}

// readCheckpoints takes over what a server has that may have forgotten some.
func (r *run) readCheckpoints() {
	r.points.stored, r.points.owner = make(map[string]int), make(map[string]uint64)
	fields, err := r.h.Try("HGETALL", r.h.keys.Checkpoints).AsStrMap()
	require.NoError(r.t, err)
	for field, stored := range fields {
		if stream, is := strings.CutPrefix(field, "s"); is {
			r.points.stored[stream], _ = strconv.Atoi(stored[strings.LastIndexByte(stored, ' ')+1:])
		}
	}
}
