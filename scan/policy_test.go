package scan

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/lease"
)

const deathNow = 1_800_000_000_000

// died is a crash that long ago, with sessions of 10 s.
func died(ago time.Duration) sessionEnd {
	return sessionEnd{deadline: deathNow - float64(ago.Milliseconds()), now: deathNow, ttl: 10 * time.Second}
}

func orphanOf(deliveries, crashes int, idle time.Duration) *orphan {
	o := &orphan{readable: true}
	o.ID, o.Key, o.Crashes, o.Retries = "1-1", "key", crashes, 2
	o.Deliveries, o.Idle = deliveries, idle
	return o
}

func TestPolicyCountsCrashesOfOwnersOnly(t *testing.T) {
	// Idle counts from the acquisition, so with a session of 10 s that ended 1 s ago, an entry was held for idle - 11 s.
	const held5s = 16 * time.Second
	stable := 5*time.Minute + 11*time.Second
	early := func(o *orphan) *orphan { o.NotBefore = deathNow + 5000; return o }
	unreadable, gone := orphanOf(2, 3, held5s), orphanOf(2, 3, held5s)
	unreadable.readable = false
	gone.Gone = true
	for name, test := range map[string]struct {
		orphan  *orphan
		death   sessionEnd
		config  Config
		dest    lease.Dest
		crashes int
		delay   time.Duration
		at      int64
	}{
		"first crash: at once":                        {orphan: orphanOf(2, 0, held5s), death: died(time.Second), dest: lease.ToInput, crashes: 1},
		"second crash: a delay":                       {orphan: orphanOf(2, 1, held5s), death: died(time.Second), dest: lease.ToLater, crashes: 2, delay: time.Second},
		"third crash: twice that":                     {orphan: orphanOf(2, 2, held5s), death: died(time.Second), dest: lease.ToLater, crashes: 3, delay: 2 * time.Second},
		"last crash that is forgiven":                 {orphan: orphanOf(2, 9, held5s), death: died(time.Second), dest: lease.ToLater, crashes: 10, delay: 256 * time.Second},
		"one more":                                    {orphan: orphanOf(2, 10, held5s), death: died(time.Second), dest: lease.ToDeadLetters, crashes: 11},
		"no crash is forgiven":                        {orphan: orphanOf(2, 0, held5s), death: died(time.Second), config: Config{MaxCrashes: NoCrashes}, dest: lease.ToDeadLetters, crashes: 1},
		"parked for long":                             {orphan: orphanOf(1, 10, 22*time.Second), death: died(time.Second), dest: lease.ToInput, crashes: lease.KeepCount},
		"just read":                                   {orphan: orphanOf(1, 10, held5s), death: died(time.Second), dest: lease.ToDeadLetters, crashes: 11},
		"just read, before deadlines were moved":      {orphan: orphanOf(1, 10, 15*time.Minute), death: sessionEnd{deadline: deathNow - 1000, now: deathNow, ttl: 10 * time.Second, last: 15*time.Minute - 9*time.Second}, dest: lease.ToDeadLetters, crashes: 11},
		"parked before deadlines were moved":          {orphan: orphanOf(1, 10, 15*time.Minute), death: sessionEnd{deadline: deathNow - 1000, now: deathNow, ttl: 10 * time.Second, last: 14 * time.Minute}, dest: lease.ToInput, crashes: lease.KeepCount},
		"just read, for the first time":               {orphan: orphanOf(1, 0, held5s), death: died(time.Second), dest: lease.ToInput, crashes: 1},
		"read after the last beat":                    {orphan: orphanOf(1, 1, 10*time.Second), death: died(time.Second), dest: lease.ToLater, crashes: 2, delay: time.Second},
		"read after its session":                      {orphan: orphanOf(1, 10, 0), death: died(time.Second), dest: lease.ToInput, crashes: lease.KeepCount},
		"just read, and no crash is forgiven":         {orphan: orphanOf(1, 0, held5s), death: died(time.Second), config: Config{MaxCrashes: NoCrashes}, dest: lease.ToInput, crashes: lease.KeepCount},
		"a count that a producer made up":             {orphan: orphanOf(2, 1e6, held5s), death: died(time.Second), dest: lease.ToDeadLetters, crashes: 45},
		"the greatest":                                {orphan: orphanOf(2, math.MaxInt, held5s), death: died(time.Second), dest: lease.ToDeadLetters, crashes: 45},
		"one that it made up below zero":              {orphan: orphanOf(2, math.MinInt, held5s), death: died(time.Second), dest: lease.ToInput, crashes: 1},
		"closed on purpose":                           {orphan: orphanOf(2, 10, held5s), death: sessionEnd{now: deathNow}, dest: lease.ToInput, crashes: lease.KeepCount},
		"adopted":                                     {orphan: orphanOf(2, 10, held5s), death: sessionEnd{deadline: deathNow - 999.5, now: deathNow}, dest: lease.ToInput, crashes: lease.KeepCount},
		"unreadable":                                  {orphan: unreadable, death: died(time.Second), dest: lease.ToInput, crashes: lease.KeepCount},
		"body deleted":                                {orphan: gone, death: died(time.Second), dest: lease.ToInput, crashes: lease.KeepCount},
		"held for long":                               {orphan: orphanOf(2, 10, stable), death: died(time.Second), dest: lease.ToInput, crashes: 0},
		"not quite for long":                          {orphan: orphanOf(2, 10, stable-time.Millisecond), death: died(time.Second), dest: lease.ToDeadLetters, crashes: 11},
		"killed before its process was away for long": {orphan: orphanOf(2, 10, 5*time.Minute+16*time.Second), death: sessionEnd{deadline: deathNow - 1000, now: deathNow, ttl: 10 * time.Second, seen: 5*time.Minute + 20*time.Second}, dest: lease.ToDeadLetters, crashes: 11},
		"held for long before its process was away":   {orphan: orphanOf(2, 10, 11*time.Minute), death: sessionEnd{deadline: deathNow - 1000, now: deathNow, ttl: 10 * time.Second, seen: 5*time.Minute + 20*time.Second}, dest: lease.ToInput, crashes: 0},
		"seen lately":                                 {orphan: orphanOf(2, 10, stable), death: sessionEnd{deadline: died(time.Second).deadline, now: deathNow, ttl: 10 * time.Second, seen: 45 * time.Second}, dest: lease.ToInput, crashes: 0},
		"the time since does not count":               {orphan: orphanOf(2, 0, time.Hour), death: died(time.Hour - 30*time.Second), dest: lease.ToInput, crashes: 1},
		"held for no time":                            {orphan: orphanOf(2, 0, 0), death: died(time.Second), dest: lease.ToInput, crashes: 1},
		"read before its time":                        {orphan: early(orphanOf(1, 0, time.Minute)), death: died(time.Second), dest: lease.ToLater, crashes: lease.KeepCount, at: deathNow + 5000},
		"read before its time, closed":                {orphan: early(orphanOf(1, 0, held5s)), death: sessionEnd{now: deathNow}, dest: lease.ToLater, crashes: lease.KeepCount, at: deathNow + 5000},
		"other limits":                                {orphan: orphanOf(2, 1, held5s), death: died(time.Second), config: Config{MaxCrashes: 1}, dest: lease.ToDeadLetters, crashes: 2},
		"no limit":                                    {orphan: orphanOf(2, 1e9, held5s), death: died(time.Second), config: Config{MaxCrashes: NoLimit}, dest: lease.ToLater, crashes: 1e9 + 1, delay: 5 * time.Minute},
		"the limit is of those not held so long":      {orphan: orphanOf(2, 10, 13*time.Second), death: died(time.Second), config: Config{StableAfter: 2 * time.Second}, dest: lease.ToInput, crashes: 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := test.config.decide(test.orphan, test.death, 0.5)
			require.Equal(t, string(rune(test.dest)), string(rune(r.Dest)))
			require.Equal(t, test.crashes, r.Crashes)
			require.Equal(t, test.delay, r.Delay)
			require.Equal(t, test.at, r.At)
			require.Equal(t, lease.KeepCount, r.Retries, "a crash is no retry")
			require.Equal(t, lease.AnyToken, r.Token)
			require.Equal(t, test.orphan.ID, r.Entry)
			require.Equal(t, test.orphan.Key, r.Key)
			if r.Dest == lease.ToDeadLetters {
				require.Contains(t, r.Reason, "crashes: ")
			} else {
				require.Empty(t, r.Reason)
			}
		})
	}
}

