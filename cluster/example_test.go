package cluster_test

import (
	"fmt"

	"github.com/streamlease/streamlease/cluster"
)

// Which input stream a producer in any language adds an announcement to. Names with the same hash tag share a partition.
func ExamplePartition() {
	for _, stream := range []string{"orders:1", "{user7}:clicks", "{user7}:orders"} {
		fmt.Println(stream, cluster.Partition(stream, 16))
	}
	// Output:
	// orders:1 3
	// {user7}:clicks 12
	// {user7}:orders 12
}

// How a number of partitions would lie on three masters.
func ExampleSpreadOf() {
	for _, partitions := range []int{3, 6, 12} {
		s, err := cluster.SpreadOf("chat", partitions, 3, cluster.EvenOwners(3))
		if err != nil {
			panic(err)
		}
		fmt.Printf("%d: %v, the busiest has %.2f times its share, %d idle\n", partitions, s.OnMaster, s.Busiest(), s.Idle())
	}
	// Output:
	// 3: [2 0 1], the busiest has 2.00 times its share, 1 idle
	// 6: [3 1 2], the busiest has 1.50 times its share, 0 idle
	// 12: [6 3 3], the busiest has 1.50 times its share, 0 idle
}

// The smallest number of partitions up to 64 that leaves no master idle, and none much busier than the others.
func ExampleSuggestPartitions() {
	s, err := cluster.SuggestPartitions("chat", 64, 3, cluster.EvenOwners(3))
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Partitions, s.OnMaster)
	// Output: 17 [7 4 6]
}
