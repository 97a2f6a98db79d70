package stream

import "strconv"

func xack(c *call) (Reply, error) {
	s, err := c.keys.Stream(c.args[1])
	if err != nil || s == nil || s.groups[c.args[2]] == nil {
		return int64(0), err
	}
	ids, err := parseIDs(c.args[3:])
	if err != nil {
		return nil, err
	}
	acknowledged := int64(0)
	for _, id := range ids {
		if s.groups[c.args[2]].forget(id) {
			acknowledged++
		}
	}
	return acknowledged, nil
}

// pendingRange are the arguments of the long form of XPENDING.
type pendingRange struct {
	minIdle    int64
	start, end ID
	count      int64
	consumer   string
	ofConsumer bool
}

func xpending(c *call) (Reply, error) {
	var r pendingRange
	switch n := len(c.args); {
	case n == 3:
	case n < 6 || n > 9:
		return nil, errSyntax
	default:
		if err := r.parse(c.args[3:]); err != nil {
			return nil, err
		}
	}
	_, g, err := c.group(c.args[1], c.args[2])
	switch {
	case err != nil:
		return nil, err
	case len(c.args) == 3:
		return g.summary(), nil
	}
	return r.list(g, c.now), nil
}

// parse reads three to six arguments. Without IDLE, those after the consumer are ignored.
func (r *pendingRange) parse(args []string) (err error) {
	if is(args[0], "IDLE") {
		if r.minIdle, err = parseInt(args[1]); err != nil {
			return err
		}
		if args = args[2:]; len(args) < 3 {
			return errSyntax
		}
	}
	if r.count, err = parseInt(args[2]); err != nil {
		return err
	}
	if r.start, err = parseStart(args[0]); err != nil {
		return err
	}
	if r.end, err = parseEnd(args[1]); err != nil {
		return err
	}
	if len(args) > 3 {
		r.ofConsumer, r.consumer = true, args[3]
	}
	return nil
}

func (r *pendingRange) list(g *group, now int64) []Reply {
	from := &g.pending
	if r.ofConsumer {
		consumer := g.consumers[r.consumer]
		if consumer == nil {
			return []Reply{}
		}
		from = &consumer.pending
	}
	reply := []Reply{}
	for id, p := range from.from(r.start) {
		if int64(len(reply)) >= r.count || r.end.less(id) {
			break
		}
		idle := now - p.delivered
		if r.minIdle != 0 && idle < r.minIdle {
			continue
		}
		reply = append(reply, []Reply{id.String(), p.consumer.name, max(idle, 0), p.count})
	}
	return reply
}

// summary is the reply to the short form of XPENDING.
func (g *group) summary() Reply {
	if g.pending.size == 0 {
		return []Reply{int64(0), Null{}, Null{}, NullArray{}}
	}
	first, _, _ := g.pending.ceiling(minID)
	consumers := []Reply{}
	for _, name := range g.consumerNames() {
		if n := g.consumers[name].pending.size; n > 0 {
			consumers = append(consumers, []Reply{name, strconv.Itoa(n)})
		}
	}
	return []Reply{int64(g.pending.size), first.String(), g.pending.last().String(), consumers}
}
