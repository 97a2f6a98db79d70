package memory

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/streamlease/streamlease/engine/enginetest/internal/stream"
)

const (
	errSyntax  = stream.Error("ERR syntax error")
	errInteger = stream.Error("ERR value is not an integer or out of range")
	errFloat   = stream.Error("ERR value is not a valid float")
	errNaN     = stream.Error("ERR resulting score is not a number (NaN)")
)

// zcommand is a command of sorted sets. Arity is with the name; if negative, the least. z is nil if there is no such key.
type zcommand struct {
	arity int
	run   func(d *dataset, z *sortedSet, args []string) stream.Reply
}

var ofSortedSets map[string]zcommand

func init() {
	ofSortedSets = map[string]zcommand{
		"ZADD": {-4, zadd}, "ZINCRBY": {4, zincrby}, "ZREM": {-3, zrem}, "ZCARD": {2, zcard}, "ZSCORE": {3, zscore},
		"ZMSCORE": {-3, zmscore}, "ZCOUNT": {4, zcount}, "ZLEXCOUNT": {4, zcount}, "ZRANK": {3, zrank}, "ZREVRANK": {3, zrank},
		"ZRANGE": {-4, zrange}, "ZREVRANGE": {-4, zrange}, "ZRANGEBYSCORE": {-4, zrange}, "ZREVRANGEBYSCORE": {-4, zrange},
		"ZRANGEBYLEX": {-4, zrange}, "ZREVRANGEBYLEX": {-4, zrange}, "ZREMRANGEBYSCORE": {4, zremrange},
		"ZREMRANGEBYLEX": {4, zremrange}, "ZREMRANGEBYRANK": {4, zremrange}, "ZPOPMIN": {-2, zpop}, "ZPOPMAX": {-2, zpop},
		"ZSCAN": {-3, zscan},
	}
}

// sorted runs a command of sorted sets. It reports whether this is one.
func (d *dataset) sorted(name string, args []string) (stream.Reply, bool) {
	c, is := ofSortedSets[name]
	if !is {
		return nil, false
	}
	if n := len(args); c.arity > 0 && n != c.arity || n < -c.arity {
		return errArity(args[0]), true
	}
	key := args[1]
	z := d.sets[key]
	switch d.typeOf(key) {
	case "zset":
	case "none":
		z = nil
	default:
		if name != "ZADD" || addable(args) { // whose arguments are looked at before its key
			return wrongType, true
		}
	}
	reply := c.run(d, z, args)
	if z := d.sets[key]; z != nil && len(z.order) == 0 {
		d.remove(key)
	}
	return reply, true
}

// makeSet makes a sorted set at a key that does not exist. Its placeholder in miniredis has its type and its expiry.
func (d *dataset) makeSet(key string) *sortedSet {
	_, _ = d.mini.ZAdd(key, 0, "")
	d.sets[key] = newSortedSet()
	return d.sets[key]
}

// adding are the options of ZADD.
type adding struct {
	nx, xx, gt, lt, ch, incr bool
	pairs                    []string
}

func parseAdding(args []string) (a adding, err stream.Error) {
	i := 2
	for ; i < len(args); i++ {
		switch strings.ToUpper(args[i]) {
		case "NX":
			a.nx = true
		case "XX":
			a.xx = true
		case "GT":
			a.gt = true
		case "LT":
			a.lt = true
		case "CH":
			a.ch = true
		case "INCR":
			a.incr = true
		default:
			a.pairs = args[i:]
			i = len(args)
		}
	}
	switch {
	case len(a.pairs) == 0 || len(a.pairs)%2 != 0:
		return a, errSyntax
	case a.nx && a.xx:
		return a, "ERR XX and NX options at the same time are not compatible"
	case a.gt && a.nx || a.lt && a.nx || a.gt && a.lt:
		return a, "ERR GT, LT, and/or NX options at the same time are not compatible"
	case a.incr && len(a.pairs) > 2:
		return a, "ERR INCR option supports a single increment-element pair"
	}
	for i := 0; i < len(a.pairs); i += 2 {
		if _, ok := parseScore(a.pairs[i]); !ok {
			return a, errFloat
		}
	}
	return a, ""
}

func addable(args []string) bool {
	_, err := parseAdding(args)
	return err == ""
}

func zadd(d *dataset, z *sortedSet, args []string) stream.Reply {
	a, err := parseAdding(args)
	if err != "" {
		return err
	}
	if z == nil && a.xx {
		if a.incr {
			return stream.Null{}
		}
		return int64(0)
	}
	if z == nil {
		z = d.makeSet(args[1])
	}
	added, changed := int64(0), int64(0)
	for i := 0; i < len(a.pairs); i += 2 {
		score, _ := parseScore(a.pairs[i])
		member := a.pairs[i+1]
		old, is := z.scores[member]
		if a.incr && is {
			score += old
		}
		if math.IsNaN(score) {
			return errNaN
		}
		if is && (a.nx || a.gt && score <= old || a.lt && score >= old) || !is && a.xx {
			if a.incr {
				return stream.Null{}
			}
			continue
		}
		z.set(member, score)
		switch {
		case !is:
			added++
		case score != old:
			changed++
		}
		if a.incr {
			return double(score)
		}
	}
	if a.ch {
		return added + changed
	}
	return added
}

