package scan

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// collection is one of the keys in which a partition keeps items that belong to data streams, and that move when the partitions
// of those change. Another such key has to be added to collections.
type collection struct {
	name  string
	kind  string // as moved.lua calls it
	group bool   // its items may be pending
	key   func(k *cluster.Keys) string
	page  func(o *operation, ctx context.Context, p int, key string, at *cursor) ([]item, error)
	copy  func(b rueidis.Builder, key string, x *item) rueidis.Completed
}

var collections = []*collection{
	{
		name: "announcements", kind: "stream", group: true, page: streamPage, copy: addEntry,
		key: func(k *cluster.Keys) string { return k.Input },
	},
	{
		name: "delayed announcements", kind: "later", page: laterPage, copy: addLater,
		key: func(k *cluster.Keys) string { return k.Later },
	},
	{
		name: "dead letters", kind: "stream", page: streamPage, copy: addLetter,
		key: func(k *cluster.Keys) string { return k.DeadLetters },
	},
	{
		name: "checkpoints", kind: "hash", page: hashPage(checkpointed), copy: addField,
		key: func(k *cluster.Keys) string { return k.Checkpoints },
	},
	{
		name: "schedules", kind: "hash", page: hashPage(scheduled), copy: addField,
		key: func(k *cluster.Keys) string { return k.Schedules },
	},
}

// item is one item of a collection.
type item struct {
	id     string // in a stream; or the member of a sorted set; or the field of a hash
	value  string // of a field
	stream string // the data stream; empty: the item cannot be parsed
	lease  string // the key of its lease in this partition
	score  float64
	body   []rueidis.XRangeFieldValue
	weight int
}

// cursor is how far a collection was read.
type cursor struct {
	from, to string // of a stream
	rank     int    // in the sorted set of delayed ones: how many stay
	scan     string // of the hash; "0" at its end
}

// rehome moves the items that belong to other partitions out of a collection of partition p.
func (o *operation) rehome(ctx context.Context, s *collection, p int, to *cluster.Layout) error {
	key := s.key(o.all.Keys(p))
	at := cursor{from: "-", to: "+"}
	for {
		page, err := s.page(o, ctx, p, key, &at)
		if err != nil {
			return explained("reading "+s.name+" of "+key, err)
		}
		if len(page) == 0 {
			return nil
		}
		leaving := page[:0]
		for _, x := range page {
			if homeOf(&x, p, to) != p {
				leaving = append(leaving, x)
			}
		}
		at.rank += len(page) - len(leaving)
		for _, batch := range lease.Batches(leaving, o.set.Page, func(x *item) int { return x.weight }) {
			if err := o.move(ctx, s, p, to, key, batch); err != nil {
				return err
			}
		}
	}
}

// homeOf returns the partition to which an item belongs.
func homeOf(x *item, p int, to *cluster.Layout) int {
	switch {
	case x.stream != "":
		return to.Of(x.stream)
	case p < to.Partitions():
		return p // its reader dead-letters it
	}
	return 0
}

// move copies items to where they belong, and then deletes them. An operation that was taken over in the meantime deletes
// nothing, which is decided in the same step (see claim): its copies may be in partitions that nobody reads by now; and a delayed
// announcement is the same member everywhere, so its copy may have been moved back and be the only one left.
func (o *operation) move(ctx context.Context, s *collection, p int, to *cluster.Layout, key string, batch []item) error {
	if err := o.checkCurrent(ctx); err != nil {
		return err
	}
	call, cancel := o.bounded(ctx)
	defer cancel()
	copies := make(rueidis.Commands, len(batch))
	for n := range batch {
		copies[n] = s.copy(o.client.B(), s.key(to.Keys(homeOf(&batch[n], p, to))), &batch[n])
	}
	var copied []item
	var failed error
	for n, result := range o.client.DoMulti(call, copies...) {
		if err := result.Error(); err != nil {
			failed = explained(fmt.Sprintf("copying %s %.64q of %s", s.name, batch[n].id, key), err)
			continue
		}
		copied = append(copied, batch[n])
	}
	if len(copied) == 0 {
		return failed
	}
	keys, args := []string{key, o.all.Keys(p).Sessions, o.mark(p)}, []string{s.kind, "", o.id}
	if s.group {
		args[1] = to.Group()
	}
	for n := range copied {
		args = append(args, copied[n].id)
		if s.group && copied[n].lease != "" {
			keys = append(keys, copied[n].lease)
		}
	}
	_, err := o.deleteMarked(ctx, p, "deleting what was copied from "+key, lease.Call{Script: scriptMoved, Keys: keys, Args: args})
	if err != nil {
		return err
	}
	o.now.Moved += len(copied)
	return failed
}

func addEntry(b rueidis.Builder, key string, x *item) rueidis.Completed {
	add := b.Xadd().Key(key).Id("*").FieldValue()
	for _, f := range x.body {
		add = add.FieldValue(f.Field, f.Value)
	}
	return add.Build()
}

