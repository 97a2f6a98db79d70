package scan

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

type message = rueidis.RedisMessage

func textOf(parts []message, n int) string {
	if n >= len(parts) {
		return ""
	}
	if value, err := parts[n].AsInt64(); err == nil {
		return strconv.FormatInt(value, 10)
	}
	text, _ := parts[n].ToString()
	return text
}

// stock is one of the keys in which a partition keeps what belongs to data streams: what is to be moved when their
// partitions change. Whoever adds another such key adds it to stocks.
type stock struct {
	name  string
	kind  string // as moved.lua calls it
	group bool   // what is in it may be pending
	key   func(k *cluster.Keys) string
	page  func(o *operation, ctx context.Context, p int, key string, at *cursor) ([]stocked, error)
	copy  func(b rueidis.Builder, key string, x *stocked) rueidis.Completed
}

var stocks = []*stock{
	{
		name: "announcements", kind: "stream", group: true, page: streamPage, copy: addEntry,
		key: func(k *cluster.Keys) string { return k.Input },
	},
	{
		name: "announcements put off", kind: "later", page: laterPage, copy: addLater,
		key: func(k *cluster.Keys) string { return k.Later },
	},
	{
		name: "dead letters", kind: "stream", page: streamPage, copy: addLetter,
		key: func(k *cluster.Keys) string { return k.DeadLetters },
	},
}

// stocked is one item of a stock.
type stocked struct {
	id     string // in a stream; or the member
	stream string // the data stream; empty: it cannot be read
	lease  string // its key here
	score  float64
	body   []rueidis.XRangeFieldValue
	weight int
}

// cursor is how far a stock was read.
type cursor struct {
	from, to string // of a stream
	rank     int    // of later: how many stay
}

// bringHome moves what belongs to other partitions out of a stock of partition p.
func (o *operation) bringHome(ctx context.Context, s *stock, p int, to *cluster.Layout) error {
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
			if home(&x, p, to) != p {
				leaving = append(leaving, x)
			}
		}
		at.rank += len(page) - len(leaving)
		for _, batch := range lease.Batches(leaving, o.set.Page, func(x *stocked) int { return x.weight }) {
			if err := o.move(ctx, s, p, to, key, batch); err != nil {
				return err
			}
		}
	}
}

// home is the partition to which an item belongs.
func home(x *stocked, p int, to *cluster.Layout) int {
	switch {
	case x.stream != "":
		return to.Of(x.stream)
	case p < to.Partitions():
		return p // its reader makes a dead letter of it
	}
	return 0
}

// move copies items to where they belong, and then deletes them. Who was overtaken meanwhile deletes nothing, in the
// same step (see claim): the copies may be where nobody reads by now; and of a delayed announcement, which has the same name
// everywhere, the copy may have been brought back and be the only one there is.
func (o *operation) move(ctx context.Context, s *stock, p int, to *cluster.Layout, key string, batch []stocked) error {
	if err := o.holds(ctx); err != nil {
		return err
	}
	call, cancel := o.bounded(ctx)
	defer cancel()
	copies := make(rueidis.Commands, len(batch))
	for n := range batch {
		copies[n] = s.copy(o.client.B(), s.key(to.Keys(home(&batch[n], p, to))), &batch[n])
	}
	var copied []stocked
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
	_, err := o.delete(ctx, p, "deleting what was copied from "+key, lease.Call{Script: scriptMoved, Keys: keys, Args: args})
	if err != nil {
		return err
	}
	o.now.Moved += len(copied)
	return failed
}

func addEntry(b rueidis.Builder, key string, x *stocked) rueidis.Completed {
	add := b.Xadd().Key(key).Id("*").FieldValue()
	for _, f := range x.body {
		add = add.FieldValue(f.Field, f.Value)
	}
	return add.Build()
}

// addLetter leaves out what refers to an entry of this partition: that moves, too, and is announced again under another ID.
func addLetter(b rueidis.Builder, key string, x *stocked) rueidis.Completed {
	x.body = slices.DeleteFunc(x.body, func(f rueidis.XRangeFieldValue) bool {
		return f.Field == lease.FieldReference || f.Field == lease.FieldSize
	})
	return addEntry(b, key, x)
}

// addLater makes no second one of what was copied before.
func addLater(b rueidis.Builder, key string, x *stocked) rueidis.Completed {
	return b.Zadd().Key(key).ScoreMember().ScoreMember(x.score, x.id).Build()
}

// streamPage reads a page of an input stream or of dead letters, up to what was there at the first one.
func streamPage(o *operation, ctx context.Context, p int, key string, at *cursor) (page []stocked, err error) {
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
		page = append(page, o.stocked(p, e.ID, e.FieldValues))
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

func (o *operation) stocked(p int, id string, body []rueidis.XRangeFieldValue) stocked {
	x := stocked{id: id, body: body}
	for _, f := range body {
		x.weight += len(f.Field) + len(f.Value) + lease.FieldWeight
	}
	if e, err := lease.ParseEntry(o.all, p, id, body); err == nil {
		x.stream, x.lease = e.Stream, e.Key
	}
	return x
}

// laterPage reads a page of what was put off.
func laterPage(o *operation, ctx context.Context, p int, key string, at *cursor) (page []stocked, err error) {
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
		x := o.stocked(p, member, body)
		x.score, x.weight, x.body = score, len(member)+lease.FieldWeight, nil
		page = append(page, x)
	}
	return page, nil
}
