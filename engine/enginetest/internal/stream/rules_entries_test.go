package stream

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIDOfADeletedEntryIsNotGivenOutAgain(t *testing.T) {
	obey(t, `
		XADD s 5-5 f v
		XDEL s 5-5 => 1
		XLEN s => 0
		XADD s 5-5 f v => ERR The ID specified in XADD is equal or smaller than the target stream top item
		XADD s 5-* f v => 5-6
		XADD s 6-* f v => 6-0
		XADD s 5-* f v => ERR The ID specified in XADD is equal or smaller than the target stream top item
		XDEL s 5-6 6-0
		XREAD STREAMS s 0 => none
		XINFO STREAM s => {length 0 radix-tree-keys 0 radix-tree-nodes 1 last-generated-id 6-0 max-deleted-entry-id 6-0 entries-added 3 recorded-first-entry-id 0-0 groups 0 first-entry nil last-entry nil}`)
}

func TestClockThatGoesBackDoesNotTakeIDsWithIt(t *testing.T) {
	obey(t, `
		XADD s * f v => 1000-0
		WAIT -5ms
		XADD s * f v => 1000-1
		XADD s 1000-18446744073709551615 f v
		XADD s * f v => 1001-0
		XADD s 18446744073709551615-18446744073709551615 f v
		XADD s * f v => ERR The stream has exhausted the last possible ID, unable to add more items`)
}

func TestXSetIDStaysAboveTheLastEntry(t *testing.T) {
	obey(t, `
		XSETID s 1-1 => ERR no such key
		XADD s 5-5 f v
		XADD s 7-7 f v
		XDEL s 7-7
		XSETID s 5-4 => ERR The ID specified in XSETID is smaller than the target stream top item
		XSETID s 5-5 ENTRIESADDED 0 => ERR The entries_added specified in XSETID is smaller than the target stream length
		XSETID s 5-5 MAXDELETEDID 6-0 => ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id
		XSETID s 5-5 ENTRIESADDED 9 MAXDELETEDID 2-0 => OK
		XINFO STREAM s => {length 1 radix-tree-keys 1 radix-tree-nodes 2 last-generated-id 5-5 max-deleted-entry-id 2-0 entries-added 9 recorded-first-entry-id 5-5 groups 0 first-entry [5-5 [f v]] last-entry [5-5 [f v]]}`)
}

func TestApproximateTrimRemovesWholeNodes(t *testing.T) {
	obey(t, `
		250 XADD s * f v
		XTRIM s MAXLEN ~ 151 => 0
		XTRIM s MAXLEN ~ 150 => 100
		XTRIM s MINID ~ 1000-199 => 0
		XTRIM s MINID ~ 1000-200 => 100
		XLEN s => 50
		250 XADD s * f v
		XTRIM s MAXLEN ~ 0 LIMIT 99 => 0
		XTRIM s MAXLEN ~ 0 LIMIT 250 => 200
		XTRIM s MAXLEN ~ 0 LIMIT 0 => 100`)
}

func TestNodeIsFullAtFourKilobytes(t *testing.T) {
	value := strings.Repeat("v", 1000)
	obey(t, `
		12 XADD s * f `+value+`
		XTRIM s MAXLEN ~ 0 LIMIT 3 => 0
		XTRIM s MAXLEN ~ 0 LIMIT 7 => 4`)
}

func TestTombstonesDoNotCountForTheLimit(t *testing.T) {
	obey(t, `
		101 XADD s * f v
		XDEL s 1000-7
		XTRIM s MAXLEN ~ 0 LIMIT 98 => 0
		XTRIM s MAXLEN ~ 0 LIMIT 99 => 99`)
}

func TestTombstonesFillNodes(t *testing.T) {
	obey(t, `
		99 XADD s * f v
		XDEL s 1000-0 1000-1 1000-2 => 3
		2 XADD s * f v
		XINFO STREAM s => {length 98 radix-tree-keys 2 radix-tree-nodes 4 last-generated-id 1000-100 max-deleted-entry-id 1000-2 entries-added 101 recorded-first-entry-id 1000-3 groups 0 first-entry [1000-3 [f v]] last-entry [1000-100 [f v]]}
		XTRIM s MAXLEN ~ 1 => 97`)
}

