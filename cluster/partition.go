package cluster

const (
	// DefaultPartitions is the number of partitions of a service unless it is
	// configured: all of it lives in one slot, on one master.
	DefaultPartitions = 1

	// MaxPartitions is the greatest number of partitions of a service. Each
	// costs every consumer a blocked read and a beat every second, with or
	// without streams, so few are better than many: 1024 are enough for each
	// master of the largest cluster that the Redis Cluster specification aims
	// at (1,000 nodes) to have a partition of its own, and more gain nothing.
	MaxPartitions = 1024
)

// Partition returns the partition, from 0 to partitions-1, to which a data
// stream belongs: CRC16(HashTag(stream)) modulo partitions. The dividend is the
// full 16-bit checksum, not the slot. A producer in any language can compute
// it; check values for 16 partitions:
//
//	orders:1        3
//	{user7}:clicks 12
//	{user7}:orders 12
//
// Streams with the same hash tag thus share a partition, on purpose or not. A
// number of partitions below 1 counts as 1.
func Partition(stream string, partitions int) int {
	if partitions <= 1 {
		return 0
	}
	return int(CRC16(HashTag(stream))) % partitions
}
