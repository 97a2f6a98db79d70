package lease

import (
	"fmt"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
)

// Defaults and bounds of Limits.
const (
	// DefaultMaxName is the longest that a name can be: renewals and acquisitions are batched by bytes, so long names cost only
	// their own streams.
	DefaultMaxName = cluster.MaxStreamName
	DefaultMaxInfo = 1 << 20
	// DefaultMaxFields is far above what producers were seen to add to an announcement; a script copies that many in less than
	// a millisecond.
	DefaultMaxFields = 1000
	DefaultMaxEntry  = 16 << 20

	// MaxMaxFields is the most that a script can copy: XADD takes its arguments from Lua's stack, which holds 8,000.
	MaxMaxFields = 3900
	// MaxMaxEntry keeps a script that moves one entry below about 100 ms of the server's time.
	MaxMaxEntry = 64 << 20
)

// Limits bound the size of announcements. All producers and consumers of a service should have the same: a producer refuses an
// announcement beyond them (api.ErrTooLarge), a consumer dead-letters it. The zero value of each field means its default.
type Limits struct {
	// MaxName is the longest name of a data stream, in bytes. Every renewal of a stream carries its name. Default and zero:
	// 65,536, which is also the maximum. From 1.
	MaxName int

	// MaxInfo is the longest Info, in bytes of its JSON. A process keeps the Info of each stream that it holds. Default and
	// zero: 1 MiB. From 2, the length of {}, to MaxEntry.
	MaxInfo int

	// MaxFields is the most fields that an entry of an input stream may have, including those of this library: an announcement
	// and up to seven counts, times and reasons. Default and zero: 1,000. From 16 to 3,900.
	MaxFields int

	// MaxEntry is the most that an entry may weigh: the bytes of its fields and their names, and FieldWeight for each.
	// Moving it, for instance when its owner dies, blocks the server's other clients for about 2 ms a MiB. Default and
	// zero: 16 MiB. From 1 KiB to 64 MiB.
	MaxEntry int
}

// WithDefaults returns l with every zero replaced by its default.
func (l Limits) WithDefaults() Limits {
	for _, f := range []struct {
		field *int
		value int
	}{{&l.MaxName, DefaultMaxName}, {&l.MaxInfo, DefaultMaxInfo}, {&l.MaxFields, DefaultMaxFields}, {&l.MaxEntry, DefaultMaxEntry}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return l
}

// Validate returns an error that names the first field that is out of range, with its value. Zeros count as their defaults.
func (l Limits) Validate() error {
	l = l.WithDefaults()
	for _, f := range []struct {
		name              string
		value, from, upTo int
	}{
		{"MaxName", l.MaxName, 1, cluster.MaxStreamName},
		{"MaxFields", l.MaxFields, 16, MaxMaxFields},
		{"MaxEntry", l.MaxEntry, 1 << 10, MaxMaxEntry},
		{"MaxInfo", l.MaxInfo, 2, l.MaxEntry},
	} {
		if f.value < f.from || f.value > f.upTo {
			return fmt.Errorf("%s is %d, must be from %d to %d", "Limits."+f.name, f.value, f.from, f.upTo)
		}
	}
	return nil
}

const (
	// mostEscaped is the longest form of a byte of a name in JSON: \u00XX.
	mostEscaped = 6
	// announcementSpare is for the rest of an announcement besides name and info: the names of members, spaces, further members.
	announcementSpare = 1 << 10
)

// MaxAnnouncement returns the length of the longest text of an announcement that these limits allow, in bytes.
func (l Limits) MaxAnnouncement() int {
	l = l.WithDefaults()
	return l.MaxInfo + mostEscaped*l.MaxName + announcementSpare
}

// Check returns an error if an entry, as returned by Parse, exceeds a limit: what it has, what is allowed, and what to change. It
// matches api.ErrTooLarge.
func (l Limits) Check(e *Entry) error {
	announcement := e.TextSize
	if announcement == 0 {
		announcement = len(e.known().text)
	}
	return l.CheckSizes(len(e.Stream), len(e.Info), announcement, e.Fields, e.Size)
}

// CheckSizes is Check for sizes in bytes, the number of fields, and the total weight.
func (l Limits) CheckSizes(name, info, announcement, fields, weight int) error {
	l = l.WithDefaults()
	for _, c := range []struct {
		what      string
		is, limit int
		field     string
	}{
		{"the name has %d bytes", name, l.MaxName, "MaxName"},
		{"Info has %d bytes", info, l.MaxInfo, "MaxInfo"},
		{"the announcement has %d bytes", announcement, l.MaxAnnouncement(), "MaxInfo"},
		{"the entry has %d fields", fields, l.MaxFields, "MaxFields"},
		{"the entry weighs %d bytes", weight, l.MaxEntry, "MaxEntry"},
	} {
		if c.is > c.limit {
			return fmt.Errorf("%w: "+c.what+", the limit is %d (WithLimits, %s)", api.ErrTooLarge, c.is, c.limit, c.field)
		}
	}
	return nil
}

func (e *Entry) known() known { return knownFields(e.Body) }
