package model

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/console"
	"github.com/streamlease/streamlease/test/servers"
)

// ttls are the TTLs that a process of the fleet is configured with.
type ttls struct {
	session, lease time.Duration
	reach          time.Duration // what the session TTL may become in a window of maintenance
}

// usual are the TTLs of a fleet in which all processes are configured alike; variants are those of one that is being changed.
var (
	usual    = ttls{10 * time.Second, 30 * time.Second, 10 * time.Second}
	variants = []ttls{
		usual,
		{time.Second, 3 * time.Second, time.Second},
		{3 * time.Second, 3 * time.Second, 3 * time.Second},
		{2 * time.Second, 2 * time.Second, 2 * time.Second},
		{2 * time.Second, 30 * time.Second, 2 * time.Second},
		{5 * time.Second, 5 * time.Second, 20 * time.Second},
		{30 * time.Second, 30 * time.Second, 30 * time.Second},
		{30 * time.Second, 60 * time.Second, 45 * time.Second},
	}
)

func margin(ttl time.Duration) time.Duration { return min(ttl/10, time.Second) }

// gap returns twice the time between beats.
func (x ttls) gap() time.Duration { return min(2*time.Second, 2*x.session/5) }

// harness is the server, its clock, and what was on it when it was last saved.
type harness struct {
	console.Console

	ctx     context.Context
	server  *servers.Server
	layout  *cluster.Layout
	keys    *cluster.Keys
	stores  map[ttls]*lease.Store
	store   *lease.Store // for calls to which TTLs do not matter
	balance *lease.Balance
	scan    *scan.Store
	base    time.Time
	ahead   time.Duration // of the real time
	behind  time.Duration // how far the server's clock was set back

	saved struct {
		any    bool
		keys   map[string]string // dumps
		left   map[string]int64  // PTTL, ms
		at     time.Duration     // on the virtual clock
		moved  time.Duration     // how far deadlines had been moved by then
		behind time.Duration
		ttl    time.Duration // the greatest session TTL on record
	}
	successors int
}

// newHarness starts a server that restarts from its last SAVE. Its high hz makes blocking reads end on time.
func newHarness(t testing.TB) *harness {
	server := servers.New(t, servers.Args("--dbfilename", "model.rdb", "--hz", "500"))
	layout, err := cluster.NewLayout("model", 1)
	require.NoError(t, err)
	h := &harness{
		Console: console.Console{T: t}, ctx: context.Background(), server: server, layout: layout, keys: layout.Keys(0), base: time.Now(),
	}
	h.connect()
	return h
}

// connect makes a client with its own connections, and the stores on it.
func (h *harness) connect() {
	h.Client = h.server.Client(h.T)
	h.stores = make(map[ttls]*lease.Store)
	h.connectBalance()
	for _, x := range variants {
		h.stores[x] = lease.NewStore(h.layout, lease.Settings{
			LeaseTTL: x.lease, SessionTTL: x.session, Reach: x.reach, Gap: x.gap(), Settle: true, Timeout: time.Minute, Balance: h.balance,
		}, h.Client, h.Client, nil)
	}
	h.store = h.stores[usual]
	h.connectScan()
}

// now returns the virtual time.
func (h *harness) now() time.Duration { return time.Since(h.base) + h.ahead }

// shift moves all deadlines on the server towards the present.
// KEYS 1 sessions 2 later 3… leases; ARGV 1 ms 2 name of the server's predecessor, empty to leave the records of servers alone
const shift = `
local by = tonumber(ARGV[1])
local flat = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #flat, 2 do
	local member, score = flat[i], tonumber(flat[i + 1])
	if score > 0 then
		score = math.max(1, score - by)
	elseif score < -1 and score > -math.huge and member ~= '!ttl' then
		score = math.min(-1, score + by)
	end
	if ARGV[2] ~= '' and string.sub(member, 1, 5) == '!run:' then
		redis.call('ZREM', KEYS[1], member)
		member = '!run:' .. ARGV[2]
	end
	redis.call('ZADD', KEYS[1], score == -math.huge and '-inf' or score, member)
end
flat = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
for i = 1, #flat, 2 do
	redis.call('ZADD', KEYS[2], tonumber(flat[i + 1]) - by, flat[i])
end
for i = 3, #KEYS do
	local left = redis.call('PTTL', KEYS[i])
	if left >= 0 then
		redis.call('PEXPIRE', KEYS[i], left - by)
	end
end`

// advance lets time pass.
func (h *harness) advance(d time.Duration) {
	d = d.Truncate(time.Millisecond)
	h.ahead += d
	h.shift(d, "", true)
}

// stepBack sets the server's clock back: all deadlines are farther away.
func (h *harness) stepBack(d time.Duration) {
	h.behind += d
	h.shift(-d, "", true)
}

