package memory

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// both are a real server and one in memory.
type both struct{ real, memory wire }

func newBoth(t testing.TB, version string) both {
	t.Helper()
	r, err := redis()
	require.NoError(t, err)
	conn, err := net.Dial("tcp", r.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	s := New()
	t.Cleanup(s.Close)
	b := both{newWire(conn), connect(t, s)}
	for _, w := range []wire{b.real, b.memory} {
		w.call(t, "HELLO", version)
		w.call(t, "FLUSHALL")
		w.call(t, "CONFIG", "SET", "notify-keyspace-events", "")
	}
	return b
}

// same runs a command on both and compares what they say.
func (b both) same(t testing.TB, args ...string) {
	t.Helper()
	require.Equal(t, b.real.call(t, args...), b.memory.call(t, args...), "%q", args)
}

// TestRepliesAreThoseOfRedis runs the same commands on both, in both versions of the protocol. A line is a command; quotes hold
// what has spaces. Each name says what miniredis or gopher-lua did otherwise, or what is of this package.
func TestRepliesAreThoseOfRedis(t *testing.T) {
	for name, script := range conversations {
		for _, version := range []string{"2", "3"} {
			t.Run(name+"/"+version, func(t *testing.T) {
				b := newBoth(t, version)
				for line := range strings.Lines(script) {
					if args := words(line); len(args) > 0 {
						b.same(t, args...)
					}
				}
			})
		}
	}
}

// words splits a line at spaces, but for what is in single quotes.
func words(line string) (args []string) {
	for i, part := range strings.Split(strings.TrimSpace(line), "'") {
		if i%2 == 1 {
			args = append(args, part)
		} else {
			args = append(args, strings.Fields(part)...)
		}
	}
	return args
}

var conversations = map[string]string{
	"commands that are unknown or wrong": `
		NONSENSE a 'b c'
		NONSENSE
		GET
		PING a b
		PING
		PING hello
		ECHO hello
		XNONSENSE a
		ZADD
		CLIENT SETINFO LIB-NAME x
		CLIENT NONSENSE
		CLIENT UNBLOCK x
		CLIENT UNBLOCK 999999
		CLIENT SETNAME 'a b'
		CLIENT SETNAME me
		CLIENT GETNAME
		HELLO 4
		HELLO x
		HELLO 2 SETNAME
		SELECT 0
		SELECT x
		AUTH default nothing
		CLUSTER INFO
		ROLE
		SCRIPT NONSENSE
		SCRIPT EXISTS abc
		EVALSHA 0000000000000000000000000000000000000000 0
		EVAL 'return 1' x
		EVAL 'return 1' 1
		EVAL 'return 1' -1`,
	"transactions": `
		EXEC
		DISCARD
		MULTI
		MULTI
		SET a 1
		GET a
		EVAL 'return redis.call("INCR", KEYS[1])' 1 a
		XREAD BLOCK 0 STREAMS s $
		EXEC
		MULTI
		NONSENSE
		GET a
		EXEC
		MULTI
		GET a
		DISCARD
		MULTI
		LPUSH a x
		GET a
		EXEC`,
	"deadlines": `
		SET k v EX 0
		SET k v PX -5
		SET k v EX x
		SETEX k 0 v
		SETEX k 100 v
		TTL k
		PSETEX k 1600 v
		TTL k
		GETEX k EX 0
		GETEX k EX 100
		TTL k
		GETEX k PERSIST
		TTL k
		PTTL none
		EXPIRE k 100 NX
		EXPIRE k 50 GT
		EXPIRE k 200 XX
		TTL k
		SET k w KEEPTTL
		TTL k
		PEXPIREAT k 1000
		GET k
		SET k v PXAT 1000
		GET k
		SET k v EXAT 9000000000
		PEXPIRETIME k
		EXPIRETIME k
		SET k v
		PTTL k
		SET k v EX 100
		RENAME k l
		TTL l
		COPY l m
		TTL m
		PERSIST m
		TTL m
		EXPIRE none 10
		SET k v NX GET`,
	"streams and sorted sets under other names": `
		XADD s 1-1 a b
		ZADD z 1 a 2 b
		RENAME s t
		XRANGE t - +
		XLEN s
		COPY z y
		ZADD y 3 c
		ZCARD z
		ZCARD y
		RENAME y t
		TYPE t
		ZCARD t
		XLEN t
		DEL t
		ZADD t 1 x
		ZREM t x
		EXISTS t
		XADD t 1-1 a b
		FLUSHALL
		XLEN t
		ZCARD z`,
	"sorted sets": `
		ZADD z 1 a 1 b inf c -inf d 0.1 e 3e100 f
		ZADD z NX XX 1 a
		ZADD z GT LT 1 a
		ZADD z x a
		ZADD z nan a
		ZADD z 1
		ZADD z INCR 1 a 2 b
		ZADD z INCR -inf c
		ZADD z CH 5 a 1 b
		ZADD z XX CH 7 a 1 g
		ZADD z GT 6 a
		ZADD z LT INCR 1 a
		ZADD none XX 1 a
		ZADD none XX INCR 1 a
		ZINCRBY z 0.2 e
		ZSCORE z e
		ZSCORE z c
		ZSCORE z none
		ZMSCORE z a none f
		ZCOUNT z -inf +inf
		ZCOUNT z (-inf (inf
		ZCOUNT z (1 3
		ZCOUNT z a b
		ZRANGE z 0 -1 WITHSCORES
		ZRANGE z -2 100
		ZRANGE z 5 1
		ZRANGE z 0 1 REV
		ZRANGE z (1 +inf BYSCORE LIMIT 0 2 WITHSCORES
		ZRANGE z +inf (1 BYSCORE REV LIMIT 1 1
		ZRANGE z 0 1 LIMIT 0 1
		ZRANGE z 0 x
		ZRANGEBYSCORE z -inf 1 LIMIT 1 -1
		ZRANGEBYSCORE z -inf +inf LIMIT -1 2
		ZREVRANGEBYSCORE z 7 0 WITHSCORES
		ZREVRANGE z 0 1 WITHSCORES
		ZRANGEBYSCORE z 0 1 REV
		ZRANK z a
		ZREVRANK z a
		ZRANK z none
		ZREMRANGEBYSCORE z 3e100 +inf
		ZREMRANGEBYRANK z 0 0
		ZPOPMIN z
		ZPOPMAX z 2
		ZPOPMIN none
		ZADD l 0 a 0 b 0 c 0 d
		ZRANGEBYLEX l [b +
		ZRANGEBYLEX l - (c
		ZREVRANGEBYLEX l + [b LIMIT 1 1
		ZLEXCOUNT l (a [c
		ZRANGEBYLEX l a b
		ZSCAN l 0 MATCH a*
		ZREMRANGEBYLEX l - +
		EXISTS l
		SET text x
		ZADD text 1 a
		ZCARD text
		GET z`,
	"other types, in both versions": `
		HSET h a 1 b 2
		HGETALL h
		HMGET h a none
		HDEL h a b
		EXISTS h
		SADD s a
		SMEMBERS s
		RPUSH l a b c
		LRANGE l 0 -1
		GET none
		INCR n
		INCRBY n 5
		MGET n none
		SET n x
		INCR n
		BLPOP l 0
		BRPOP none l 0
		BLPOP l x
		BLPOP l -1
		BLPOP h
		BLMOVE l m LEFT RIGHT 0
		LRANGE m 0 -1
		ZADD z 1 a
		BZPOPMIN z 0
		BLPOP n 0`,
	"expired events": `
		CONFIG SET notify-keyspace-events Kxe
		CONFIG GET notify-keyspace-events
		CONFIG SET notify-keyspace-events KEA
		CONFIG GET notify-keyspace-events
		CONFIG SET notify-keyspace-events q
		CONFIG NONSENSE
		CONFIG GET`,
	"subscriptions": `
		SUBSCRIBE a
		PSUBSCRIBE a*
		UNSUBSCRIBE none
		UNSUBSCRIBE a
		PING
		PUNSUBSCRIBE a*
		UNSUBSCRIBE
		SUBSCRIBE b
		GET a`,
	"values of scripts": `
		EVAL 'return {1, 2.9, "a", true, false, nil, 3}' 0
		EVAL 'return {}' 0
		EVAL 'return nil' 0
		EVAL 'return' 0
		EVAL 'return {ok="fine"}' 0
		EVAL 'return {err="My failure"}' 0
		EVAL 'return {err="FAIL"}' 0
		EVAL 'return redis.error_reply("FAIL this")' 0
		EVAL 'return redis.error_reply("fail")' 0
		EVAL 'return redis.status_reply("fine")' 0
		EVAL 'return redis.call("SET", KEYS[1], ARGV[1])' 1 k v
		EVAL 'return redis.call("GET", "none")' 0
		EVAL 'return redis.call("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">")' 0
		EVAL 'return redis.pcall("XREAD", "BLOCK", 0, "STREAMS", "s", "$")' 0
		EVAL 'return redis.call("HGETALL", "none")' 0
		EVAL 'redis.call("SET", "n", 1795830713523001) return redis.call("GET", "n")' 0
		EVAL 'redis.call("SET", "n", 0.1) return redis.call("GET", "n")' 0
		EVAL 'redis.call("ZADD", "z", 0.5, "m") return redis.call("ZRANGE", "z", 0, -1, "WITHSCORES")' 0
		EVAL 'return tostring(tonumber("inf"))' 0
		EVAL 'return tostring(tonumber("-inf")) .. tostring(tonumber("+inf")) .. tostring(tonumber("1e3"))' 0
		EVAL 'return tostring(tonumber("x"))' 0
		EVAL 'return tostring(1e15) .. tostring(12345) .. tostring(0.1) .. tostring(-2^40)' 0
		EVAL 'return tostring(tonumber("0x10"))' 0
		EVAL 'return string.format("%.0f %d %s %5.1f", 1795830713523001, 5, "a", 2.25)' 0
		EVAL 'return redis.sha1hex("a")' 0
		EVAL 'return {unpack(ARGV)}' 0 a b c
		EVAL 'local t = {} for i = 1, 7000 do t[i] = i end return select("#", unpack(t))' 0
		EVAL 'return cmsgpack.unpack(cmsgpack.pack({1, "a", 300, -5, 1.5, true}))' 0
		EVAL 'return cmsgpack.pack({a = 1})' 0
		EVAL 'return cjson.encode({a = "b"})' 0
		EVAL 'return redis.pcall("GET")["err"]' 0
		EVAL 'return redis.pcall("NONSENSE")["err"]' 0
		EVAL 'return type(redis.pcall("INCR", "k"))' 0
		EVAL 'local ok, e = pcall(redis.call, "INCR", "k") return {tostring(ok), type(e), e.err}' 0`,
	"assignments to several names": `
		EVAL 'local a, b = 1, 2 a, b = b, a return {a, b}' 0
		EVAL 'local a, b = 1, 2 a, b = "x", a return {a, b}' 0
		EVAL 'local a, b, c = 1, 2, 3 a, b, c = c, a, b return {a, b, c}' 0
		EVAL 'local t, n = {}, 0 t[#t + 1], t[#t + 2], n = "a", "b", n + 1 return {t[1], t[2], n}' 0
		EVAL 'local a, b, c = 1, 2, 3 local f = function() return b, a end a, b = f() return {a, b, c}' 0
		EVAL 'local a, b = 1, 2 local f = function() a, b = b, a, 3 end f() return {a, b}' 0
		EVAL 'local a, b, c = 1, 2, 3 for i = 1, 2 do a, b, c = b, c end return {a or "nil", b or "nil", c or "nil"}' 0
		EVAL 'local f = function(...) local a, b = 1, 2 b, a = ... return a, b end return {f(7, 8)}' 0`,
	"errors of scripts": `
		SET k v
		EVAL 'return redis.call("INCR", "k")' 0
		EVAL 'return redis.call("NONSENSE")' 0
		EVAL 'return redis.call("SUBSCRIBE", "a")' 0
		EVAL 'return redis.call("MULTI")' 0
		EVAL 'return redis.call()' 0
		EVAL 'return redis.call({})' 0
		EVAL 'error("broken")' 0
		EVAL 'error({err="MY failure"})' 0
		EVAL 'redis.call("INCR", "k") return 1' 0
		EVAL 'return nonexistent' 0
		EVAL 'redis.setresp(7)' 0
		EVAL 'local t = {} for i = 1, 9000 do t[i] = i end return select("#", unpack(t))' 0`,
}

// TestSortedSetsAreThoseOfRedis runs random commands on both.
func TestSortedSetsAreThoseOfRedis(t *testing.T) {
	b := newBoth(t, "2")
	members := rapid.SampledFrom([]string{"a", "b", "c", "d", "aa", ""})
	scores := rapid.SampledFrom([]string{"0", "1", "-1", "1.5", "inf", "-inf", "3"})
	ends := rapid.SampledFrom([]string{"0", "(1", "-inf", "+inf", "(1.5", "(-inf", "3"})
	ranks := rapid.SampledFrom([]string{"0", "1", "-1", "-2", "5", "-9"})
	options := rapid.SampledFrom([][]string{{}, {"NX"}, {"XX"}, {"GT"}, {"LT", "CH"}, {"CH"}, {"XX", "GT"}})
	rapid.Check(t, func(rt *rapid.T) {
		for _, w := range []wire{b.real, b.memory} {
			w.call(t, "DEL", "z")
		}
		for range rapid.IntRange(1, 40).Draw(rt, "commands") {
			var args []string
			switch rapid.IntRange(0, 7).Draw(rt, "command") {
			case 0, 1, 2:
				args = slices.Concat([]string{"ZADD", "z"}, options.Draw(rt, "options"), []string{scores.Draw(rt, "score"), members.Draw(rt, "member")})
			case 3:
				args = []string{"ZREM", "z", members.Draw(rt, "member")}
			case 4:
				args = []string{"ZRANGEBYSCORE", "z", ends.Draw(rt, "low"), ends.Draw(rt, "high"), "WITHSCORES"}
			case 5:
				args = []string{"ZRANGE", "z", ranks.Draw(rt, "start"), ranks.Draw(rt, "stop"), "REV"}
			case 6:
				args = []string{"ZCOUNT", "z", ends.Draw(rt, "low"), ends.Draw(rt, "high")}
			case 7:
				args = []string{"ZREMRANGEBYSCORE", "z", ends.Draw(rt, "low"), ends.Draw(rt, "high")}
			}
			b.same(t, args...)
			b.same(t, "ZRANGE", "z", "0", "-1", "WITHSCORES")
		}
	})
}
