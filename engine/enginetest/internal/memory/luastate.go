package memory

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	luajson "github.com/alicebob/miniredis/v2/gopher-json"
	lua "github.com/yuin/gopher-lua"

	"github.com/streamlease/streamlease/engine/enginetest/internal/stream"
)

// newState returns a Lua state with what scripts have in Redis: libraries without a way out, redis, cjson, cmsgpack.
func (s *scripts) newState() *lua.LState {
	l := lua.NewState(lua.Options{SkipOpenLibs: true, RegistrySize: registrySize, RegistryMaxSize: registryMost})
	for _, lib := range []struct {
		name string
		open lua.LGFunction
	}{
		{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable},
		{lua.StringLibName, lua.OpenString}, {lua.MathLibName, lua.OpenMath}, {lua.CoroutineLibName, lua.OpenCoroutine},
	} {
		l.Push(l.NewFunction(lib.open))
		l.Push(lua.LString(lib.name))
		l.Call(1, 0)
	}
	luajson.Preload(l)
	must(l.DoString("cjson = require('json')"))
	must(l.DoString(msgpack + "\nrawset(_G, 'cmsgpack', cmsgpack)"))
	for _, name := range []string{"require", "module", "package", "dofile", "loadfile", "print", "newproxy", "collectgarbage"} {
		l.SetGlobal(name, lua.LNil)
	}
	l.SetGlobal("tonumber", l.NewFunction(tonumber(l.GetGlobal("tonumber").(*lua.LFunction))))
	l.SetGlobal("pcall", l.NewFunction(pcall(l.GetGlobal("pcall").(*lua.LFunction))))
	l.SetGlobal("tostring", l.NewFunction(tostring(l.GetGlobal("tostring").(*lua.LFunction))))
	l.SetGlobal("unpack", l.NewFunction(unpack))
	l.SetGlobal("redis", s.library(l))
	l.SetGlobal("os", l.SetFuncs(l.NewTable(), map[string]lua.LGFunction{"clock": func(l *lua.LState) int {
		l.Push(lua.LNumber(float64(s.data.now.UnixNano()) / 1e9))
		return 1
	}}))
	protect(l)
	return l
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// protect keeps scripts from reading and making globals by mistake.
func protect(l *lua.LState) {
	meta := l.NewTable()
	meta.RawSetString("__index", l.NewFunction(func(l *lua.LState) int {
		l.RaiseError("Script attempted to access nonexistent global variable '%s'", l.Get(2).String())
		return 0
	}))
	meta.RawSetString("__newindex", l.NewFunction(func(l *lua.LState) int {
		l.RaiseError("Attempt to modify a readonly table")
		return 0
	}))
	l.SetMetatable(l.Get(lua.GlobalsIndex), meta)
}

// library returns the table redis.
func (s *scripts) library(l *lua.LState) *lua.LTable {
	t := l.SetFuncs(l.NewTable(), map[string]lua.LGFunction{
		"call":         func(l *lua.LState) int { return s.call(l, true) },
		"pcall":        func(l *lua.LState) int { return s.call(l, false) },
		"error_reply":  func(l *lua.LState) int { return withField(l, "err") },
		"status_reply": func(l *lua.LState) int { return withField(l, "ok") },
		"sha1hex": func(l *lua.LState) int {
			if l.GetTop() != 1 {
				return raise(l, "wrong number of arguments")
			}
			l.Push(lua.LString(sum(lua.LVAsString(l.Get(1)))))
			return 1
		},
		"log":                func(*lua.LState) int { return 0 },
		"set_repl":           func(*lua.LState) int { return 0 },
		"replicate_commands": func(l *lua.LState) int { l.Push(lua.LTrue); return 1 },
		"setresp": func(l *lua.LState) int {
			switch l.CheckInt(1) {
			case 2:
				return 0
			case 3:
				return raise(l, "ERR this server in memory replies to scripts in RESP 2 only")
			}
			return raise(l, "ERR RESP version must be 2 or 3.")
		},
	})
	for name, n := range map[string]int{"LOG_DEBUG": 0, "LOG_VERBOSE": 1, "LOG_NOTICE": 2, "LOG_WARNING": 3,
		"REPL_NONE": 0, "REPL_AOF": 1, "REPL_SLAVE": 2, "REPL_REPLICA": 2, "REPL_ALL": 3, "REDIS_VERSION_NUM": 0x7000f} {
		t.RawSetString(name, lua.LNumber(n))
	}
	t.RawSetString("REDIS_VERSION", lua.LString(version))
	return t
}

// withField returns a table with a text under a name. An error has a code, which is ERR if nothing else is said.
func withField(l *lua.LState, name string) int {
	text, is := l.Get(1).(lua.LString)
	if l.GetTop() != 1 || !is {
		return raise(l, "wrong number or type of arguments")
	}
	line := string(text)
	if name == "err" {
		// Redis trims the line and adds the code where there is one word.
		line = strings.TrimRight(strings.TrimPrefix(line, "-"), "\r\n")
		if !strings.Contains(line, " ") {
			line = "ERR " + line
		}
	}
	t := l.NewTable()
	t.RawSetString(name, lua.LString(line))
	l.Push(t)
	return 1
}

// raise ends the script with an error table, as errors of redis.call do.
func raise(l *lua.LState, text string) int {
	l.Error(errorTable(l, text), 1)
	return 0
}

func errorTable(l *lua.LState, text string) *lua.LTable {
	if code, _, _ := strings.Cut(text, " "); code != strings.ToUpper(code) {
		text = "ERR " + text
	}
	t := l.NewTable()
	t.RawSetString("err", lua.LString(text))
	t.RawSetString("source", lua.LString("@user_script"))
	line := "1"
	if _, rest, is := strings.Cut(l.Where(1), ":"); is {
		line = strings.Trim(rest, ": ")
	}
	n, _ := strconv.Atoi(line)
	t.RawSetString("line", lua.LNumber(n))
	return t
}

// notInScripts are commands besides those of connections that scripts may not call.
var notInScripts = map[string]bool{"EVAL": true, "EVALSHA": true, "SCRIPT": true, "CONFIG": true, "SAVE": true, "BGSAVE": true, "ACL": true}

// call is redis.call, which raises errors, and redis.pcall, which returns them.
func (s *scripts) call(l *lua.LState, raises bool) int {
	reply := s.reply(l)
	if failed, is := reply.(stream.Error); is {
		t := errorTable(l, string(failed))
		if raises {
			l.Error(t, 1)
		}
		l.Push(t)
		return 1
	}
	l.Push(toLua(l, reply))
	return 1
}

func (s *scripts) reply(l *lua.LState) stream.Reply {
	if l.GetTop() == 0 {
		return stream.Error("ERR Please specify at least one argument for this redis lib call")
	}
	args := make([]string, l.GetTop())
	for i := range args {
		switch v := l.Get(i + 1).(type) {
		case lua.LString:
			args[i] = string(v)
		case lua.LNumber:
			args[i] = strconv.FormatFloat(float64(v), 'g', 17, 64)
		default:
			return stream.Error("ERR Lua redis lib command arguments must be strings or integers")
		}
	}
	name := strings.ToUpper(args[0])
	if _, own := ofConnections[name]; own || notInScripts[name] {
		return stream.Error("ERR This Redis command is not allowed from script")
	}
	if !s.data.knows(name) {
		return stream.Error("ERR Unknown Redis command called from script")
	}
	if _, blocks := blockOf(args); blocks && popping[name] == nil && waits(name, args) {
		return errorf("ERR %s command is not allowed with BLOCK option from scripts", args[0])
	}
	if waits(name, args) {
		reply, _ := s.data.owner.try(args, false)
		if text, is := reply.(raw); is {
			return decode(string(text))
		}
		return reply
	}
	reply := s.data.value(args)
	if err, is := reply.(stream.Error); is && strings.HasPrefix(string(err), "ERR wrong number of arguments for '") && !countsPairs[name] {
		return stream.Error("ERR Wrong number of args calling Redis command from script")
	}
	return reply
}

// countsPairs are commands that find out by themselves that they have a wrong number of arguments.
var countsPairs = map[string]bool{"HSET": true, "HMSET": true, "MSET": true, "MSETNX": true}

// pcall returns errors of redis.call as text, for scripts that were written when they were.
func pcall(plain *lua.LFunction) lua.LGFunction {
	return func(l *lua.LState) int {
		n := plain.GFunction(l)
		if n == 2 && l.Get(-2) == lua.LFalse {
			if t, is := l.Get(-1).(*lua.LTable); is && t.RawGetString("err") != lua.LNil {
				l.Pop(1)
				l.Push(t.RawGetString("err"))
			}
		}
		return n
	}
}

// tonumber reads numbers as strtod does: with an exponent, in hexadecimal, infinite. gopher-lua reads digits.
func tonumber(plain *lua.LFunction) lua.LGFunction {
	return func(l *lua.LState) int {
		text, is := l.Get(1).(lua.LString)
		if !is || l.GetTop() > 1 && l.Get(2) != lua.LNumber(10) {
			return plain.GFunction(l)
		}
		if n, ok := strtod(strings.TrimSpace(string(text))); ok {
			l.Push(lua.LNumber(n))
		} else {
			l.Push(lua.LNil)
		}
		return 1
	}
}

func strtod(text string) (float64, bool) {
	if strings.Contains(text, "_") {
		return 0, false
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil || math.IsInf(n, 0) {
		return n, true
	}
	n, err := strconv.ParseInt(text, 0, 64)
	return float64(n), err == nil && strings.ContainsAny(text, "xX")
}

// tostring shows numbers with fourteen digits, as printf does. What .. makes of a number cannot be changed here: gopher-lua shows
// whole ones in full.
func tostring(plain *lua.LFunction) lua.LGFunction {
	return func(l *lua.LState) int {
		if n, is := l.Get(1).(lua.LNumber); is {
			l.Push(lua.LString(strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(float64(n), 'g', 14, 64), "+"))))
			return 1
		}
		return plain.GFunction(l)
	}
}

