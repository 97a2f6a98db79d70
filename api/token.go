package api

// Token is a fencing token: a number minted each time a stream is acquired,
// greater than every token minted for that stream before.
//
// Write it beside what the owner of a stream writes, and refuse a write whose
// token is smaller than the one already there: then a process that was
// suspended while it owned the stream can do no harm when it wakes up. No
// clock takes part in that comparison, which is why it holds where
// [Lease.Remaining] cannot.
//
// Zero is never minted and means that there is no token.
type Token uint64

// MaxToken is the greatest token that is ever minted. Integers up to 2^53-1
// are exact in a float64, so tokens compare as numbers in Go, Lua, SQL, JSON
// and JavaScript alike.
const MaxToken Token = 1<<53 - 1
