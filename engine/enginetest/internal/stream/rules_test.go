package stream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// obey runs a script on a server and here, and compares: a command a line, and its reply after =>. "WAIT 5ms" moves the clock, which
// starts at 1000. A number in front of a command repeats it. Without =>, the reply must be no error.
func obey(t *testing.T, script string) {
	t.Helper()
	p := newPair(t)
	for line := range strings.Lines(script) {
		line, expected, checked := strings.Cut(strings.TrimSpace(line), " => ")
		args := strings.Fields(line)
		times := 1
		if len(args) > 0 {
			if n, _ := fmt.Sscanf(args[0], "%d", &times); n == 1 {
				args = args[1:]
			}
		}
		switch {
		case len(args) == 0:
			continue
		case args[0] == "WAIT":
			d, err := time.ParseDuration(args[1])
			require.NoError(t, err)
			p.wait(t, d)
			continue
		}
		var reply Reply
		for range times {
			reply = p.do(t, false, args...)
		}
		if checked {
			require.Equal(t, expected, show(reply), line)
		} else {
			_, failed := reply.(Error)
			require.False(t, failed, "%s: %v", line, reply)
		}
	}
}

// show writes a reply on one line.
func show(r Reply) string {
	all := func(items []Reply) string {
		texts := make([]string, len(items))
		for i, item := range items {
			texts[i] = show(item)
		}
		return strings.Join(texts, " ")
	}
	switch r := r.(type) {
	case Null:
		return "nil"
	case NullArray:
		return "none"
	case []Reply:
		return "[" + all(r) + "]"
	case Map:
		return "{" + all(r) + "}"
	case MapOfStreams:
		return "{" + all(r) + "}"
	}
	return fmt.Sprint(r)
}

func TestDeletedEntryStaysPending(t *testing.T) {
	obey(t, `
		XADD s 1-1 f v
		XADD s 2-1 f v
		XGROUP CREATE s g 0
		XREADGROUP GROUP g alice STREAMS s > => {s [[1-1 [f v]] [2-1 [f v]]]}
		XDEL s 1-1 => 1
		WAIT 5ms
		XPENDING s g => [2 1-1 2-1 [[alice 2]]]
		XREADGROUP GROUP g alice STREAMS s 0 => {s [[1-1 none] [2-1 [f v]]]}
		WAIT 2ms
		XPENDING s g - + 10 => [[1-1 alice 7 1] [2-1 alice 2 2]]
		XACK s g 1-1 2-1 3-1 => 2
		XPENDING s g => [0 nil nil none]`)
}

func TestXClaimForgetsWhatIsDeleted(t *testing.T) {
	obey(t, `
		XADD s 1-1 f v
		XADD s 2-1 f v
		XGROUP CREATE s g 0
		XREADGROUP GROUP g alice STREAMS s >
		XTRIM s MAXLEN 1 => 1
		XCLAIM s g bob 1000 1-1 => []
		XPENDING s g - + 10 => [[2-1 alice 0 1]]
		XINFO CONSUMERS s g => [{name alice pending 1 idle 0}]`)
}

func TestXAutoClaimNamesAndForgetsWhatIsDeleted(t *testing.T) {
	obey(t, `
		XADD s 1-1 f v
		XADD s 2-1 f v
		XADD s 3-1 f v
		XGROUP CREATE s g 0
		XREADGROUP GROUP g alice STREAMS s >
		XDEL s 1-1
		XAUTOCLAIM s g bob 0 - COUNT 2 => [3-1 [[2-1 [f v]]] [1-1]]
		XAUTOCLAIM s g bob 0 3-1 COUNT 2 JUSTID => [0-0 [3-1] []]
		XPENDING s g - + 10 => [[2-1 bob 0 2] [3-1 bob 0 1]]`)
}

// Ten times COUNT: entries that are not idle enough use up attempts.
func TestXAutoClaimGivesUpAfterTenTimesCount(t *testing.T) {
	obey(t, `
		12 XADD s * f v
		XGROUP CREATE s g 0
		XREADGROUP GROUP g alice STREAMS s >
		XAUTOCLAIM s g bob 5 - COUNT 1 => [1000-10 [] []]
		XAUTOCLAIM s g bob 5 1000-10 COUNT 1 => [0-0 [] []]
		XINFO CONSUMERS s g => [{name alice pending 12 idle 0}]`)
}

