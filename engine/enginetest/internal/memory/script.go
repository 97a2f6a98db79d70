package memory

import (
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"

	"github.com/streamlease/streamlease/engine/enginetest/internal/stream"
)

// msgpack is cmsgpack in Lua: gopher-lua has none.
//
//go:embed msgpack.lua
var msgpack string

// The limits of Lua's stack in Redis, which scripts meet when they unpack: gopher-lua would give up at fewer, or never.
const (
	maxUnpacked  = 7999
	registrySize = 1 << 14
	registryMost = 1 << 20
)

// scripts runs scripts, all of them in one Lua state, as Redis does.
type scripts struct {
	data  *dataset
	state *lua.LState    // nil until the first script
	where *lua.LFunction // notes in an error where it was raised
	known map[string]*script
	sha   string // of the one that runs
}

type script struct {
	text  string
	proto *lua.FunctionProto
}

func (s *scripts) init(d *dataset) { s.data, s.known = d, make(map[string]*script) }

func (s *scripts) close() {
	if s.state != nil {
		s.state.Close()
		s.state = nil
	}
}

func sum(text string) string {
	digest := sha1.Sum([]byte(text))
	return hex.EncodeToString(digest[:])
}

// load compiles a script.
func (s *scripts) load(text string) (sha string, failed stream.Error) {
	sha = sum(text)
	if s.known[sha] != nil {
		return sha, ""
	}
	chunk, err := parse.Parse(strings.NewReader(text), "user_script")
	if err != nil {
		return "", errorf("ERR Error compiling script (new function): %s", err)
	}
	evaluateFirst(chunk)
	proto, err := lua.Compile(chunk, "user_script")
	if err != nil {
		return "", errorf("ERR Error compiling script (new function): %s", err)
	}
	s.known[sha] = &script{text, proto}
	return sha, ""
}

// script runs SCRIPT.
func (s *scripts) script(args []string) stream.Reply {
	if len(args) < 2 {
		return errArity(args[0])
	}
	switch sub := strings.ToUpper(args[1]); {
	case sub == "LOAD" && len(args) == 3:
		sha, err := s.load(args[2])
		if err != "" {
			return err
		}
		return sha
	case sub == "EXISTS" && len(args) > 2:
		found := make([]stream.Reply, 0, len(args)-2)
		for _, sha := range args[2:] {
			is := int64(0)
			if s.known[strings.ToLower(sha)] != nil {
				is = 1
			}
			found = append(found, is)
		}
		return found
	case sub == "FLUSH" && len(args) <= 3:
		clear(s.known)
		return ok
	case sub == "KILL":
		return stream.Error("NOTBUSY No scripts in execution right now.")
	case sub == "LOAD", sub == "EXISTS", sub == "FLUSH":
		return errArity("script|" + sub)
	}
	return errSubcommand(args)
}

// eval runs EVAL and EVALSHA.
func (s *scripts) eval(args []string) stream.Reply {
	if len(args) < 3 {
		return errArity(args[0])
	}
	keys, err := strconv.Atoi(args[2])
	switch {
	case err != nil:
		return stream.Error("ERR value is not an integer or out of range")
	case keys > len(args)-3:
		return stream.Error("ERR Number of keys can't be greater than number of args")
	case keys < 0:
		return stream.Error("ERR Number of keys can't be negative")
	}
	sha := strings.ToLower(args[1])
	if strings.EqualFold(args[0], "EVAL") {
		var failed stream.Error
		if sha, failed = s.load(args[1]); failed != "" {
			return failed
		}
	}
	found := s.known[sha]
	if found == nil {
		return stream.Error("NOSCRIPT No matching script. Please use EVAL.")
	}
	return s.run(sha, found, args[3:3+keys], args[3+keys:])
}

func (s *scripts) run(sha string, found *script, keys, argv []string) stream.Reply {
	if s.state == nil {
		s.state = s.newState()
		s.where = s.state.NewFunction(where)
	}
	l := s.state
	s.sha = sha
	globals := l.Get(lua.GlobalsIndex).(*lua.LTable)
	globals.RawSetString("KEYS", list(l, keys))
	globals.RawSetString("ARGV", list(l, argv))
	l.SetTop(0)
	l.Push(l.NewFunctionFromProto(found.proto))
	err := l.PCall(0, 1, s.where)
	if err != nil {
		l.SetTop(0)
		return s.failure(err)
	}
	reply := fromLua(l.Get(-1))
	l.SetTop(0)
	return reply
}

// where notes the line in an error that has none.
func where(l *lua.LState) int {
	t, is := l.Get(1).(*lua.LTable)
	if !is || t.RawGetString("line") != lua.LNil {
		return 1
	}
	for level := 1; level < 5; level++ {
		if rest, is := strings.CutPrefix(l.Where(level), "user_script:"); is {
			line, _ := strconv.Atoi(strings.Trim(rest, ": "))
			t.RawSetString("line", lua.LNumber(line))
			break
		}
	}
	return 1
}

// failure returns the error that a script ended with, as Redis words it.
func (s *scripts) failure(err error) stream.Reply {
	failed, is := err.(*lua.ApiError)
	if !is {
		return errorf("ERR %s", err)
	}
	text, line := failed.Object.String(), "1"
	if t, is := failed.Object.(*lua.LTable); is {
		if t.RawGetString("err") == lua.LNil {
			text = "ERR unknown error"
		} else {
			text = t.RawGetString("err").String()
		}
		at := t.RawGetString("line")
		if at == lua.LNil {
			return errorf("%s", text)
		}
		line = at.String()
	} else {
		if rest, is := strings.CutPrefix(text, "user_script:"); is {
			line, _, _ = strings.Cut(rest, ":")
		}
		text = "ERR " + text
	}
	return errorf("%s script: %s, on @user_script:%s.", text, s.sha, line)
}
