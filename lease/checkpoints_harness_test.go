package lease

import (
	"strings"

	"github.com/stretchr/testify/require"
)

// stored is what the checkpoints have for a stream, "" for nothing.
func (w *harness) stored(stream string) string {
	return w.Text("HGET", w.keys.Checkpoints, "s"+stream)
}

// number is the greatest number of a call of a session that stored checkpoints, "" for none.
func (w *harness) number(consumer string) string {
	return w.Text("HGET", w.keys.Checkpoints, "!"+consumer)
}

func (w *harness) save(consumer string, number uint64, items ...Saving) string {
	w.t.Helper()
	verdicts, err := w.store.SaveCheckpoints(w.ctx, 0, consumer, number, items)
	require.NoError(w.t, err)
	return verdicts
}

// renewWith renews leases with checkpoints.
func (w *harness) renewWith(consumer string, number uint64, leases []*Lease, items ...Saving) Renewal {
	w.t.Helper()
	out := w.store.Renew(w.ctx, 0, consumer, 0, [][]*Lease{leases}, []Savings{{Number: number, Items: items}}, nil)
	require.Len(w.t, out, 1)
	require.NoError(w.t, out[0].Err)
	return out[0]
}

// ways are the calls that store checkpoints of leases: each returns the verdicts on the items.
var ways = map[string]func(w *harness, consumer string, number uint64, items ...Saving) string{
	"save": (*harness).save,
	"renew, of the batch": func(w *harness, consumer string, number uint64, items ...Saving) string {
		leases := make([]*Lease, len(items))
		for i := range items {
			leases[i] = items[i].Lease
		}
		return saved(w, w.renewWith(consumer, number, leases, items...))
	},
	"renew, of others": func(w *harness, consumer string, number uint64, items ...Saving) string {
		return saved(w, w.renewWith(consumer, number, nil, items...))
	},
}

// absent is the verdict on a lease that is not there: a renewal knows that the partition does not settle.
func absent(way string) string {
	if way == "renew, of the batch" {
		return "l"
	}
	return "m"
}

func saved(w *harness, r Renewal) string {
	w.t.Helper()
	require.NoError(w.t, r.SaveErr)
	return r.Saved
}

// with is an ending that leaves a checkpoint.
func (d Disposition) with(checkpoint string) Disposition {
	d.Checkpoint = &checkpoint
	return d
}

// again announces a stream once more, and makes consumer acquire it; it returns the lease, and what it took.
func (w *harness) again(consumer, stream string) (*Lease, Take) {
	w.t.Helper()
	w.announce(stream)
	return w.next(consumer)
}

// next makes consumer acquire the next entry.
func (w *harness) next(consumer string) (*Lease, Take) {
	w.t.Helper()
	entries := w.read(consumer, 1)
	require.Len(w.t, entries, 1)
	take := w.acquire(consumer, entries...)[0]
	require.Equal(w.t, string(rune(Acquired)), string(rune(take.Verdict)), "%+v", take)
	return w.lease(consumer, entries[0], take.Token), take
}

// checkpoint is the checkpoint that is stored for a stream, "" for none.
func (w *harness) checkpoint(stream string) string {
	w.t.Helper()
	fields := strings.SplitN(w.stored(stream), " ", 3)
	if len(fields) < 3 {
		return ""
	}
	return fields[2]
}