func TestForceMakesAnEntryPendingThatWasDeliveredTwice(t *testing.T) {
	obey(t, `
		XADD s 1-1 f v
		XADD s 2-1 f v
		XGROUP CREATE s g 0
		XCLAIM s g alice 1000 1-1 3-1 FORCE => [[1-1 [f v]]]
		XCLAIM s g alice 1000 2-1 3-1 FORCE JUSTID => [2-1]
		XPENDING s g - + 10 => [[1-1 alice 0 2] [2-1 alice 0 1]]
		XINFO GROUPS s => [{name g consumers 1 pending 2 last-delivered-id 0-0 entries-read nil lag 2}]
		XCLAIM s g alice 0 3-1 LASTID 2-1 => []
		XINFO GROUPS s => [{name g consumers 1 pending 2 last-delivered-id 2-1 entries-read nil lag 0}]`)
}

func TestXClaimSetsTheTimeButNotInTheFuture(t *testing.T) {
	obey(t, `
		XADD s 1-1 f v
		XGROUP CREATE s g 0
		XREADGROUP GROUP g alice STREAMS s >
		XCLAIM s g bob 0 1-1 IDLE 300 JUSTID => [1-1]
		XPENDING s g - + 10 => [[1-1 bob 300 1]]
		XPENDING s g IDLE 301 - + 10 => []
		XCLAIM s g bob 0 1-1 TIME 990 RETRYCOUNT 0 => [[1-1 [f v]]]
		XPENDING s g - + 10 => [[1-1 bob 10 0]]
		XCLAIM s g bob 11 1-1 => []
		XCLAIM s g bob 0 1-1 TIME 2000 => [[1-1 [f v]]]
		XPENDING s g - + 10 => [[1-1 bob 0 1]]
		XCLAIM s g bob 0 1-1 IDLE 5000 => [[1-1 [f v]]]
		XPENDING s g - + 10 => [[1-1 bob 0 2]]
		XCLAIM s g bob 0 1-1 FORCE NOTHING => ERR Unrecognized XCLAIM option 'NOTHING'`)
}

func TestConsumerIsMadeByWhatItGets(t *testing.T) {
	obey(t, `
		XADD s 1-1 f v
		XGROUP CREATE s g $
		XREADGROUP GROUP g alice STREAMS s > => none
		XCLAIM s g bob 0 1-1 => []
		XAUTOCLAIM s g carol 0 - => [0-0 [] []]
		XINFO CONSUMERS s g => []
		XREADGROUP GROUP g dave STREAMS s 0 => {s []}
		XINFO CONSUMERS s g => [{name dave pending 0 idle 0}]`)
}

// Idle is since a consumer got entries or asked for its history, and not since it was made again, read nothing, or acknowledged.
func TestConsumerIsSeenWhenItGetsSomething(t *testing.T) {
	obey(t, `
		XADD s 1-1 f v
		XGROUP CREATE s g 0
		XREADGROUP GROUP g alice STREAMS s >
		WAIT 5ms
		XREADGROUP GROUP g alice STREAMS s > => none
		XGROUP CREATECONSUMER s g alice => 0
		XPENDING s g - + 1 alice
		XCLAIM s g alice 100 1-1 => []
		XACK s g 1-1 => 1
		XINFO CONSUMERS s g => [{name alice pending 0 idle 5}]
		XREADGROUP GROUP g alice STREAMS s 0 => {s []}
		XINFO CONSUMERS s g => [{name alice pending 0 idle 0}]`)
}

func TestSetIDTakesEntriesFromWhoHadThem(t *testing.T) {
	obey(t, `
		XADD s 1-1 f v
		XGROUP CREATE s g 0
		XREADGROUP GROUP g alice STREAMS s >
		XREADGROUP GROUP g alice STREAMS s 0
		XPENDING s g - + 10 => [[1-1 alice 0 2]]
		XGROUP SETID s g - => OK
		XREADGROUP GROUP g bob STREAMS s > => {s [[1-1 [f v]]]}
		XPENDING s g - + 10 => [[1-1 bob 0 1]]
		XINFO CONSUMERS s g => [{name alice pending 0 idle 0} {name bob pending 1 idle 0}]
		XGROUP DELCONSUMER s g bob => 1
		XPENDING s g => [0 nil nil none]`)
}

