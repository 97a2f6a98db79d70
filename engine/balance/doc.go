// Package balance decides which process of a fleet takes streams, and which gives some back, so that each holds its share: the same
// for every unit of weight. It decides and does nothing: it starts nothing, reads no clock, knows no Redis, and calls nobody.
//
// Programs need a [Config] at most, for engine.WithBalance: what is on, and how many streams a second may move. Balancing is on by default, and
// [docs/balance.md] says what it does to a fleet, and what to set when. All else here is called by the engine, and described for those who
// wonder why a stream moved:
//
//	e, err := engine.Open(opt, "chat", engine.WithBalance(balance.Config{Budget: 50})) // as slowly as handlers like it
//
// The only error is that of [Config.Validate], which matches [api.ErrInvalidConfig]. A [Shedder], a [Meter] and a [Newcomer] belong to one
// goroutine; everything else is a value.
//
// There is no coordinator. Each process decides for itself, from what its own beats answer about each partition ([Part]): how many
// streams there are, the sum of the weights of those that share them, and how little the least filled of them holds. From that
// follows its [Share]:
//
//	F    = Σ streams / weights, over partitions    streams for a unit of weight
//	fair = F · my weight
//	even : the least filled process has 0.9 of its share, or all of it but a fraction of a stream
//
// # The gate
//
// [Share.Room] is how many more streams a process may read:
//
//	even      ceil(1.05 · fair + 1) - held
//	not even  ceil(fair) - held
//
// A process without room does not read. So nobody is given streams: those that have too few are the only ones that ask. This moves
// nothing, and it is most of the gain: in a deploy every stream moves anyway, and now it moves to the right place.
//
// Four things go with it. Shares are estimates, so a process without room still reads what nobody has read for half a second
// ([Share.Leftover]). The first process of a fleet that starts sees nobody else, so everybody takes little in the first second ([Opening],
// [Newcomer]). A process that leaves takes its weight out first, and gives the others a beat to see it ([Share.LeadOf]). And one that keeps
// crashing gets its weight back slowly ([Ramp]), since the emptiest process attracts what is new.
//
// # Shedding
//
// The gate decides where streams go that move anyway. A process that joins gets new ones only. So a [Shedder] decides when some of
// those that are held are handed back, as in a drain, by the whole fleet at most [Config].Budget a second:
//
//	too much   held > 1.1 · fair + 1, or somebody has less than half a share and held > fair
//	start      when it has been too much for Patience, and nobody has joined or left for Quiet
//	stop       at fair, or if the fleet is even at 1.02 · fair + 1
//
// A process that holds 1.5 times its share does not wait for Quiet, and one that holds 1.1 times its share waits ten minutes at most. A
// [Meter] turns the pace into numbers of streams, and [Spread] divides them among partitions. All figures are constants, each with
// its reason.
//
// # Why it does not swing
//
// A stream counts wherever it is: held, or on its way. So no share changes because streams move. A process that gives stops at its
// share, one that takes stops at its own, and what the gate lets in is never so much that it has to be given back. What is given is
// what others lack, so it comes to an end, at about one move a stream. It starts again when the fleet changes, or when many streams come or
// end in one place; moves cause neither.
//
// That presumes that somebody takes. So a process that cannot take more leaves the sums ([Full]): for its sake the others would give
// streams, and get them back, without end. And a Shedder that sees entries wait stops, and tries again later with fewer.
//
// # What it does not do
//
// It does not know how much work a stream is. Shares are numbers of streams, and weights are the user's. It moves no stream to a process of
// somebody's choice, and pins none. It is not exact: what is known is a second old, and differences of a tenth stay. Where a
// process holds fewer streams than there are partitions it is coarse, since each partition is read by itself. And it guarantees
// nothing about ownership: each move is an ordinary hand-back.
//
// [docs/balance.md]: https://github.com/streamlease/streamlease/blob/main/docs/balance.md
package balance
