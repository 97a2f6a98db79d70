package engine

import (
	"context"

	"github.com/streamlease/streamlease/engine/internal/guard"
)

// ScriptHook returns the function of WithScriptHook, for layers that run scripts of their own on Client: call it before each, and what it
// returns, unless that is nil, afterwards. Panics of the user's code stay in it. It returns nil if there is none.
func (e *Engine) ScriptHook() func(ctx context.Context, script string) (done func(err error)) {
	hook := e.cfg.scriptHook
	if hook == nil {
		return nil
	}
	return func(ctx context.Context, script string) (done func(error)) {
		var theirs func(error)
		e.guardHook(script, func() { theirs = hook(ctx, script) })
		if theirs == nil {
			return nil
		}
		return func(err error) { e.guardHook(script, func() { theirs(err) }) }
	}
}

// guardHook calls code of the user in the way of a script.
func (e *Engine) guardHook(script string, f func()) {
	if err := guard.Call(func() error { f(); return nil }); err != nil {
		e.log.Warn("a script hook panicked", 1, "script", script, "err", err)
	}
}
