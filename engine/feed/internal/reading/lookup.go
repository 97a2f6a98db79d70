package reading

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/rueidis"
)

// XINFO STREAM sends the first and the last entry of a stream whole, 64 MB each if need be; the script picks what is wanted.
//
//go:embed look.lua
var lookBody string

var lookSHA = func() string {
	sum := sha1.Sum([]byte(lookBody))
	return hex.EncodeToString(sum[:])
}()

// Look looks at a stream itself, on its master, with the client of Config. It is one script, which costs a server about 8 µs, where an empty
// read costs 1.5; many keys in one call cost as much each. Errors are those of the client; those that Permanent reports last.
func (r *Reader) Look(ctx context.Context, stream string) (Info, error) {
	infos, errs := r.lookAt(ctx, []string{stream})
	return infos[0], errs[0]
}

// lookAt looks at several streams in one pipeline.
func (r *Reader) lookAt(ctx context.Context, streams []string) ([]Info, []error) {
	infos, errs := make([]Info, len(streams)), make([]error, len(streams))
	commands := make(rueidis.Commands, len(streams))
	for i, stream := range streams {
		commands[i] = r.cfg.Client.B().Arbitrary("EVALSHA", lookSHA, "1").Keys(stream).Build()
	}
	var again []int
	for i, answer := range r.cfg.Client.DoMulti(ctx, commands...) {
		if infos[i], errs[i] = parseInfo(answer); noScript(errs[i]) {
			again = append(again, i)
		}
	}
	if len(again) == 0 {
		return infos, errs
	}
	commands = make(rueidis.Commands, 0, len(again)) // the client may still have the others
	for _, i := range again {
		commands = append(commands, r.cfg.Client.B().Arbitrary("EVAL", lookBody, "1").Keys(streams[i]).Build())
	}
	for j, answer := range r.cfg.Client.DoMulti(ctx, commands...) {
		i := again[j]
		infos[i], errs[i] = parseInfo(answer)
	}
	return infos, errs
}

// exist reports of each stream whether it may exist: true is also the answer where that cannot be known.
func (r *Reader) exist(ctx context.Context, streams []string) []bool {
	width := 1
	if r.shares() {
		width = len(streams)
	}
	there := make([]bool, len(streams))
	if r.blind.Load() {
		for i := range there {
			there[i] = true
		}
		return there
	}
	var commands rueidis.Commands
	for i := 0; i < len(streams); i += width {
		commands = append(commands, r.cfg.Client.B().Exists().Key(streams[i:i+width]...).Build())
	}
	for i, answer := range r.cfg.Client.DoMulti(ctx, commands...) {
		n, err := answer.AsInt64()
		if err != nil && lacksRights(err) {
			r.blind.Store(true)
		}
		for j := i * width; j < (i+1)*width; j++ {
			there[j] = err != nil || n > 0
		}
	}
	return there
}

func noScript(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	return ok && e.IsNoScript()
}

func parseInfo(answer rueidis.RedisResult) (info Info, err error) {
	parts, err := answer.ToArray()
	if err != nil {
		return info, err
	}
	if len(parts) == 0 {
		return info, nil
	}
	if len(parts) != 4 {
		return info, fmt.Errorf("%w: %d parts", errMalformed, len(parts))
	}
	var errs [4]error
	info.Exists = true
	info.Last, errs[0] = parts[0].ToString()
	info.Length, errs[1] = parts[1].AsInt64()
	info.Added, errs[2] = parts[2].AsInt64()
	info.First, errs[3] = parts[3].ToString()
	if err = errors.Join(errs[:]...); err != nil {
		return Info{}, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return info, nil
}

// Permanent reports whether an error of a server lasts: repeating changes nothing until somebody changes the key or the rights.
func Permanent(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	if !ok {
		return false
	}
	text := strings.TrimPrefix(e.Error(), "ERR ")
	for _, prefix := range []string{"WRONGTYPE", "NOPERM", "Invalid stream ID"} {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}

// transient are the first words of errors that pass. A look that fails otherwise (rights for the script are missing, a proxy does not know
// it) is left out, since it would fail again.
var transient = []string{"LOADING", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "READONLY", "BUSY", "MOVED", "ASK", "OOM", "NOREPLICAS", "MISCONF"}

// passes reports whether a look that failed with this error is worth repeating.
func passes(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	if !ok {
		return true
	}
	word, _, _ := strings.Cut(e.Error(), " ")
	return slices.Contains(transient, word)
}

// lacksRights reports whether an error says that the right to a key or a command is missing.
func lacksRights(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(e.Error(), "NOPERM")
}

// unreached reports whether an error says nothing about the stream: its server was not reached, or cannot answer anybody now.
func unreached(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	return !ok && !errors.Is(err, errMalformed) || ok && (e.IsLoading() || e.IsClusterDown())
}