func TestNoAckMakesNothingPending(t *testing.T) {
	obey(t, `
		XADD s 1-1 f v
		XGROUP CREATE s g 0
		XREADGROUP GROUP g alice NOACK STREAMS s > => {s [[1-1 [f v]]]}
		XINFO GROUPS s => [{name g consumers 1 pending 0 last-delivered-id 1-1 entries-read 1 lag 0}]
		XREADGROUP GROUP g alice STREAMS s > => none`)
}

func TestHighestIDStandsForNewEntries(t *testing.T) {
	obey(t, `
		XADD s 1-1 f v
		XGROUP CREATE s g 0
		XREADGROUP GROUP g alice STREAMS s 18446744073709551615-18446744073709551615 => {s [[1-1 [f v]]]}`)
}

func TestLagIsUnknownBehindADeletedEntry(t *testing.T) {
	obey(t, `
		XADD s 1-1 f v
		XADD s 2-1 f v
		XADD s 3-1 f v
		XADD s 4-1 f v
		XGROUP CREATE s g 0
		XINFO GROUPS s => [{name g consumers 0 pending 0 last-delivered-id 0-0 entries-read nil lag 4}]
		XREADGROUP GROUP g a COUNT 1 STREAMS s >
		XINFO GROUPS s => [{name g consumers 1 pending 1 last-delivered-id 1-1 entries-read 1 lag 3}]
		XDEL s 3-1
		XINFO GROUPS s => [{name g consumers 1 pending 1 last-delivered-id 1-1 entries-read 1 lag nil}]
		XREADGROUP GROUP g a COUNT 1 STREAMS s >
		XINFO GROUPS s => [{name g consumers 1 pending 2 last-delivered-id 2-1 entries-read nil lag nil}]
		XREADGROUP GROUP g a COUNT 1 STREAMS s >
		XINFO GROUPS s => [{name g consumers 1 pending 3 last-delivered-id 4-1 entries-read 4 lag 0}]
		XADD s 5-1 f v
		XINFO GROUPS s => [{name g consumers 1 pending 3 last-delivered-id 4-1 entries-read 4 lag 1}]`)
}

func TestLagIsKnownWhenOnlyTheHeadIsGone(t *testing.T) {
	obey(t, `
		4 XADD s * f v
		XGROUP CREATE s g 0
		XDEL s 1000-0
		XTRIM s MAXLEN 2
		XINFO GROUPS s => [{name g consumers 0 pending 0 last-delivered-id 0-0 entries-read nil lag 2}]
		XGROUP CREATE s middle 1000-2
		XGROUP CREATE s first 1000-2 ENTRIESREAD 3
		XGROUP CREATE s last $
		XGROUP CREATE s future 5000-0
		XGROUP CREATE s over 1000-2 ENTRIESREAD 9
		XINFO GROUPS s => [`+strings.Join([]string{
		"{name first consumers 0 pending 0 last-delivered-id 1000-2 entries-read 3 lag 1}",
		"{name future consumers 0 pending 0 last-delivered-id 5000-0 entries-read nil lag nil}",
		"{name g consumers 0 pending 0 last-delivered-id 0-0 entries-read nil lag 2}",
		"{name last consumers 0 pending 0 last-delivered-id 1000-3 entries-read nil lag 0}",
		"{name middle consumers 0 pending 0 last-delivered-id 1000-2 entries-read nil lag 1}",
		"{name over consumers 0 pending 0 last-delivered-id 1000-2 entries-read 9 lag -5}",
	}, " ")+`]
		XDEL s 1000-2 1000-3 => 2
		XGROUP DESTROY s future
		XGROUP DESTROY s over
		XGROUP DESTROY s first
		XGROUP DESTROY s last
		XINFO GROUPS s => [`+strings.Join([]string{
		"{name g consumers 0 pending 0 last-delivered-id 0-0 entries-read nil lag 0}",
		"{name middle consumers 0 pending 0 last-delivered-id 1000-2 entries-read nil lag 0}",
	}, " ")+`]`)
}

func TestSetIDForgetsHowMuchWasRead(t *testing.T) {
	obey(t, `
		3 XADD s * f v
		XGROUP CREATE s g 0
		XREADGROUP GROUP g a COUNT 2 STREAMS s >
		XGROUP SETID s g 1000-1 => OK
		XINFO GROUPS s => [{name g consumers 1 pending 2 last-delivered-id 1000-1 entries-read nil lag nil}]
		XGROUP SETID s g 1000-1 ENTRIESREAD 2 => OK
		XINFO GROUPS s => [{name g consumers 1 pending 2 last-delivered-id 1000-1 entries-read 2 lag 1}]`)
}
