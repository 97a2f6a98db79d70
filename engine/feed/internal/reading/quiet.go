package reading

import (
	"strconv"

	"github.com/redis/rueidis"
)

// What is read although nothing rang brings nothing, as a rule, and one XREAD may ask for many streams: that costs a server a
// fraction of as many commands, and the client, too. It arms all of them. In a cluster each stream has a slot of its own.

const (
	// mostTogether are the streams of one command, at most.
	mostTogether = 64
	// mostAtOnce are the messages that one command may bring, if that is more than one of a stream: a server does nothing else meanwhile.
	mostAtOnce = 1600
)

// shares reports whether a command may have several streams.
func (r *Reader) shares() bool { return !r.apart.Load() }

// addQuiet adds commands for the streams that share them.
func (b *batch) addQuiet() {
	for rest := b.quiet; len(rest) > 0; {
		n, count := 1, rest[0].count
		for n < min(len(rest), mostTogether) && (n+1)*min(count, rest[n].count) <= mostAtOnce {
			count = min(count, rest[n].count)
			n++
		}
		for i := range rest[:n] {
			rest[i].count = count
		}
		b.addXRead(rest[:n])
		rest = rest[n:]
	}
}

// addXRead adds the command for some streams, each with the same count.
func (b *batch) addXRead(some []read) {
	c := b.client.B().Arbitrary("XREAD", "COUNT", strconv.Itoa(some[0].count), "STREAMS")
	for i := range some {
		c = c.Keys(some[i].h.source.Stream())
	}
	for i := range some {
		c = c.Args(some[i].after)
	}
	b.commands = append(b.commands, c.Build())
	b.reads, b.widths = append(b.reads, some...), append(b.widths, len(some))
}

// takeInAll passes the answer for several streams to their sources. An error may be that of one of them, so each is read alone next; where
// several keys are refused as such, by a proxy, for instance, commands have one from now on.
func (r *Reader) takeInAll(b *batch, some []read, answer rueidis.RedisResult, tally *tally) {
	found, err := parseAll(answer)
	if err != nil && !unreached(err) {
		if !Permanent(err) && !passes(err) {
			r.apart.Store(true)
		}
		tally.reached++
		for _, q := range some {
			r.again(q.h, false)
		}
		return
	}
	for _, q := range some {
		var page []Message
		bytes, bad := 0, err
		if of, ok := found[q.h.source.Stream()]; ok {
			page, bytes, bad = parseStream(of)
		}
		r.takeIn(b, q, page, bytes, bad, tally)
	}
}

// parseAll returns the entries of each stream that has some.
func parseAll(answer rueidis.RedisResult) (found map[string]rueidis.RedisMessage, err error) {
	m, err := answer.ToMessage()
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found = make(map[string]rueidis.RedisMessage)
	err = streamsOf(m, func(name string, entries rueidis.RedisMessage) { found[name] = entries })
	return found, err
}