// A node whose last tombstone is not below the limit stays, though all its entries are gone.
func TestTrimByIDLeavesANodeOfTombstones(t *testing.T) {
	obey(t, `
		XADD s 1-0 f v
		XADD s 2-0 f v
		XADD s 3-0 f v
		XDEL s 3-0
		XTRIM s MINID 3-0 => 2
		XINFO STREAM s => {length 0 radix-tree-keys 1 radix-tree-nodes 2 last-generated-id 3-0 max-deleted-entry-id 3-0 entries-added 3 recorded-first-entry-id 0-0 groups 0 first-entry nil last-entry nil}
		XADD s 4-0 f v
		XREVRANGE s + - => [[4-0 [f v]]]
		XINFO STREAM s => {length 1 radix-tree-keys 1 radix-tree-nodes 2 last-generated-id 4-0 max-deleted-entry-id 3-0 entries-added 4 recorded-first-entry-id 4-0 groups 0 first-entry [4-0 [f v]] last-entry [4-0 [f v]]}`)
}

func TestTrimIsNoDeletion(t *testing.T) {
	obey(t, `
		5 XADD s * f v
		XGROUP CREATE s g 0
		XREADGROUP GROUP g a COUNT 1 STREAMS s >
		XADD s MAXLEN 2 * f v => 1000-5
		XINFO GROUPS s => [{name g consumers 1 pending 1 last-delivered-id 1000-0 entries-read 1 lag 5}]
		XINFO STREAM s => {length 2 radix-tree-keys 1 radix-tree-nodes 2 last-generated-id 1000-5 max-deleted-entry-id 0-0 entries-added 6 recorded-first-entry-id 1000-4 groups 1 first-entry [1000-4 [f v]] last-entry [1000-5 [f v]]}`)
}

func TestXAddAndXTrimCheckTheirOptions(t *testing.T) {
	obey(t, `
		XADD s NOMKSTREAM * f v => nil
		XADD s NOMKSTREAM MAXLEN 5 f v => ERR Invalid stream ID specified as stream command argument
		XADD s MAXLEN 5 MINID 5 * f v => ERR syntax error, MAXLEN and MINID options at the same time are not compatible
		XADD s MAXLEN 5 LIMIT 5 * f v => ERR syntax error, LIMIT cannot be used without the special ~ option
		XADD s LIMIT 5 * f v => ERR syntax error, LIMIT cannot be used without specifying a trimming strategy
		XADD s MAXLEN -1 * f v => ERR The MAXLEN argument must be >= 0.
		XADD s MAXLEN ~ 1 LIMIT -1 * f v => ERR The LIMIT argument must be >= 0.
		XADD s 0-0 f v => ERR The ID specified in XADD must be greater than 0-0
		XADD s 0-* f => ERR wrong number of arguments for 'xadd' command
		XADD s * f v g => ERR wrong number of arguments for 'xadd' command
		XADD text * f v => WRONGTYPE Operation against a key holding the wrong kind of value
		XTRIM s LIMIT 5 => ERR syntax error, LIMIT cannot be used without specifying a trimming strategy
		XTRIM s MAXLEN ~ => ERR value is not an integer or out of range
		XTRIM s MAXLEN 5 WHAT => ERR syntax error
		XTRIM s MAXLEN 5 => 0
		XLEN s => 0
		XADD s 0-* f v => 0-1`)
}

func TestIDsAreParsedLeniently(t *testing.T) {
	obey(t, `
		XADD s 007-+5 f v => 7-5
		XADD s 8--0 f v => 8-0
		XADD s 8--01 f v => 8-18446744073709551615
		XADD s 9--1 f v => ERR Invalid stream ID specified as stream command argument
		XADD s 9- f v => ERR Invalid stream ID specified as stream command argument
		XADD s -9 f v => ERR Invalid stream ID specified as stream command argument
		XADD s 18446744073709551616 f v => ERR Invalid stream ID specified as stream command argument
		XRANGE s 7 7 => [[7-5 [f v]]]`)
	p := newPair(t)
	require.Equal(t, "7-0", p.do(t, false, "XADD", "s", " \t7\x00x", "f", "v"))
	require.Equal(t, "9-0", p.do(t, false, "XADD", "s", strings.Repeat("0", 124)+"9-0", "f", "v"))
	require.Equal(t, errInvalidID, p.do(t, false, "XADD", "s", strings.Repeat("0", 125)+"9-0", "f", "v"))
}

