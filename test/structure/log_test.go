package main

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/structure/source"
)

// logMethods are the methods that write a line, by their receivers, with the index of the message and that of the first key.
var logMethods = map[string]map[string][2]int{
	module + "/engine/internal/sumlog.Logger": {"Warn": {0, 2}, "Info": {0, 1}, "Debug": {0, 1}, "Error": {0, 1}},
	"log/slog.Logger":                         {"Warn": {0, 1}, "Info": {0, 1}, "Debug": {0, 1}, "Error": {0, 1}},
}

// passing are functions that get a message, and the keys after it, from their callers: what they are called with is checked
// instead. They have the index of the message and that of the first key, -1: none.
var passing = map[string][2]int{
	"choreFailed": {2, -1}, // engine/attend.go
	"warnOnce":    {0, 2},  // cluster/expiry/watcher.go
}

var (
	logKey     = regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	logMessage = regexp.MustCompile(`^[A-Za-z].*[^.]$`)
)

// Whoever searches a log, or counts its lines, needs messages that are constants and keys without spaces. No line is for a stream: keys that
// would name one are few, and stand in lines that are summed up.
func TestLogLinesHaveConstantMessagesAndKeysOfOneWord(t *testing.T) {
	found := 0
	eachLogCall(t, func(p *source.Package, call *ast.CallExpr, at [2]int) {
		found++
		checkLogCall(t, p, call, at)
	})
	require.Greater(t, found, 40)
}

// What a line means and what to do about it is looked up by its message.
func TestEveryWarningIsInTheTableOfLogLines(t *testing.T) {
	document, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(document), "\n## By log line\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n## ")
	documented := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(table, -1) {
		require.False(t, documented[row[1]], "twice: %s", row[1])
		documented[row[1]] = true
	}
	written := make(map[string]bool)
	eachLogCall(t, func(p *source.Package, call *ast.CallExpr, at [2]int) {
		name := call.Fun.(*ast.SelectorExpr).Sel.Name
		if _, passes := passing[name]; !passes && name != "Warn" && name != "Error" {
			return
		}
		if message, ok := text(p, call.Args[at[0]]); ok {
			written[message] = true
			require.True(t, documented[message], "%s: to be added to docs/operations.md: %q", p.Fset.Position(call.Pos()), message)
		}
	})
	for message := range documented {
		require.True(t, written[message], "docs/operations.md has a line that nothing writes: %q", message)
	}
}

// eachLogCall calls f for each call that writes a line of the log.
func eachLogCall(t *testing.T, f func(p *source.Package, call *ast.CallExpr, at [2]int)) {
	for _, p := range library(t) {
		for _, file := range p.Files {
			for _, d := range file.Decls {
				function, ok := d.(*ast.FuncDecl)
				if !ok {
					continue
				}
				ast.Inspect(function, func(n ast.Node) bool {
					call, ok := n.(*ast.CallExpr)
					if !ok {
						return true
					}
					at, ok := logCall(p, call)
					if !ok {
						return true
					}
					if _, passes := passing[function.Name.Name]; passes && !isConstant(p, call.Args[at[0]]) {
						return true
					}
					f(p, call, at)
					return true
				})
			}
		}
	}
}

// logCall reports whether a call writes a line, and where its message and its first key are.
func logCall(p *source.Package, call *ast.CallExpr) (at [2]int, ok bool) {
	selector, isSelector := call.Fun.(*ast.SelectorExpr)
	if !isSelector {
		return at, false
	}
	if at, ok = passing[selector.Sel.Name]; ok && len(call.Args) > at[0] {
		return at, true
	}
	selection := p.Info.Selections[selector]
	if selection == nil {
		return at, false
	}
	receiver := selection.Recv()
	if pointer, ok := receiver.(*types.Pointer); ok {
		receiver = pointer.Elem()
	}
	at, ok = logMethods[receiver.String()][selector.Sel.Name]
	return at, ok
}

func checkLogCall(t *testing.T, p *source.Package, call *ast.CallExpr, at [2]int) {
	where := p.Fset.Position(call.Pos()).String()
	message, ok := text(p, call.Args[at[0]])
	if !ok && isVariadicHook(p, call.Args[at[0]]) {
		return
	}
	require.True(t, ok, "%s: the message is not a constant", where)
	require.Regexp(t, logMessage, message, where)
	if at[1] < 0 || call.Ellipsis.IsValid() {
		return
	}
	keys := call.Args[min(at[1], len(call.Args)):]
	require.Zero(t, len(keys)%2, "%s: a key without a value", where)
	for pair := range slices.Chunk(keys, 2) {
		key, ok := text(p, pair[0])
		require.True(t, ok, "%s: a key is not a constant", where)
		require.Regexp(t, logKey, key, where)
		require.NotEqual(t, "stream", key, "%s: no line is for a stream", where)
	}
}

// isVariadicHook reports whether a message is the parameter of a function literal that passes lines on, as the hook of
// cluster/expiry does.
func isVariadicHook(p *source.Package, message ast.Expr) bool {
	name, ok := message.(*ast.Ident)
	return ok && name.Name == "message" && p.Info.Uses[name] != nil
}

func isConstant(p *source.Package, e ast.Expr) bool {
	_, ok := text(p, e)
	return ok
}

// text returns the value of a constant string.
func text(p *source.Package, e ast.Expr) (string, bool) {
	switch x := e.(type) {
	case *ast.BasicLit:
		if x.Kind == token.STRING {
			return constant.StringVal(constant.MakeFromLiteral(x.Value, x.Kind, 0)), true
		}
	case *ast.Ident:
		if c, ok := p.Info.Uses[x].(*types.Const); ok && c.Val().Kind() == constant.String {
			return constant.StringVal(c.Val()), true
		}
	case *ast.BinaryExpr:
		left, ok := text(p, x.X)
		right, ok2 := text(p, x.Y)
		return strings.Join([]string{left, right}, ""), ok && ok2 && x.Op == token.ADD
	}
	return "", false
}
