package lease

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
)

const (
	// SignalsKept is how many signals a partition keeps, at least; older ones are trimmed.
	SignalsKept = 10_000

	// MaxSignalPage and maxSignalBytes bound what one call of Store.Signals reads.
	MaxSignalPage  = 256
	maxSignalBytes = 256 << 10

	// heaviestSignal is more than a signal weighs that this library accepts: a name, a payload and three fields.
	heaviestSignal = cluster.MaxStreamName + api.MaxSignal + 8*FieldWeight
)

// SignalKind says what a signal is about.
type SignalKind string

const (
	SignalAnnounced SignalKind = "announced" // another announcement waits for a lease that is held
	SignalFreed     SignalKind = "freed"     // a lease has ended for which another announcement waited
	SignalUser      SignalKind = "user"      // sent by a producer, to the owner of a data stream
	SignalWish      SignalKind = "wish"      // what operators wish of processes has changed; it is about no data stream
)

// Signal is one entry of a partition's stream of signals. What scripts add has several items.
type Signal struct {
	ID      string
	Kind    SignalKind   // empty: it cannot be parsed
	Items   []SignalItem // none in a SignalWish
	Payload []byte       // SignalUser; shared
}

// SignalItem is a data stream that a signal is about.
type SignalItem struct {
	Stream string
	Token  api.Token // SignalAnnounced: of the lease that is waited for
}

// SignalPage is the answer to Store.Signals.
type SignalPage struct {
	Gone    bool // the signal at the position that was asked about is not there any more: those after it may be gone, too
	More    bool // there may be more after this page
	Signals []Signal
}

// Signals records, for each partition, from which position on beats look for signals, and whether calls mention their key at all.
// The stores of one process share one. All methods may be called from any goroutine. A nil *Signals has no part in anything.
//
// A position is the ID of a signal, or a point in time by the server's clock, which has the greatest sequence number there is. "" is
// none: the next beat answers one.
type Signals struct {
	optional
	positions []atomic.Pointer[string]
}

// nowhere is the position of those who look for no signals, and want none.
const nowhere = "-"

// NewSignals returns the record of a process that has looked for nothing yet. onRefuse, which may be nil, is called when signals of a
// partition are refused, and left out for the next 30 s.
func NewSignals(layout *cluster.Layout, clock Clock, onRefuse func(p int, err error)) *Signals {
	keys := func(p int) []string { return []string{layout.Keys(p).Signals} }
	return &Signals{
		optional:  optional{clock: clock, keys: keys, onRefuse: onRefuse, leftOut: make([]atomic.Int64, layout.Partitions())},
		positions: make([]atomic.Pointer[string], layout.Partitions()),
	}
}

// Position returns from where on beats of a partition look for signals.
func (g *Signals) Position(p int) string {
	if g == nil {
		return nowhere
	}
	if at := g.positions[p].Load(); at != nil {
		return *at
	}
	return ""
}

// SetPosition sets that.
func (g *Signals) SetPosition(p int, position string) { g.positions[p].Store(&position) }

// Refuse has the calls for a partition do without signals for a while, since they are refused.
func (g *Signals) Refuse(p int, err error) { g.extra().refuse(p, err) }

// LeftOut reports whether the calls for a partition do without signals now.
func (g *Signals) LeftOut(p int) bool { return g.extra().isLeftOut(p) }

// extra is the key of signals, as part of a call.
func (g *Signals) extra() *optional {
	if g == nil {
		return nil
	}
	return &g.optional
}

// SetBack has signals of a partition looked for from an earlier time on, which a beat answered: the server's clock was set back, and what comes
// now is before the position. It reports false, and changes nothing, unless the position is a time after that.
func (g *Signals) SetBack(p int, from string) bool {
	at := g.positions[p].Load()
	if at == nil || *at == "" || isSignalID(*at) || CompareIDs(*at, from) <= 0 {
		return false
	}
	return g.positions[p].CompareAndSwap(at, &from)
}

// isSignalID reports whether a position is that of a signal, and not of a time.
func isSignalID(position string) bool { return !strings.HasSuffix(position, "-18446744073709551615") }

// parseSignal reads an entry as parts/signal.lua and producers write it; kind may be left out by those. Of what cannot be read
// only the ID is returned.
func parseSignal(id string, fields []string) Signal {
	x := Signal{ID: id, Kind: SignalUser}
	for i := 0; i+1 < len(fields); i += 2 {
		switch value := fields[i+1]; fields[i] {
		case "kind":
			x.Kind = SignalKind(value)
		case "stream":
			if cluster.ValidateStream(value) != nil {
				return Signal{ID: id}
			}
			x.Items = append(x.Items, SignalItem{Stream: value})
		case "token":
			token, err := parseToken(value)
			if err != nil || len(x.Items) == 0 {
				return Signal{ID: id}
			}
			x.Items[len(x.Items)-1].Token = token
		case "payload":
			x.Payload = []byte(value)
		}
	}
	if len(x.Items) == 0 && x.Kind != SignalWish || len(x.Payload) > api.MaxSignal {
		return Signal{ID: id}
	}
	return x
}

// CheckSignal returns an error unless a signal may be sent: api.ErrInvalidStream, api.ErrTooLarge.
func CheckSignal(layout *cluster.Layout, stream string, payload []byte) error {
	if err := cluster.ValidateStream(stream); err != nil {
		return err
	}
	if layout.Owns(stream) {
		return fmt.Errorf("%w: it is a key of service %s itself, which nobody can own", api.ErrInvalidStream, layout.Service())
	}
	if !utf8.ValidString(stream) {
		return fmt.Errorf("%w: it is not UTF-8, as the names of all streams that can be announced are", api.ErrInvalidStream)
	}
	if len(payload) > api.MaxSignal {
		return fmt.Errorf("%w: the payload of the signal has %d bytes, the limit is %d; keep what is longer elsewhere, and signal where it is",
			api.ErrTooLarge, len(payload), api.MaxSignal)
	}
	return nil
}

// SignalCommand returns the command that sends a signal to the owner of a data stream.
func SignalCommand(b rueidis.Builder, layout *cluster.Layout, stream string, payload []byte) rueidis.Completed {
	return b.Xadd().Key(layout.Keys(layout.Of(stream)).Signals).Maxlen().Almost().Threshold(strconv.Itoa(SignalsKept)).Id("*").
		FieldValue().FieldValue("stream", stream).FieldValue("kind", string(SignalUser)).
		FieldValue("payload", rueidis.BinaryString(payload)).Build()
}
