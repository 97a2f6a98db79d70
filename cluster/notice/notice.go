package notice

import (
	"strconv"
	"strings"
	"time"

	"github.com/streamlease/streamlease/cluster"
)

// Kind is what a notice announces. The zero value is invalid.
type Kind uint8

const (
	Moving      Kind = iota + 1 // an endpoint moves elsewhere
	Migrating                   // shards begin to move
	Migrated                    // they have
	FailingOver                 // replicas of shards are about to be promoted
	FailedOver                  // they have been
	SlotsMoving                 // SMIGRATING: slots begin to move
	SlotsMoved                  // SMIGRATED: they have
)

var kinds = [...]struct {
	name    string
	numbers int  // how many come before the rest
	ends    Kind // the kind of beginning that this completes; 0: it is a beginning
}{
	Moving:      {name: "MOVING", numbers: 2},
	Migrating:   {name: "MIGRATING", numbers: 2},
	Migrated:    {name: "MIGRATED", numbers: 1, ends: Migrating},
	FailingOver: {name: "FAILING_OVER", numbers: 2},
	FailedOver:  {name: "FAILED_OVER", numbers: 1, ends: FailingOver},
	SlotsMoving: {name: "SMIGRATING", numbers: 1},
	SlotsMoved:  {name: "SMIGRATED", numbers: 1, ends: SlotsMoving},
}

// String returns the name in the protocol.
func (k Kind) String() string {
	if k == 0 || int(k) >= len(kinds) {
		return "invalid"
	}
	return kinds[k].name
}

// completes returns the kind of beginning that k completes; 0 if k is a beginning itself.
func (k Kind) completes() Kind { return kinds[k].ends }

// Notice is one announcement.
type Notice struct {
	// Kind is what is announced.
	Kind Kind

	// Seq is its number, the same on every node of the database and rising across all kinds; -1 if it has none.
	Seq int64

	// In is the announced time; 0 if there was none. An announced time may also be 0 or negative, which means now.
	In time.Duration

	// Endpoint is where a Moving endpoint moves to, host:port; empty if that was not announced: the same address, later.
	Endpoint string

	// Shards are the shards affected by Migrating, FailingOver and their completions; empty if they could not be read.
	Shards []string

	// Slots are the slots affected by SlotsMoving and SlotsMoved; empty if they could not be read.
	Slots cluster.SlotSet
}

// parse reads a notice from a push; it returns false for every other push, and for all other values.
func parse(v *value) (n Notice, ok bool) {
	if v.kind != '>' || len(v.elements) == 0 {
		return n, false
	}
	name := strings.TrimSpace(v.elements[0].text)
	for k := Moving; int(k) < len(kinds); k++ {
		if strings.EqualFold(name, kinds[k].name) {
			n.Kind = k
		}
	}
	if n.Kind == 0 {
		return n, false
	}
	rest := v.elements[1:]
	numbers := [2]int64{-1, 0}
	want := kinds[n.Kind].numbers
	for i := range want {
		if len(rest) == 0 {
			break
		}
		// A number that is left out must not be read from what follows: shards look like numbers.
		number, is := rest[0].number(len(rest) > want-i)
		if !is {
			break
		}
		if !rest[0].null {
			numbers[i] = number
		}
		rest = rest[1:]
	}
	n.Seq = max(numbers[0], -1)
	const most = 1 << 32 // seconds
	n.In = time.Duration(min(max(numbers[1], -most), most)) * time.Second
	n.rest(rest)
	return n, true
}

// number reads a number, or a null in its place. A string counts as a number only if strings is true.
func (v *value) number(strings bool) (int64, bool) {
	switch v.kind {
	case ':', '(', ',':
	case '_':
		return 0, true
	case '+', '$':
		if v.null {
			return 0, true
		}
		if !strings {
			return 0, false
		}
	default:
		return 0, false
	}
	if n, err := strconv.ParseInt(v.text, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(v.text, 64)
	if err != nil || f != f || f > 1<<53 || f < -(1<<53) {
		return 0, v.kind == ':' // a malformed number still takes the place of one
	}
	return int64(f), true
}

// rest reads what follows the numbers.
func (n *Notice) rest(elements []value) {
	switch n.Kind {
	case Moving:
		if len(elements) > 0 {
			n.Endpoint = endpoint(elements[0].text)
		}
	case Migrating, Migrated, FailingOver, FailedOver:
		n.Shards = shards(nil, elements, 0)
	case SlotsMoving:
		n.slots(elements)
	case SlotsMoved:
		n.moves(elements)
	}
}

// endpoint returns the address in text, or "" if there is none.
func endpoint(text string) string {
	text = strings.TrimSpace(text)
	host, port, found := cutLast(text, ":")
	if !found || host == "" || host == "?" || port == "" || strings.EqualFold(text, "null") {
		return ""
	}
	return text
}

func cutLast(text, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(text, sep); i >= 0 {
		return text[:i], text[i+len(sep):], true
	}
	return text, "", false
}

// shards collects names of shards from lists, and from lists of lists.
func shards(names []string, elements []value, depth int) []string {
	for i := range elements {
		v := &elements[i]
		for name := range strings.SplitSeq(v.text, ",") {
			if name = strings.TrimSpace(name); name != "" && name != "?" && !v.null {
				names = append(names, name)
			}
		}
		if depth < maxDepth {
			names = shards(names, v.elements, depth+1)
		}
	}
	return names
}

// slots adds all lists of slots, at any depth.
func (n *Notice) slots(elements []value) {
	for i := range elements {
		s := parseSlots(elements[i].text)
		add(&n.Slots, &s)
		n.slots(elements[i].elements)
	}
}

// moves adds the slots of triplets (source, target, slots): lists of triplets, one by itself, or its parts as the elements.
func (n *Notice) moves(elements []value) {
	var parts []string
	for i := range elements {
		if v := &elements[i]; len(v.elements) > 0 {
			n.moves(v.elements)
		} else {
			parts = append(parts, v.text)
		}
	}
	if len(parts) > 0 {
		s := parseSlots(parts[min(2, len(parts)-1)])
		add(&n.Slots, &s)
	}
}