// lags reports whether what was saved is older than a replica that may be promoted, by the session TTL that it knows.
func (h *harness) lags() bool { return h.now()-h.saved.at >= h.saved.ttl }

func (h *harness) shift(d time.Duration, predecessor string, leases bool) {
	args := []string{"EVAL", shift, "", h.keys.Sessions, h.keys.Later}
	if leases {
		for i := range streams {
			args = append(args, h.keys.Lease(streamName(i)))
		}
	}
	args[2] = strconv.Itoa(len(args) - 3)
	h.Do(append(args, strconv.FormatInt(d.Milliseconds(), 10), predecessor)...)
}

// save keeps everything that is on the server.
func (h *harness) save() {
	h.saved.any, h.saved.at, h.saved.moved, h.saved.behind = true, h.now(), h.ahead-h.behind, h.behind
	ttl, err := h.Try("ZSCORE", h.keys.Sessions, "!ttl").AsFloat64()
	require.NoError(h.T, err)
	h.saved.ttl = time.Duration(-ttl) * time.Millisecond
	h.saved.keys, h.saved.left = make(map[string]string), make(map[string]int64)
	keys, err := h.Try("KEYS", "*").AsStrSlice()
	require.NoError(h.T, err)
	for _, key := range keys {
		left, err := h.Try("PTTL", key).AsInt64()
		require.NoError(h.T, err)
		dump, err := h.Try("DUMP", key).ToString()
		if rueidis.IsRedisNil(err) {
			continue // it has just expired
		}
		require.NoError(h.T, err)
		h.saved.keys[key], h.saved.left[key] = dump, left
	}
}

// failOver lets another server take over that has only what was saved.
func (h *harness) failOver() {
	h.Do("FLUSHALL")
	moved := h.ahead - h.behind - h.saved.moved
	passed := (h.now() - h.saved.at - (h.behind - h.saved.behind)).Milliseconds()
	for key, dump := range h.saved.keys {
		left := h.saved.left[key]
		if left >= 0 {
			if left -= passed; left <= 0 {
				continue
			}
		}
		h.Do("RESTORE", key, strconv.FormatInt(max(left, 0), 10), dump)
	}
	h.successors++
	h.shift(moved, fmt.Sprintf("predecessor%d", h.successors), false)
}

// restart kills the server and starts it again with only what was saved.
func (h *harness) restart() {
	require.NoError(h.T, h.server.Kill())
	require.NoError(h.T, h.server.Restart(h.ctx, false))
	h.Client.Close() // its connections end one by one, each with an error of a call
	h.connect()
	h.shift(h.ahead-h.behind-h.saved.moved, "", true)
}

// where returns the places of each announcement, by its number.
// KEYS 1 input 2 later 3 dead letters; ARGV 1 group
const where = `
local found, pending = {}, {}
local function note(fields, place)
	for i = 1, #fields, 2 do
		if fields[i] == 'number' then
			found[#found + 1] = fields[i + 1] .. ' ' .. place
		end
	end
end
local last = '0-0'
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if not groups.err and groups[1] then
	for i = 1, #groups[1], 2 do
		if groups[1][i] == 'last-delivered-id' then
			last = groups[1][i + 1]
		end
	end
	for _, p in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 10000)) do
		pending[p[1]] = p[2]
	end
end
local waiting = {}
for _, e in ipairs(redis.call('XRANGE', KEYS[1], '(' .. last, '+')) do
	waiting[e[1]] = true
	note(e[2], 'undelivered')
end
for _, e in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do
	if pending[e[1]] then
		note(e[2], 'pending for ' .. pending[e[1]])
	elseif not waiting[e[1]] then
		note(e[2], 'nowhere: delivered and not pending')
	end
end
for _, m in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
	note(cmsgpack.unpack(m)[2], 'later')
end
for _, e in ipairs(redis.call('XRANGE', KEYS[3], '-', '+')) do
	note(e[2], 'dead letters')
end
return found`

func (h *harness) where() map[int][]string {
	found, err := h.Try("EVAL", where, "3", h.keys.Input, h.keys.Later, h.keys.DeadLetters, h.layout.Group()).AsStrSlice()
	require.NoError(h.T, err)
	out := make(map[int][]string)
	for _, line := range found {
		number, place, _ := strings.Cut(line, " ")
		n, err := strconv.Atoi(number)
		require.NoError(h.T, err)
		out[n] = append(out[n], place)
	}
	return out
}

// announce adds an entry as producers do, with a number that identifies it.
func (h *harness) announce(stream string, number int) {
	text, err := lease.EncodeAnnouncement(stream, nil)
	require.NoError(h.T, err)
	h.Do("XADD", h.keys.Input, "*", lease.FieldAnnouncement, text, "number", strconv.Itoa(number))
}
