package readme

import (
	"context"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/servers"
)

// store is a number that the owners of a stream change, one after the other, under a fence.
type store interface {
	// begin is what a new owner does first. It returns false if another one was there.
	begin(token api.Token) (value int, ok bool)
	// write stores a value. It returns false if another owner was there.
	write(token api.Token, value int) bool
	value() int
}

// step is one of the two steps of an owner.
type step struct {
	owner int
	write bool
}

// schedules returns every order in which n owners may take their steps: each writes after it has begun, and begins after the one
// before has begun.
func schedules(n int) (all [][]step) {
	var extend func(done []step, begun int, written map[int]bool)
	extend = func(done []step, begun int, written map[int]bool) {
		if len(done) == 2*n {
			all = append(all, append([]step(nil), done...))
			return
		}
		if begun < n {
			extend(append(done, step{owner: begun}), begun+1, written)
		}
		for owner := range begun {
			if !written[owner] {
				written[owner] = true
				extend(append(done, step{owner: owner, write: true}), begun, written)
				delete(written, owner)
			}
		}
	}
	extend(nil, 0, make(map[int]bool))
	return all
}

// lost runs every schedule of three owners, each of which adds another power of ten to what it has read, and returns those after
// which a write that was confirmed is missing.
func lost(t *testing.T, open func(name string) store) (lost []string) {
	t.Helper()
	all := schedules(3)
	require.Len(t, all, 15)
	for i, schedule := range all {
		s := open(fmt.Sprint("s-", i))
		var read [3]int
		sum := 0
		for _, step := range schedule {
			token := api.Token(1<<52 + step.owner) // too great for 32 bits
			if !step.write {
				var ok bool
				read[step.owner], ok = s.begin(token)
				require.True(t, ok)
				continue
			}
			adds := int(math.Pow10(step.owner))
			if s.write(token, read[step.owner]+adds) {
				sum += adds
			}
		}
		if s.value() != sum {
			lost = append(lost, fmt.Sprintf("%v: confirmed %d, kept %d", schedule, sum, s.value()))
		}
		_, ok := s.begin(7)
		require.False(t, ok, "an owner that was slow to begin")
		require.False(t, s.write(7, 0))
	}
	return lost
}

// redisStore is a store in Redis.
type redisStore struct {
	t                  *testing.T
	client             rueidis.Client
	key                string
	beginLua, writeLua *rueidis.Lua
	field              string // that holds the value
}

func (s *redisStore) run(script *rueidis.Lua, args ...string) (rueidis.RedisMessage, bool) {
	m, err := script.Exec(context.Background(), s.client, []string{s.key}, args).ToMessage()
	if err != nil && (strings.Contains(err.Error(), "FENCED") || rueidis.IsRedisNil(err)) {
		return m, rueidis.IsRedisNil(err)
	}
	require.NoError(s.t, err)
	return m, true
}

func (s *redisStore) begin(token api.Token) (int, bool) {
	m, ok := s.run(s.beginLua, token.String())
	text, _ := m.ToString()
	n, _ := strconv.Atoi(text)
	return n, ok
}

func (s *redisStore) write(token api.Token, value int) bool {
	_, ok := s.run(s.writeLua, token.String(), strconv.Itoa(value))
	return ok
}

func (s *redisStore) value() int {
	n, err := s.client.Do(context.Background(), s.client.B().Hget().Key(s.key).Field(s.field).Build()).AsInt64()
	require.NoError(s.t, err)
	return int(n)
}

// What the page says keeps every write that was confirmed, in Redis.
func TestFencingInRedisLosesNoUpdate(t *testing.T) {
	client := servers.New(t).Client(t)
	begin := rueidis.NewLuaScript(block(t, "docs/fencing.md", "lua", "begin.lua"))
	write := rueidis.NewLuaScript(block(t, "docs/fencing.md", "lua", "write.lua"))
	open := func(name string) store {
		return &redisStore{t: t, client: client, key: "{" + name + "}:account", beginLua: begin, writeLua: write, field: "value"}
	}
	require.Empty(t, lost(t, open))

	// A failover has forgotten the fence, or an earlier one is there again: the owner has to begin again, and can.
	s := open("forgotten")
	_, ok := s.begin(8)
	require.True(t, ok)
	require.NoError(t, client.Do(context.Background(), client.B().Del().Key("{forgotten}:account").Build()).Error())
	require.False(t, s.write(8, 1))
	_, ok = s.begin(8)
	require.True(t, ok)
	require.True(t, s.write(8, 1))
	require.True(t, s.write(8, 1), "an answer was lost")
}

