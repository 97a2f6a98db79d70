package overlap

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/streamlease/streamlease/api"
)

// Record is one ownership as its owner saw it.
type Record struct {
	Party  string // whose record it is
	Stream string
	Token  api.Token
	// From and Until are the first and the last moment at which the party was seen to hold the stream. It held the stream at
	// both and at every moment between them. They count from an origin that all parties share, on a monotonic clock.
	From, Until time.Duration
}

func (r Record) String() string {
	return fmt.Sprintf("%s held %q under token %d from %v until %v", r.Party, r.Stream, r.Token, r.From, r.Until)
}

// maxListed is how many faults Check lists one by one.
const maxListed = 20

// Check returns nil if no two records show a stream as held at the same moment and the tokens of each stream rise in the
// order of its ownerships. Otherwise it returns an error that lists the first faults, stream by stream. No records at all
// are an error, too: they prove nothing.
func Check(records []Record) error {
	if len(records) == 0 {
		return errors.New("overlap: no records")
	}
	streams := make(map[string][]Record)
	for _, r := range records {
		streams[r.Stream] = append(streams[r.Stream], r)
	}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(streams)) {
		faults = append(faults, checkStream(streams[name])...)
	}
	if more := len(faults) - maxListed; more > 0 {
		faults = append(faults[:maxListed], fmt.Errorf("overlap: %d more faults", more))
	}
	return errors.Join(faults...)
}

// checkStream compares the records of one stream.
func checkStream(records []Record) (faults []error) {
	slices.SortFunc(records, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Token, b.Token))
	})
	var last, longest Record // the previous one, and the one that ended latest
	for i, r := range records {
		if r.Until < r.From || r.Token == 0 {
			faults = append(faults, fmt.Errorf("overlap: malformed record: %v", r))
		}
		if i > 0 {
			if r.From <= longest.Until {
				faults = append(faults, fmt.Errorf("overlap: two owners: %v; %v", longest, r))
			}
			if r.Token <= last.Token {
				faults = append(faults, fmt.Errorf("overlap: token did not rise: %v; %v", last, r))
			}
		}
		if i == 0 || r.Until > longest.Until {
			longest = r
		}
		last = r
	}
	return faults
}
