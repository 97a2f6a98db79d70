package stream

import "encoding/binary"

// treeNodes returns how many nodes the radix tree has in which Redis keeps the nodes of a stream by their first IDs: XINFO STREAM
// shows it. Bytes that do not branch share one.
func (s *Stream) treeNodes() int64 {
	if len(s.nodes) == 0 {
		return 1
	}
	keys := make([][16]byte, len(s.nodes))
	for i, n := range s.nodes {
		binary.BigEndian.PutUint64(keys[i][:8], n.first().ms)
		binary.BigEndian.PutUint64(keys[i][8:], n.first().seq)
	}
	return countTree(keys, 0)
}

// countTree counts the nodes below a prefix of so many bytes that all keys share.
func countTree(keys [][16]byte, prefix int) int64 {
	first, last := keys[0], keys[len(keys)-1]
	count, branch := int64(1), prefix // the node where they branch, or the leaf
	for branch < len(first) && first[branch] == last[branch] {
		branch++
	}
	if branch > prefix {
		count++ // for the bytes up to there
	}
	if branch == len(first) {
		return count
	}
	for start := 0; start < len(keys); {
		end := start + 1
		for end < len(keys) && keys[end][branch] == keys[start][branch] {
			end++
		}
		count += countTree(keys[start:end], branch+1)
		start = end
	}
	return count
}