func TestIntervalsMayBeOpen(t *testing.T) {
	obey(t, `
		XADD s 1-1 f v
		XADD s 1-2 f v
		XADD s 2-1 f v
		XRANGE s (1-1 + COUNT 1 => [[1-2 [f v]]]
		XRANGE s (1 (2-1 => [[1-1 [f v]] [1-2 [f v]]]
		XREVRANGE s (2-1 (1-1 => [[1-2 [f v]]]
		XRANGE s - + COUNT 0 => none
		XRANGE s - + COUNT -5 => none
		XRANGE none - + COUNT 0 => []
		XRANGE s 2-1 1-1 => []
		XRANGE s ( + => ERR Invalid stream ID specified as stream command argument
		XRANGE s (- + => ERR Invalid stream ID specified as stream command argument
		XRANGE s (18446744073709551615-18446744073709551615 + => ERR invalid start ID for the interval
		XRANGE s - (0-0 => ERR invalid end ID for the interval`)
}

// Redis 7.4 has +, the last entry.
func TestPlusIsNoIDForXRead(t *testing.T) {
	obey(t, `
		XADD s 1-1 f v
		XREAD STREAMS s + => ERR Invalid stream ID specified as stream command argument
		XREAD STREAMS s $ => none
		XREAD STREAMS s 1 => {s [[1-1 [f v]]]}
		XREAD COUNT -1 STREAMS s none 0 0 => {s [[1-1 [f v]]]}
		XREAD STREAMS s > => ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.
		XREAD STREAMS s s 0 => ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.
		XREAD BLOCK -1 STREAMS s 0 => ERR timeout is negative
		XREAD BLOCK 0 STREAMS s $ => none`)
}

func TestMissingKeyComesBeforeWrongIDs(t *testing.T) {
	obey(t, `
		XDEL s x => 0
		XACK s g x => 0
		XADD s 1-1 f v
		XDEL s 1-1 x => ERR Invalid stream ID specified as stream command argument
		XACK s g x => 0
		XGROUP CREATE s g 0
		XACK s g x => ERR Invalid stream ID specified as stream command argument
		XLEN s => 1
		XCLAIM s nobody alice x x => NOGROUP No such key 's' or consumer group 'nobody'
		XAUTOCLAIM s nobody alice x - => ERR Invalid min-idle-time argument for XAUTOCLAIM
		XREADGROUP GROUP nobody a STREAMS s x => NOGROUP No such key 's' or consumer group 'nobody' in XREADGROUP with GROUP option
		XGROUP DESTROY none g => ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.
		XGROUP DESTROY s nobody => 0
		XGROUP CREATE s g x => ERR Invalid stream ID specified as stream command argument
		XGROUP CREATE s g 0 => BUSYGROUP Consumer Group name already exists
		XGROUP WHAT s g => ERR unknown subcommand 'WHAT'. Try XGROUP HELP.
		XGROUP DESTROY s => ERR wrong number of arguments for 'xgroup|destroy' command
		XINFO STREAM s FULL COUNT => ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.`)
}

func TestOtherCommandsAreNone(t *testing.T) {
	for _, args := range [][]string{nil, {"GET", "k"}, {"XNOTHING"}} {
		_, ok := Do(keyspace{}, newPair(t).now, args)
		require.False(t, ok)
	}
}

// Nodes of one entry each: their IDs branch in the first byte of three, and then in the last.
func TestTreeSharesASingleByte(t *testing.T) {
	value := strings.Repeat("v", 5000)
	p := newPair(t)
	for _, id := range []string{"1-0", "1-1", "1-65536"} {
		p.do(t, false, "XADD", "s", id, "f", value)
	}
	require.EqualValues(t, 8, p.do(t, false, "XINFO", "STREAM", "s").(Map)[5])
}
