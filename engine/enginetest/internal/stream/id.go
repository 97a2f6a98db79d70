package stream

import (
	"cmp"
	"math"
	"strconv"
	"strings"
)

// ID is the ID of an entry: a time in milliseconds, and a number within it.
type ID struct{ ms, seq uint64 }

var (
	minID = ID{}
	maxID = ID{math.MaxUint64, math.MaxUint64}
)

const (
	errInvalidID     = Error("ERR Invalid stream ID specified as stream command argument")
	errIntervalStart = Error("ERR invalid start ID for the interval")
	errIntervalEnd   = Error("ERR invalid end ID for the interval")

	longestID = 127
)

func (id ID) String() string {
	return strconv.FormatUint(id.ms, 10) + "-" + strconv.FormatUint(id.seq, 10)
}

func (id ID) compare(other ID) int {
	return cmp.Or(cmp.Compare(id.ms, other.ms), cmp.Compare(id.seq, other.seq))
}

func (id ID) less(other ID) bool { return id.compare(other) < 0 }

// next returns the ID after id. After the last one comes the first, and ok is false.
func (id ID) next() (next ID, ok bool) {
	if id.seq++; id.seq == 0 {
		id.ms++
	}
	return id, id != minID
}

// prev returns the ID before id. Before the first one comes the last, and ok is false.
func (id ID) prev() (prev ID, ok bool) {
	if id.seq--; id.seq == math.MaxUint64 {
		id.ms--
	}
	return id, id != maxID
}

// parseID reads an ID, or - or +, the lowest and the highest. An ID without its second part has missing in its place.
func parseID(s string, missing uint64) (ID, error) {
	switch text(s) {
	case "-":
		return minID, nil
	case "+":
		return maxID, nil
	}
	return parseStrictID(s, missing)
}

// parseStrictID is parseID where - and + mean nothing.
func parseStrictID(s string, missing uint64) (ID, error) {
	if len(s) > longestID {
		return ID{}, errInvalidID
	}
	first, second, both := strings.Cut(text(s), "-")
	ms, ok := parseUint(first)
	if !ok {
		return ID{}, errInvalidID
	}
	if !both {
		return ID{ms, missing}, nil
	}
	seq, ok := parseUint(second)
	if !ok {
		return ID{}, errInvalidID
	}
	return ID{ms, seq}, nil
}

// parseNewID reads the ID of an entry that is to be added. open reports the form ms-*, whose second part is to be chosen.
func parseNewID(s string) (id ID, open bool, err error) {
	if first, second, _ := strings.Cut(text(s), "-"); second == "*" && len(s) <= longestID {
		ms, ok := parseUint(first)
		if !ok {
			return ID{}, false, errInvalidID
		}
		return ID{ms, 0}, true, nil
	}
	id, err = parseStrictID(s, 0)
	return id, false, err
}

// parseIDs reads IDs of which each has to be one.
func parseIDs(args []string) ([]ID, error) {
	ids := make([]ID, len(args))
	for i, arg := range args {
		var err error
		if ids[i], err = parseStrictID(arg, 0); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// parseStart reads the lower bound of an interval: (1-0 is what comes after 1-0.
func parseStart(s string) (ID, error) {
	if !exclusive(s) {
		return parseID(s, 0)
	}
	id, err := parseStrictID(s[1:], 0)
	if err != nil {
		return ID{}, err
	}
	id, ok := id.next()
	if !ok {
		return ID{}, errIntervalStart
	}
	return id, nil
}

// parseEnd reads the upper bound of an interval.
func parseEnd(s string) (ID, error) {
	if !exclusive(s) {
		return parseID(s, math.MaxUint64)
	}
	id, err := parseStrictID(s[1:], math.MaxUint64)
	if err != nil {
		return ID{}, err
	}
	id, ok := id.prev()
	if !ok {
		return ID{}, errIntervalEnd
	}
	return id, nil
}

func exclusive(s string) bool { return len(s) > 1 && s[0] == '(' }
