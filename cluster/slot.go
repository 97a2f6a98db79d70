package cluster

import "strings"

// Slots is the number of hash slots of a Redis Cluster, fixed by its protocol
// (Redis Cluster specification, "Key distribution model").
const Slots = 16384

// crcTable holds the CRC of each single byte.
var crcTable = makeCRCTable()

// makeCRCTable computes the table for the polynomial x^16+x^12+x^5+1, most
// significant bit first.
func makeCRCTable() *[256]uint16 {
	const polynomial = 0x1021
	var table [256]uint16
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			carry := crc&0x8000 != 0
			crc <<= 1
			if carry {
				crc ^= polynomial
			}
		}
		table[i] = crc
	}
	return &table
}

// CRC16 returns the checksum that Redis Cluster hashes keys with: CRC-16/XMODEM,
// that is polynomial 0x1021, initial value 0, nothing reflected, no final xor
// (Redis Cluster specification, appendix A). The CRC16 of "123456789" is
// 0x31C3.
func CRC16(s string) uint16 {
	var crc uint16
	for i := range len(s) {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^s[i]]
	}
	return crc
}

// HashTag returns the part of key that Redis Cluster hashes: what is between the
// first '{' and the first '}' after it, if both exist and something is between
// them; otherwise the whole key (Redis Cluster specification, "Hash tags").
func HashTag(key string) string {
	_, rest, found := strings.Cut(key, "{")
	if !found {
		return key
	}
	if tag, _, found := strings.Cut(rest, "}"); found && tag != "" {
		return tag
	}
	return key
}

// Slot returns the slot of key in a Redis Cluster, from 0 to Slots-1, as CLUSTER
// KEYSLOT does.
func Slot(key string) uint16 {
	return CRC16(HashTag(key)) % Slots
}