// addLetter leaves out the reference to an entry of this partition: the entry moves, too, and gets another ID.
func addLetter(b rueidis.Builder, key string, x *item) rueidis.Completed {
	x.body = slices.DeleteFunc(x.body, func(f rueidis.XRangeFieldValue) bool {
		return f.Field == lease.FieldReference || f.Field == lease.FieldSize
	})
	return addEntry(b, key, x)
}

// addLater adds a delayed announcement, but not a second time.
func addLater(b rueidis.Builder, key string, x *item) rueidis.Completed {
	return b.Zadd().Key(key).ScoreMember().ScoreMember(x.score, x.id).Build()
}

// addField stores a checkpoint or a schedule, but not in the place of one with a greater token or revision: a copy from an operation that was
// taken over may have been left behind, and come first or last. The script is sent with each, so that no server need know it.
func addField(b rueidis.Builder, key string, x *item) rueidis.Completed {
	return b.Eval().Script(scriptMoveIn.Body()).Numkeys(1).Key(key).Arg(x.id, x.value).Build()
}

// checkpointed returns the stream of a checkpoint. Numbers of sessions, which have all ended, do not move.
func checkpointed(field string) (stream string, moves bool) {
	stream, ok := strings.CutPrefix(field, "s")
	return stream, ok && stream != ""
}

// scheduled returns the name of a schedule, which is that of a stream. Whatever the row has, it moves.
func scheduled(field string) (stream string, moves bool) { return field, true }

// hashPage returns what reads a page of a hash. streamOf returns to which stream a field belongs, and whether it moves at all.
func hashPage(streamOf func(field string) (stream string, moves bool)) func(*operation, context.Context, int, string, *cursor) ([]item, error) {
	return func(o *operation, ctx context.Context, _ int, key string, at *cursor) (page []item, err error) {
		for at.scan != "0" && len(page) == 0 {
			parts, err := o.call(ctx, lease.Call{
				Script: scriptFields, Keys: []string{key}, Args: []string{cmp.Or(at.scan, "0"), strconv.Itoa(tidyPage)},
			}, 2)
			if err != nil {
				return nil, err
			}
			if at.scan, err = parts[0].ToString(); err != nil {
				return nil, err
			}
			flat, err := parts[1].AsStrSlice()
			if err != nil {
				return nil, err
			}
			for n := 0; n+1 < len(flat); n += 2 {
				if stream, moves := streamOf(flat[n]); moves {
					page = append(page, item{id: flat[n], value: flat[n+1], stream: stream, weight: len(flat[n]) + len(flat[n+1]) + lease.FieldWeight})
				}
			}
		}
		return page, nil
	}
}

// streamPage reads a page of an input stream or of dead letters, up to what was there at the first page.
func streamPage(o *operation, ctx context.Context, p int, key string, at *cursor) (page []item, err error) {
	parts, err := o.call(ctx, lease.Call{
		Script: scriptPage, Keys: []string{key},
		Args: []string{at.from, at.to, strconv.Itoa(o.set.Page), strconv.Itoa(lease.MaxCallWeight)},
	}, 1)
	if err != nil {
		return nil, err
	}
	for n := range parts[1:] {
		e, err := parts[n+1].AsXRangeSlice()
		if err != nil {
			return nil, err
		}
		page = append(page, o.parseItem(p, e.ID, e.FieldValues))
	}
	if len(page) == 0 {
		return nil, nil
	}
	if at.to == "+" {
		if at.to, err = parts[0].ToString(); err != nil {
			return nil, err
		}
	}
	at.from = "(" + page[len(page)-1].id
	return page, nil
}

func (o *operation) parseItem(p int, id string, body []rueidis.XRangeFieldValue) item {
	x := item{id: id, body: body}
	for _, f := range body {
		x.weight += len(f.Field) + len(f.Value) + lease.FieldWeight
	}
	if e, err := lease.ParseEntry(o.all, p, id, body); err == nil {
		x.stream, x.lease = e.Stream, e.Key
	}
	return x
}

// laterPage reads a page of delayed announcements.
func laterPage(o *operation, ctx context.Context, p int, key string, at *cursor) (page []item, err error) {
	parts, err := o.call(ctx, lease.Call{
		Script: scriptLaterPage, Keys: []string{key},
		Args: []string{strconv.Itoa(at.rank), strconv.Itoa(o.set.Page), strconv.Itoa(lease.MaxCallWeight)},
	}, 0)
	if err != nil {
		return nil, err
	}
	for n := range parts {
		row, err := parts[n].ToArray()
		if err != nil || len(row) != 3 {
			return nil, orMalformed(err)
		}
		member, err1 := row[0].ToString()
		score, err2 := row[1].AsFloat64()
		if err1 != nil || err2 != nil {
			return nil, errMalformed
		}
		var body []rueidis.XRangeFieldValue
		if text, err := row[2].ToString(); err == nil {
			body = []rueidis.XRangeFieldValue{{Field: lease.FieldAnnouncement, Value: text}}
		}
		x := o.parseItem(p, member, body)
		x.score, x.weight, x.body = score, len(member)+lease.FieldWeight, nil
		page = append(page, x)
	}
	return page, nil
}
