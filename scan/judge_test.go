package scan

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/lease"
)

const deathNow = 1_800_000_000_000

// died is a death so long ago, under sessions of 10 s.
func died(ago time.Duration) Death {
	return Death{Deadline: deathNow - float64(ago.Milliseconds()), Now: deathNow, TTL: 10 * time.Second}
}

func orphan(deliveries, crashes int, idle time.Duration) *Orphan {
	o := &Orphan{Readable: true}
	o.ID, o.Key, o.Crashes, o.Retries = "1-1", "key", crashes, 2
	o.Deliveries, o.Idle = deliveries, idle
	return o
}

func TestJudgeCountsCrashesOfOwnersOnly(t *testing.T) {
	// Idle counts from the acquisition, so a death 1 s ago that a session of 10 s showed leaves idle - 11 s held.
	const held5s = 16 * time.Second
	stable := 5*time.Minute + 11*time.Second
	early := func(o *Orphan) *Orphan { o.NotBefore = deathNow + 5000; return o }
	unreadable, gone := orphan(2, 3, held5s), orphan(2, 3, held5s)
	unreadable.Readable = false
	gone.Gone = true
	for name, test := range map[string]struct {
		orphan  *Orphan
		death   Death
		config  Config
		dest    lease.Dest
		crashes int
		delay   time.Duration
		at      int64
	}{
		"first crash: at once":                   {orphan: orphan(2, 0, held5s), death: died(time.Second), dest: lease.ToInput, crashes: 1},
		"second crash: a delay":                  {orphan: orphan(2, 1, held5s), death: died(time.Second), dest: lease.ToLater, crashes: 2, delay: time.Second},
		"third crash: twice that":                {orphan: orphan(2, 2, held5s), death: died(time.Second), dest: lease.ToLater, crashes: 3, delay: 2 * time.Second},
		"last crash that is forgiven":            {orphan: orphan(2, 9, held5s), death: died(time.Second), dest: lease.ToLater, crashes: 10, delay: time.Minute},
		"one more":                               {orphan: orphan(2, 10, held5s), death: died(time.Second), dest: lease.ToDeadLetters, crashes: 11},
		"no crash is forgiven":                   {orphan: orphan(2, 0, held5s), death: died(time.Second), config: Config{MaxCrashes: -1}, dest: lease.ToDeadLetters, crashes: 1},
		"only read":                              {orphan: orphan(1, 10, held5s), death: died(time.Second), dest: lease.ToInput, crashes: lease.KeepCount},
		"closed on purpose":                      {orphan: orphan(2, 10, held5s), death: Death{Now: deathNow}, dest: lease.ToInput, crashes: lease.KeepCount},
		"adopted":                                {orphan: orphan(2, 10, held5s), death: Death{Deadline: deathNow - 999.5, Now: deathNow}, dest: lease.ToInput, crashes: lease.KeepCount},
		"unreadable":                             {orphan: unreadable, death: died(time.Second), dest: lease.ToInput, crashes: lease.KeepCount},
		"body deleted":                           {orphan: gone, death: died(time.Second), dest: lease.ToInput, crashes: lease.KeepCount},
		"held for long":                          {orphan: orphan(2, 10, stable), death: died(time.Second), dest: lease.ToInput, crashes: 0},
		"not quite for long":                     {orphan: orphan(2, 10, stable-time.Millisecond), death: died(time.Second), dest: lease.ToDeadLetters, crashes: 11},
		"the time since does not count":          {orphan: orphan(2, 0, time.Hour), death: died(time.Hour - 30*time.Second), dest: lease.ToInput, crashes: 1},
		"held for no time":                       {orphan: orphan(2, 0, 0), death: died(time.Second), dest: lease.ToInput, crashes: 1},
		"read before its time":                   {orphan: early(orphan(1, 0, held5s)), death: died(time.Second), dest: lease.ToLater, crashes: lease.KeepCount, at: deathNow + 5000},
		"read before its time, closed":           {orphan: early(orphan(1, 0, held5s)), death: Death{Now: deathNow}, dest: lease.ToLater, crashes: lease.KeepCount, at: deathNow + 5000},
		"other limits":                           {orphan: orphan(2, 1, held5s), death: died(time.Second), config: Config{MaxCrashes: 1}, dest: lease.ToDeadLetters, crashes: 2},
		"no limit":                               {orphan: orphan(2, 1e9, held5s), death: died(time.Second), config: Config{MaxCrashes: math.MaxInt}, dest: lease.ToLater, crashes: 1e9 + 1, delay: time.Minute},
		"the limit is of those not held so long": {orphan: orphan(2, 10, 13*time.Second), death: died(time.Second), config: Config{StableAfter: 2 * time.Second}, dest: lease.ToInput, crashes: 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := test.config.Judge(test.orphan, test.death, 0.5)
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

// Nobody is sentenced for what an orderly end left, and no count ever falls but by holding on.
func TestJudgeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := orphan(rapid.IntRange(1, 3).Draw(t, "deliveries"), rapid.IntRange(0, 30).Draw(t, "crashes"),
			time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "idle")))
		d := died(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "ago")))
		if rapid.Bool().Draw(t, "adopted") {
			d.Deadline += 0.5
		}
		r := Config{}.Judge(o, d, rapid.Float64Range(0, 1).Draw(t, "rnd"))
		switch {
		case r.Crashes == lease.KeepCount:
			require.NotEqual(t, lease.ToDeadLetters, r.Dest)
			require.Zero(t, r.Delay)
		case r.Crashes == 0:
			require.GreaterOrEqual(t, o.Idle, DefaultStableAfter)
		default:
			require.Equal(t, o.Crashes+1, r.Crashes)
			require.GreaterOrEqual(t, o.Deliveries, lease.HeldDeliveries)
			require.Equal(t, r.Crashes > DefaultMaxCrashes, r.Dest == lease.ToDeadLetters)
			require.LessOrEqual(t, r.Delay, DefaultMaxCrashDelay*3/2)
		}
	})
}