// unpack has the limit of Redis's Lua.
func unpack(l *lua.LState) int {
	t := l.CheckTable(1)
	from := l.OptInt(2, 1)
	to := l.OptInt(3, t.Len())
	if from > to {
		return 0
	}
	if to-from >= maxUnpacked {
		l.RaiseError("too many results to unpack")
	}
	for i := from; i <= to; i++ {
		l.Push(t.RawGetInt(i))
	}
	return to - from + 1
}

func list(l *lua.LState, texts []string) *lua.LTable {
	t := l.CreateTable(len(texts), 0)
	for i, text := range texts {
		t.RawSetInt(i+1, lua.LString(text))
	}
	return t
}

// toLua returns a reply as redis.call does.
func toLua(l *lua.LState, r stream.Reply) lua.LValue {
	switch r := r.(type) {
	case int64:
		return lua.LNumber(r)
	case string:
		return lua.LString(r)
	case stream.Simple, stream.Error:
		t := l.NewTable()
		if text, is := r.(stream.Simple); is {
			t.RawSetString("ok", lua.LString(text))
		} else {
			t.RawSetString("err", lua.LString(r.(stream.Error)))
		}
		return t
	case stream.Null, stream.NullArray:
		return lua.LFalse
	case []stream.Reply:
		return all(l, r)
	case stream.Map:
		return all(l, r)
	case double:
		return lua.LString(formatDouble(float64(r)))
	case withScores:
		t := l.CreateTable(2*len(r), 0)
		for i, item := range r {
			t.RawSetInt(2*i+1, lua.LString(item.member))
			t.RawSetInt(2*i+2, lua.LString(formatDouble(item.score)))
		}
		return t
	case stream.MapOfStreams:
		pairs := l.CreateTable(len(r)/2, 0)
		for i := 0; i+1 < len(r); i += 2 {
			pairs.RawSetInt(i/2+1, all(l, r[i:i+2]))
		}
		return pairs
	default:
		panic(fmt.Sprintf("memory: a reply of type %T", r))
	}
}

func all(l *lua.LState, items []stream.Reply) lua.LValue {
	t := l.CreateTable(len(items), 0)
	for i, item := range items {
		t.RawSetInt(i+1, toLua(l, item))
	}
	return t
}

// fromLua returns what a script returned as a reply: an array ends at the first nil.
func fromLua(v lua.LValue) stream.Reply {
	switch v := v.(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return int64(v)
	case lua.LBool:
		if v {
			return int64(1)
		}
		return stream.Null{}
	case *lua.LTable:
		if text := v.RawGetString("err"); text != lua.LNil {
			return errorf("%s", text.String())
		}
		if text := v.RawGetString("ok"); text != lua.LNil {
			return stream.Simple(strings.NewReplacer("\r", " ", "\n", " ").Replace(text.String()))
		}
		items := []stream.Reply{}
		for i := 1; ; i++ {
			item := v.RawGetInt(i)
			if item == lua.LNil {
				return items
			}
			items = append(items, fromLua(item))
		}
	default:
		return stream.Null{}
	}
}