// Trace: the recipe that this page had before. The fence was raised by the first write, so the late write of the owner before was
// taken after the new owner had read, and was overwritten. This shows that the test above can fail.
func TestFencingWritesAloneLosesUpdates(t *testing.T) {
	client := servers.New(t).Client(t)
	begin := rueidis.NewLuaScript(`
if tonumber(redis.call('HGET', KEYS[1], 'token') or '0') > tonumber(ARGV[1]) then
  return redis.error_reply('FENCED')
end
return redis.call('HGET', KEYS[1], 'value')`)
	write := rueidis.NewLuaScript(`
if tonumber(redis.call('HGET', KEYS[1], 'token') or '0') > tonumber(ARGV[1]) then
  return redis.error_reply('FENCED')
end
redis.call('HSET', KEYS[1], 'token', ARGV[1], 'value', ARGV[2])
return 1`)
	found := lost(t, func(name string) store {
		return &redisStore{t: t, client: client, key: "{" + name + "}:account", beginLua: begin, writeLua: write, field: "value"}
	})
	require.NotEmpty(t, found)
	require.Contains(t, strings.Join(found, "\n"), "[{0 false} {1 false} {0 true} {1 true}", "the one that the page describes")
}

// sqlStore is a store in SQLite.
type sqlStore struct {
	t           *testing.T
	file, id    string
	insert, set string
}

// query returns the rows that a statement returns.
func (s *sqlStore) query(statement string, parameters map[string]string) []string {
	s.t.Helper()
	var in strings.Builder
	in.WriteString(".bail on\n.parameter init\n")
	for name, value := range parameters {
		fmt.Fprintf(&in, ".parameter set :%s %s\n", name, value)
	}
	in.WriteString(statement)
	cmd := exec.Command("sqlite3", "-batch", s.file)
	cmd.Stdin = strings.NewReader(in.String())
	out, err := cmd.CombinedOutput()
	require.NoError(s.t, err, "%s", out)
	return strings.Fields(string(out))
}

func (s *sqlStore) begin(token api.Token) (int, bool) {
	rows := s.query(s.insert, map[string]string{"id": s.id, "token": token.String()})
	if len(rows) == 0 {
		return 0, false
	}
	n, err := strconv.Atoi(rows[0])
	require.NoError(s.t, err)
	return n, true
}

func (s *sqlStore) write(token api.Token, value int) bool {
	return len(s.query(s.set, map[string]string{"id": s.id, "token": token.String(), "value": strconv.Itoa(value)})) > 0
}

func (s *sqlStore) value() int {
	n, err := strconv.Atoi(s.query("SELECT value FROM account WHERE id = :id;", map[string]string{"id": s.id})[0])
	require.NoError(s.t, err)
	return n
}

// What the page says keeps every write that was confirmed, in SQL.
func TestFencingInSQLLosesNoUpdate(t *testing.T) {
	if !have(t, "sqlite3") {
		return
	}
	file := filepath.Join(t.TempDir(), "accounts")
	begin, write := block(t, "docs/fencing.md", "sql", "-- begin"), block(t, "docs/fencing.md", "sql", "-- write")
	n := 0
	open := func(insert, set string) func(string) store {
		return func(string) store {
			n++
			return &sqlStore{t: t, file: file, id: strconv.Itoa(n), insert: insert, set: set}
		}
	}
	(&sqlStore{t: t, file: file}).query("CREATE TABLE account (id INTEGER PRIMARY KEY, value INTEGER, token INTEGER);", nil)
	require.Empty(t, lost(t, open(begin, write)))

	// The recipe from before, in one statement each: reading, and writing under a fence that the write raises.
	require.NotEmpty(t, lost(t, open(
		`INSERT INTO account (id, value, token) VALUES (:id, 0, 0) ON CONFLICT (id) DO UPDATE SET token = token WHERE token <= :token RETURNING value;`,
		`UPDATE account SET value = :value, token = :token WHERE id = :id AND token <= :token RETURNING 1;`)))
}