// Nothing is dead-lettered or delayed after an orderly end, and a count only falls when the stream was held for long.
func TestPolicyProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := orphanOf(rapid.IntRange(1, 3).Draw(t, "deliveries"), rapid.IntRange(0, 30).Draw(t, "crashes"),
			time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "idle")))
		d := died(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "ago")))
		if rapid.Bool().Draw(t, "adopted") {
			d.deadline += 0.5
		}
		r := Config{}.decide(o, d, rapid.Float64Range(0, 1).Draw(t, "rnd"))
		switch {
		case r.Crashes == lease.KeepCount:
			require.NotEqual(t, lease.ToDeadLetters, r.Dest)
			require.Zero(t, r.Delay)
		case r.Crashes == 0:
			require.GreaterOrEqual(t, o.Idle, DefaultStableAfter)
		default:
			require.Equal(t, o.Crashes+1, r.Crashes)
			if o.Deliveries < lease.HeldDeliveries {
				require.LessOrEqual(t, d.heldFor(o.Idle).Abs(), d.ttl)
			}
			require.Equal(t, r.Crashes > DefaultMaxCrashes, r.Dest == lease.ToDeadLetters)
			require.LessOrEqual(t, r.Delay, DefaultMaxCrashDelay*3/2)
		}
	})
}
