package memory

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/streamlease/streamlease/engine/enginetest/internal/stream"
)

// dataset is what one server has: its keys and scripts. It runs one command at a time; the caller sees to that.
type dataset struct {
	id      string
	mini    *miniredis.Miniredis
	streams map[string]*stream.Stream
	scripts map[string]string // by SHA-1
	now     time.Time
	pass    bool         // the next command goes past the hook
	direct  *server.Peer // asks within the command that runs
	reply   bytes.Buffer // to direct
}

func newDataset(id string) *dataset {
	d := &dataset{id: id, mini: miniredis.NewMiniRedis(), streams: make(map[string]*stream.Stream), scripts: make(map[string]string)}
	d.direct = server.NewPeer(bufio.NewWriter(&d.reply))
	d.at(time.Now())
	d.mini.ClockTTL(true)
	// Without a first connection there is no server to hook into.
	if c, err := d.mini.Dial(); err == nil {
		c.Close()
	}
	d.mini.Server().SetPreHook(d.hook)
	return d
}

func (d *dataset) close() { d.mini.Close() }

// at sets the clock. A key expires on a millisecond, as in Redis.
func (d *dataset) at(now time.Time) {
	d.now = now
	d.mini.SetTime(now.UTC().Truncate(time.Millisecond))
}

// do runs a command for a client and returns nothing: the reply goes to the peer's writer.
func (d *dataset) do(p *server.Peer, args []string) {
	d.mini.Server().Dispatch(p, args)
	p.Flush()
}

// hook runs what miniredis does not, for clients and for scripts. It reports whether it has.
func (d *dataset) hook(p *server.Peer, cmd string, args ...string) bool {
	if d.pass {
		d.pass = false
		return false
	}
	switch cmd {
	case "INFO":
		p.WriteBulk(d.info(args))
	case "TIME":
		p.WriteLen(2)
		p.WriteBulk(fmt.Sprint(d.now.Unix()))
		p.WriteBulk(fmt.Sprint(d.now.Nanosecond() / 1000))
	case "CLUSTER":
		p.WriteError("ERR This instance has cluster support disabled")
	case "EVAL", "EVALSHA", "SCRIPT":
		return d.script(p, cmd, args)
	case "ZRANGEBYSCORE", "ZREVRANGEBYSCORE", "ZCOUNT":
		return d.bounded(p, cmd, args)
	default:
		if cmd[0] != 'X' {
			return false
		}
		reply, ok := stream.Do(keys{d, p}, d.now, append([]string{cmd}, args...))
		if !ok {
			return false
		}
		p.WriteRaw(encode(reply, p.Resp3))
	}
	return true
}

// bounded runs commands with bounds of scores: miniredis counts infinity in where "(-inf" excludes it.
func (d *dataset) bounded(p *server.Peer, cmd string, args []string) bool {
	args = append([]string{cmd}, args...)
	for i := 2; i < min(len(args), 4); i++ {
		switch strings.ToLower(args[i]) {
		case "(-inf":
			args[i] = "-1.7976931348623157e308"
		case "(+inf", "(inf":
			args[i] = "1.7976931348623157e308"
		}
	}
	d.pass = true
	d.mini.Server().Dispatch(p, args)
	return true
}

// ask dispatches a command past the hook, within the command that p runs, and returns the reply as it is on the wire.
func (d *dataset) ask(p *server.Peer, args ...string) string {
	d.reply.Reset()
	d.direct.Ctx, d.pass = p.Ctx, true
	d.do(d.direct, args)
	return d.reply.String()
}

// keys is the keyspace as a stream command sees it. A stream has a placeholder in miniredis, which has its type and its expiry,
// and may be deleted there.
type keys struct {
	*dataset
	peer *server.Peer
}

const wrongType = stream.Error("WRONGTYPE Operation against a key holding the wrong kind of value")

func (k keys) Stream(key string) (*stream.Stream, error) {
	switch kind := strings.TrimSpace(strings.TrimPrefix(k.ask(k.peer, "TYPE", key), "+")); kind {
	case "stream":
		return k.streams[key], nil
	case "none":
		delete(k.streams, key)
		return nil, nil
	default:
		return nil, wrongType
	}
}

func (k keys) Create(key string) *stream.Stream {
	k.ask(k.peer, "XADD", key, "1-1", "placeholder", "")
	s := stream.New()
	k.streams[key] = s
	return s
}
