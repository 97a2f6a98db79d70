package cluster

const (
	// DefaultPartitions is the number of partitions of a service that is not
	// told otherwise: all of it lives in one slot, on one master.
	DefaultPartitions = 1

	// MaxPartitions is the greatest number of partitions of a service. Each
	// costs every consumer a blocked read and a beat every second, streams or
	// none, so few are better than many: 1024 give each master of the largest
	// cluster that the Redis Cluster specification aims at (1,000 nodes) a
	// partition of its own, and nothing is gained by more.
	MaxPartitions = 1024
)

// Partition is the partition, from 0 to partitions-1, to which a data stream
// belongs: CRC16(HashTag(stream)) modulo partitions. It is the full 16-bit
// checksum that is divided, not the slot. A producer in any language can
// compute it; these may serve as a check, for 16 partitions:
//
//	orders:1        3
//	{user7}:clicks 12
//	{user7}:orders 12
//
// Streams with one hash tag thus share a partition, on purpose or not. A
// number of partitions below 1 counts as 1.
func Partition(stream string, partitions int) int {
	if partitions <= 1 {
		return 0
	}
	return int(CRC16(HashTag(stream))) % partitions
}