func zincrby(d *dataset, z *sortedSet, args []string) stream.Reply {
	by, ok := parseScore(args[2])
	if !ok {
		return errFloat
	}
	if z == nil {
		z = d.makeSet(args[1])
	}
	score := z.scores[args[3]] + by
	if math.IsNaN(score) {
		return errNaN
	}
	z.set(args[3], score)
	return double(score)
}

func zrem(_ *dataset, z *sortedSet, args []string) stream.Reply {
	removed := int64(0)
	for _, member := range args[2:] {
		if z != nil && z.remove(member) {
			removed++
		}
	}
	return removed
}

func zcard(_ *dataset, z *sortedSet, _ []string) stream.Reply {
	if z == nil {
		return int64(0)
	}
	return int64(len(z.order))
}

func (z *sortedSet) score(member string) stream.Reply {
	if z != nil {
		if score, is := z.scores[member]; is {
			return double(score)
		}
	}
	return stream.Null{}
}

func zscore(_ *dataset, z *sortedSet, args []string) stream.Reply { return z.score(args[2]) }

func zmscore(_ *dataset, z *sortedSet, args []string) stream.Reply {
	scores := make([]stream.Reply, 0, len(args)-2)
	for _, member := range args[2:] {
		scores = append(scores, z.score(member))
	}
	return scores
}

func zrank(_ *dataset, z *sortedSet, args []string) stream.Reply {
	if z == nil {
		return stream.Null{}
	}
	score, is := z.scores[args[2]]
	if !is {
		return stream.Null{}
	}
	at := z.position(scored{score, args[2]})
	if strings.EqualFold(args[0], "ZREVRANK") {
		at = len(z.order) - 1 - at
	}
	return int64(at)
}

// limits reads the ends of a range of scores or members.
func limits(low, high string, lex bool) (a, b limit, err stream.Error) {
	parse, err := parseScoreLimit, stream.Error("ERR min or max is not a float")
	if lex {
		parse, err = parseLexLimit, "ERR min or max not valid string range item"
	}
	a, okA := parse(low)
	b, okB := parse(high)
	if okA && okB {
		err = ""
	}
	return a, b, err
}

func zcount(_ *dataset, z *sortedSet, args []string) stream.Reply {
	lex := strings.EqualFold(args[0], "ZLEXCOUNT")
	low, high, err := limits(args[2], args[3], lex)
	if err != "" {
		return err
	}
	if z == nil {
		return int64(0)
	}
	first, last := z.between(low, high, lex)
	return int64(last - first)
}

func zremrange(_ *dataset, z *sortedSet, args []string) stream.Reply {
	first, last, err := z.positions(args[2], args[3], strings.TrimPrefix(strings.ToUpper(args[0]), "ZREMRANGE"))
	if err != "" {
		return err
	}
	if z == nil {
		return int64(0)
	}
	for _, s := range z.order[first:last] {
		delete(z.scores, s.member)
	}
	z.order = slices.Delete(z.order, first, last)
	return int64(last - first)
}

// positions returns what a range of that kind covers.
func (z *sortedSet) positions(from, to, kind string) (first, last int, err stream.Error) {
	if kind == "BYSCORE" || kind == "BYLEX" {
		low, high, err := limits(from, to, kind == "BYLEX")
		if err != "" || z == nil {
			return 0, 0, err
		}
		first, last = z.between(low, high, kind == "BYLEX")
		return first, last, ""
	}
	start, err1 := strconv.Atoi(from)
	stop, err2 := strconv.Atoi(to)
	if err1 != nil || err2 != nil {
		return 0, 0, errInteger
	}
	if z == nil {
		return 0, 0, ""
	}
	first, last = z.ranked(start, stop)
	return first, last, ""
}

func zpop(_ *dataset, z *sortedSet, args []string) stream.Reply {
	count := 1
	if len(args) > 3 {
		return errSyntax
	}
	if len(args) == 3 {
		n, err := strconv.Atoi(args[2])
		if err != nil || n < 0 {
			return stream.Error("ERR value is out of range, must be positive")
		}
		count = n
	}
	if z == nil {
		return []stream.Reply{}
	}
	count = min(count, len(z.order))
	popped := slices.Clone(z.order[:count])
	if strings.EqualFold(args[0], "ZPOPMAX") {
		popped = slices.Clone(z.order[len(z.order)-count:])
		slices.Reverse(popped)
	}
	for _, s := range popped {
		z.remove(s.member)
	}
	if len(args) == 3 {
		return withScores(popped)
	}
	if len(popped) == 0 {
		return []stream.Reply{}
	}
	return []stream.Reply{popped[0].member, double(popped[0].score)}
}

// zscan returns all at once, as a small set does in Redis.
func zscan(_ *dataset, z *sortedSet, args []string) stream.Reply {
	pattern := "*"
	if _, err := strconv.ParseUint(args[2], 10, 64); err != nil {
		return stream.Error("ERR invalid cursor")
	}
	for i := 3; i < len(args); i += 2 {
		switch {
		case i+1 == len(args):
			return errSyntax
		case strings.EqualFold(args[i], "MATCH"):
			pattern = args[i+1]
		case strings.EqualFold(args[i], "COUNT"):
			if n, err := strconv.Atoi(args[i+1]); err != nil {
				return errInteger
			} else if n < 1 {
				return errSyntax
			}
		default:
			return errSyntax
		}
	}
	items := []stream.Reply{}
	if z != nil && args[2] == "0" {
		for _, s := range z.order {
			if matches(pattern, s.member) {
				items = append(items, s.member, formatDouble(s.score))
			}
		}
	}
	return []stream.Reply{"0", items}
}
