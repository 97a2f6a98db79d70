package memory

import (
	"bufio"
	"bytes"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/streamlease/streamlease/engine/enginetest/internal/stream"
)

// dataset is what one server has: its keys and scripts. It runs one command at a time; the caller sees to that.
type dataset struct {
	id        string
	owner     *Server
	mini      *miniredis.Miniredis
	streams   map[string]*stream.Stream
	sets      map[string]*sortedSet
	scripts   scripts
	count     counts
	now       time.Time
	deadlines deadlines
	expired   []string // since somebody asked
	written   []string // keys that may have what somebody waits for, since somebody asked

	peer *server.Peer // asks miniredis
	said bytes.Buffer // to it
}

func newDataset(id string, owner *Server) *dataset {
	d := &dataset{id: id, owner: owner, mini: miniredis.NewMiniRedis(), streams: make(map[string]*stream.Stream), sets: make(map[string]*sortedSet)}
	d.scripts.init(d)
	d.peer = server.NewPeer(bufio.NewWriter(&d.said))
	d.mini.SetTime(time.Unix(0, 0))
	d.at(time.Now())
	// Commands are there from the first connection on.
	if c, err := d.mini.Dial(); err == nil {
		c.Close()
	}
	return d
}

func (d *dataset) close() {
	d.mini.Close()
	d.scripts.close()
}

// absent are commands of miniredis that this version of Redis does not have, or that would not do here what they do there.
var absent = map[string]bool{"DELEX": true, "HEXPIRE": true, "HPERSIST": true, "HTTL": true, "HPTTL": true, "HSETEX": true,
	"MOVE": true, "SWAPDB": true, "DUMP": true, "RESTORE": true, "BLMPOP": true, "BZMPOP": true, "EVAL_RO": true, "EVALSHA_RO": true,
	"GEOADD": true, "GEODIST": true, "GEOPOS": true, "GEORADIUS": true, "GEORADIUS_RO": true, "GEORADIUSBYMEMBER": true,
	"GEORADIUSBYMEMBER_RO": true, "GEOSEARCH": true, "ZINTER": true, "ZINTERSTORE": true, "ZUNION": true, "ZUNIONSTORE": true,
	"ZMPOP": true, "ZRANDMEMBER": true}

// knows reports whether there is a command of this name.
func (d *dataset) knows(name string) bool {
	_, own := ofConnections[name]
	_, admin := ofServers[name]
	return own || admin || name[:min(1, len(name))] == "X" || d.mini.Server().IsRegisteredCommand(name) && !absent[name]
}

// call runs a command that has nothing to do with a connection.
func (d *dataset) call(args []string, resp3 bool) stream.Reply {
	d.count.call(args)
	name := strings.ToUpper(args[0])
	if run, is := ofServers[name]; is {
		return run(d, args, resp3)
	}
	if reply, is := d.timed(name, args, resp3); is {
		d.wrote(name, args)
		return reply
	}
	if strings.HasPrefix(name, "X") {
		if reply, is := stream.Do(keys{d}, d.now, args); is {
			d.wrote(name, args)
			return reply
		}
		return errUnknown(args)
	}
	if reply, is := d.sorted(name, args); is {
		d.wrote(name, args)
		return reply
	}
	if !d.knows(name) {
		return errUnknown(args)
	}
	d.wrote(name, args)
	return d.plain(args, resp3)
}

// plain has miniredis run a command.
func (d *dataset) plain(args []string, resp3 bool) stream.Reply {
	d.said.Reset()
	d.peer.Resp3 = resp3
	d.mini.Server().Dispatch(d.peer, args)
	d.peer.Flush()
	return raw(d.said.String())
}

// wrote notes the keys of commands that give something to who waits.
func (d *dataset) wrote(name string, args []string) {
	at := 1
	switch name {
	case "XADD", "LPUSH", "RPUSH", "LINSERT", "ZADD", "ZINCRBY":
	case "XGROUP", "RENAME", "RENAMENX", "COPY", "RPOPLPUSH", "LMOVE":
		at = 2
	default:
		return
	}
	if at < len(args) && len(d.owner.waiting) > 0 {
		d.written = append(d.written, args[at])
	}
}

// typeOf returns the type of a key as TYPE does.
func (d *dataset) typeOf(key string) string {
	if !d.mini.Exists(key) {
		return "none"
	}
	return d.mini.Type(key)
}

// errUnknown is what Redis says about a command that it does not know.
func errUnknown(args []string) stream.Error {
	var rest strings.Builder
	for _, arg := range args[1:] {
		if rest.Len() >= 128 {
			break
		}
		rest.WriteString("'" + arg[:min(len(arg), 128-rest.Len())] + "' ")
	}
	return errorf("ERR unknown command '%.128s', with args beginning with: %s", args[0], rest.String())
}

// keys is the keyspace as a stream command sees it. A stream has a placeholder in miniredis, which has its type and its expiry,
// and may be deleted there.
type keys struct{ *dataset }

const wrongType = stream.Error("WRONGTYPE Operation against a key holding the wrong kind of value")

func (k keys) Stream(key string) (*stream.Stream, error) {
	switch k.typeOf(key) {
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
	_, _ = k.mini.XAdd(key, "1-1", []string{"placeholder", ""})
	s := stream.New()
	k.streams[key] = s
	return s
}
