package wheel_test

import (
	"fmt"
	"time"

	"github.com/streamlease/streamlease/wheel"
)

// A loop sleeps until Next says that there may be work, then advances. Time is an
// argument, so the example needs no clock.
func Example() {
	w, err := wheel.New(wheel.Config{Tick: 100 * time.Millisecond}, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	const leases, other = 0, 1 // partitions
	w.Schedule(1, leases, int64(250*time.Millisecond))
	w.Schedule(2, leases, int64(10*time.Second))
	w.Schedule(3, other, int64(10*time.Second))
	w.Schedule(4, other, int64(20*time.Minute))
	w.Schedule(2, leases, int64(9*time.Second)) // moved
	w.Cancel(4)

	var due wheel.Due
	for at, ok := w.Next(); ok; at, ok = w.Next() {
		w.Advance(at, &due)
		for partition, handles := range due.Groups() {
			fmt.Println(time.Duration(at), "partition", partition, "handles", handles)
		}
	}
	fmt.Println(w.Len(), "left")

	// Output:
	// 300ms partition 0 handles [1]
	// 9s partition 0 handles [2]
	// 10s partition 1 handles [3]
	// 0 left
}

// After a pause one Advance returns everything that became due, by partition and,
// in each, in the order of the deadlines.
func ExampleWheel_Advance() {
	w, _ := wheel.New(wheel.Config{}, 0)
	for h := range wheel.Handle(6) {
		w.Schedule(h, uint16(h%2), int64(time.Hour)-int64(h)*int64(time.Second))
	}
	var due wheel.Due
	w.Advance(int64(24*time.Hour), &due)
	for partition, handles := range due.Groups() {
		fmt.Println(partition, handles)
	}
	// Output:
	// 1 [5 3 1]
	// 0 [4 2 0]
}
