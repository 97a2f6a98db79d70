package feed

import "time"

const ticksPerSecond = 100

// clock tells the time since the feed was made.
type clock struct{ epoch time.Time }

func (c clock) now() time.Duration { return time.Since(c.epoch) }

// ticks is the time since the epoch in hundredths of a second, which go round after 497 days; differences stay right.
func (c clock) ticks() uint32 { return uint32(c.now() / (time.Second / ticksPerSecond)) }
