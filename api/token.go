package api

import "strconv"

// Token is a fencing token: a number minted each time a stream is acquired,
// greater than every token minted for that stream before.
//
// Store it beside what the owner of a stream writes, before that owner reads
// anything there, and refuse every write with another one: then a process that
// was suspended while it owned the stream can do no harm when it wakes up. That
// comparison involves no clock, so it protects where [Lease.Remaining] cannot.
// The example of [Lease] shows the order, docs/fencing.md has it for Redis and
// SQL.
//
// It is a number everywhere: in JSON, in logs, in SQL, and as the text that
// String returns.
//
// Zero is never minted and means that there is no token.
type Token uint64

// MaxToken is the greatest token that is ever minted. Integers up to 2^53-1
// are exact in a float64, so tokens compare as numbers in Go, Lua, SQL, JSON
// and JavaScript alike.
const MaxToken Token = 1<<53 - 1

// String returns the token in decimal digits, as scripts take it and as it
// stands in Redis. As strings, tokens do not compare.
func (t Token) String() string { return strconv.FormatUint(uint64(t), 10) }
