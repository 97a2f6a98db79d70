package stream

import (
	"fmt"
	"strconv"
	"testing"
	"time"
)

// BenchmarkCommands runs commands on a stream with so many entries, all of them pending. Costs hardly grow with it.
func BenchmarkCommands(b *testing.B) {
	for _, size := range []int{1000, 100_000} {
		keys, now := keyspace{}, time.UnixMilli(1000)
		do := func(args ...string) Reply {
			reply, _ := Do(keys, now, args)
			return reply
		}
		for i := range size {
			do("XADD", "s", strconv.Itoa(i+1), "f", "v")
		}
		do("XGROUP", "CREATE", "s", "g", "0")
		do("XREADGROUP", "GROUP", "g", "alice", "STREAMS", "s", ">")
		id := func(i int) string { return strconv.Itoa(1 + i*7919%size) }
		for _, c := range []struct {
			name string
			run  func(i int)
		}{
			{"add and delete", func(i int) {
				do("XADD", "s", strconv.Itoa(size+1+i), "f", "v")
				do("XDEL", "s", strconv.Itoa(size+1+i))
			}},
			{"range", func(i int) { do("XRANGE", "s", id(i), "+", "COUNT", "1") }},
			{"history", func(i int) { do("XREADGROUP", "GROUP", "g", "alice", "COUNT", "1", "STREAMS", "s", id(i)) }},
			{"read and acknowledge", func(i int) {
				do("XGROUP", "SETID", "s", "g", id(i))
				do("XREADGROUP", "GROUP", "g", "bob", "COUNT", "1", "STREAMS", "s", ">")
				do("XACK", "s", "g", strconv.Itoa(2+i*7919%size))
				do("XCLAIM", "s", "g", "alice", "0", id(i), "FORCE", "JUSTID")
			}},
			{"pending", func(i int) { do("XPENDING", "s", "g", id(i), "+", "1") }},
			{"info", func(int) { do("XINFO", "GROUPS", "s") }},
		} {
			b.Run(fmt.Sprintf("%s/%d", c.name, size), func(b *testing.B) {
				i := 0
				for b.Loop() {
					c.run(i)
					i++
				}
			})
		}
	}
}
