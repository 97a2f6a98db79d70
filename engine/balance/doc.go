// Package balance decides which process of a fleet takes streams, and which gives some back, so that each holds its share: the same
// for every unit of weight. It decides and does nothing: it starts nothing, reads no clock, knows no Redis, and calls nobody.
//
// There is no coordinator. Each process decides for itself, from what its own beats answer about each partition ([Part]): how many
// streams there are, the sum of the weights of those that share them, and how little the least filled of them holds. From that
// follows its [Share]:
//
//	F    = Σ streams / weights, over partitions       streams for a unit of weight
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
// nothing, and it is most of the gain, since in a deploy every stream moves anyway, and the gate has it move to the right place. Because
// shares are estimates, a process without room reads all the same what nobody has read for half a second ([Share.Leftover]). Because whoever of a
// fleet starts first sees nobody else, a process takes little in its first second ([Opening], [Newcomer]). Who wants to leave
// takes its weight out first, and gives the others a beat to see it ([Share.LeadOf]).
//
// # Shedding
//
// The gate evens out what comes, and leaves what is held where it is: a process that joins gets new streams only. A [Shedder] decides when
// some are given back, by the way that a drain takes, at most [Config].Budget a second in the whole fleet:
//
//	too much   held > 1.1 · fair + 1, or somebody is idle and held > fair
//	start      when it has been too much for Patience, and nobody has joined or left for Quiet
//	stop       at fair, or if the fleet is even at 1.02 · fair + 1
//
// Quiet does not matter to who holds 1.5 times its share, nor after ten minutes to who holds 1.1 times its share. A [Meter] turns the pace into numbers
// of streams, [Spread] chooses among partitions.
//
// # Why it does not swing
//
// A stream counts wherever it is: held, or on its way. So nobody's share changes because streams move. Who gives stops at its
// share, who takes stops at its own, and what the gate lets in when it is generous is less than what counts as too much. Nobody in between
// gives or takes. What is given is what others lack, so it ends, at most one move a stream. Two things start it: a change of the fleet, and
// many streams that come or end in one place; neither is caused by a move.
//
// That presumes that there is somebody to take. So a process that cannot take more takes its weight out of the sums ([Full]); the others
// would give for its sake, and get everything back. And a Shedder that sees entries wait, although it is giving, stops and tries
// again later, after longer and longer times.
//
// # What it does not do
//
// It does not know how much work a stream is. Shares are numbers of streams, and weights are what the user says. It does not send a stream to a process of
// one's choice, keeps none where it is, and does not undo a move. It is not exact: what is known is a second old,
// and differences of a tenth stay. Nor does it guarantee anything about ownership: each move is an ordinary hand-back.
package balance
