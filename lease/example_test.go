package lease_test

import (
	"fmt"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// For engine.WithPipeline: smaller batches, where other clients of the server are to wait less.
func ExamplePipeline() {
	p := lease.Pipeline{MaxBatch: 128, Timeout: 500 * time.Millisecond}
	fmt.Println(p.Validate())
	p = p.WithDefaults()
	fmt.Println(p.MaxBatch, p.MaxInFlight, p.Timeout)
	fmt.Println(lease.Pipeline{MaxBatch: 5000}.Validate() != nil)
	// Output:
	// <nil>
	// 128 8 500ms
	// true
}

// For engine.WithLimits, of engines and publishers: announcements with little in them.
func ExampleLimits() {
	l := lease.Limits{MaxName: 200, MaxInfo: 4 << 10}.WithDefaults()
	fmt.Println(l.MaxName, l.MaxInfo, l.MaxFields, l.MaxEntry>>20)
	// Output: 200 4096 1000 16
}
