package reading

// Counter names something that is counted.
type Counter uint8

// What is counted. All are events since the start, bytes aside.
const (
	Rings      Counter = iota // rings of streams that are read here
	Strays                    // rings of others: a stream that was removed while armed
	Reads                     // reads of a stream, one command each
	EmptyReads                // of those, reads that brought nothing
	Messages                  // messages that were read
	Bytes                     // memory that they took when read
	SweepFound                // reads of the sweep that brought what no ring had announced
	Looks                     // looks at a stream itself, one script each
	Backoffs                  // rings that were answered later, since earlier ones had brought nothing
	Failures                  // reads and looks that failed and were repeated
	Reconnects                // connections that were lost, and flushed databases: everything was read again
	Batches                   // pipelines sent

	counters
)

var counterNames = [counters]string{
	"rings", "strays", "reads", "empty reads", "messages", "bytes", "sweep found", "looks", "backoffs", "failures", "reconnects", "batches",
}

func (c Counter) String() string {
	if c < counters {
		return counterNames[c]
	}
	return "unknown"
}

// Metrics counts what happens. It must not block: it may be called by the goroutine that receives rings.
type Metrics interface {
	Count(c Counter, n int)
}

type noMetrics struct{}

func (noMetrics) Count(Counter, int) {}