func suspects(crashes ...int) (out []lease.Return) {
	for _, n := range crashes {
		out = append(out, lease.Return{Dest: lease.ToDeadLetters, Reason: "crashes", Crashes: n})
	}
	return out
}

// Trace: a stream kills every process that owns it, and each takes thousands of others along. Those have as many crashes
// after eleven deaths as it has, if they came back together each time: all became dead letters.
func TestConvictBlamesTheOneThatStandsOut(t *testing.T) {
	for name, test := range map[string]struct {
		config  Config
		crashes []int
		dead    []int // indexes
	}{
		"alone":                             {crashes: []int{11}, dead: []int{0}},
		"one that stands out":               {crashes: []int{11, 13, 12, 11}, dead: []int{1}},
		"two that may be to blame":          {crashes: []int{12, 11, 12}},
		"all alike":                         {crashes: []int{11, 11, 11}},
		"none":                              {},
		"three times the limit is too much": {crashes: []int{31, 32, 32, 11}, dead: []int{1, 2}},
		"no crash is forgiven to anyone":    {config: Config{MaxCrashes: -1}, crashes: []int{1, 1, 1}, dead: []int{0, 1, 2}},
		"no limit, but somebody lowered it": {config: Config{MaxCrashes: math.MaxInt}, crashes: []int{7, 7}},
	} {
		t.Run(name, func(t *testing.T) {
			items := suspects(test.crashes...)
			test.config.Convict(items, func() float64 { return 0.5 })
			var dead []int
			for i, r := range items {
				require.Equal(t, test.crashes[i], r.Crashes)
				if r.Dest == lease.ToDeadLetters {
					dead = append(dead, i)
					require.NotEmpty(t, r.Reason)
					continue
				}
				require.Equal(t, lease.ToLater, r.Dest)
				require.Positive(t, r.Delay)
				require.Empty(t, r.Reason)
			}
			require.Equal(t, test.dead, dead)
		})
	}
}

// Trace, in numbers: a fleet of one process owns 1,000 streams, one of which kills it a moment after it was taken. Each
// process that follows takes what is due, and what is due before the killer dies with it. By the time the killer is in the
// dead letters nothing else is, and then the dying ends.
func TestConvictFindsTheKillerAmongThousand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const streams = 1000
		c := Config{}.WithDefaults()
		killer := rapid.IntRange(0, streams-1).Draw(t, "killer")
		due, crashes := make([]time.Duration, streams), make([]int, streams)
		// Thousands of draws are too many for rapid.
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)).Float64
		now := time.Duration(0)
		for death := 1; ; death++ {
			require.LessOrEqual(t, death, 3*DefaultMaxCrashes+1)
			// What is due is promoted about once a second; who holds nothing but the killer dies at once.
			now = max(now, due[killer]).Truncate(time.Second) + time.Second
			var beyond []lease.Return
			var which []int
			for i := range streams {
				if due[i] > now {
					continue // still waiting: it survives this one
				}
				o := orphan(lease.HeldDeliveries, crashes[i], 15*time.Second)
				r := c.Judge(o, died(time.Second), rnd())
				crashes[i] = r.Crashes
				due[i] = now + 10*time.Second + r.Delay
				if r.Dest == lease.ToDeadLetters {
					beyond, which = append(beyond, r), append(which, i)
				}
			}
			c.Convict(beyond, rnd)
			over := false
			for j, r := range beyond {
				if r.Dest == lease.ToDeadLetters {
					require.Equal(t, killer, which[j], "convicted after %d deaths", death)
					over = true
				}
				due[which[j]] = now + 10*time.Second + r.Delay
			}
			if over {
				return
			}
		}
	})
}
