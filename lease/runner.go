package lease

import (
	"context"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// Runner runs scripts by EVALSHA, and by EVAL if a server does not know one. It sends nothing to servers that a call does not
// concern: a hung replica delays nobody.
type Runner struct {
	client rueidis.Client
	// observe is called for every call, once its answer, or the lack of one, is known.
	observe func(script string, took time.Duration, err error)
	hook    ScriptHook // nil: none
}

// ScriptHook is called before a script is sent. What it returns, which may be nil, is called once the answer, or the lack of one, is
// known; err is nil if the script ran, whatever it answered. Neither may block.
type ScriptHook func(ctx context.Context, script string) (done func(err error))

// NewRunner runs scripts on client, which stays the caller's. observe may be nil.
func NewRunner(client rueidis.Client, observe func(script string, took time.Duration, err error)) *Runner {
	if observe == nil {
		observe = func(string, time.Duration, error) {}
	}
	return &Runner{client: client, observe: observe}
}

// Hooked returns a runner on the same client that calls hook around each of its calls, also of those that go out together. nil: none.
func (r *Runner) Hooked(hook ScriptHook) *Runner {
	other := *r
	other.hook = hook
	return &other
}

// begun tells the hook that calls begin. ended, nil without a hook, tells it how they ended.
func (r *Runner) begun(ctx context.Context, calls ...Call) (ended func(i int, err error)) {
	if r.hook == nil {
		return nil
	}
	done := make([]func(error), len(calls))
	for i, c := range calls {
		done[i] = r.hook(ctx, c.Script.name)
	}
	return func(i int, err error) {
		if rueidis.IsRedisNil(err) {
			err = nil
		}
		if done[i] != nil {
			done[i](err)
		}
	}
}

// Call is one run of a script. All its keys are in one slot.
type Call struct {
	Script *Script
	Keys   []string // KEYS of the script
	Args   []string // ARGV, as text
}

func (r *Runner) command(name, script string, c Call) rueidis.Completed {
	b := r.client.B()
	if name == "EVAL" {
		return b.Eval().Script(script).Numkeys(int64(len(c.Keys))).Key(c.Keys...).Arg(c.Args...).Build()
	}
	return b.Evalsha().Sha1(script).Numkeys(int64(len(c.Keys))).Key(c.Keys...).Arg(c.Args...).Build()
}

// Do runs one call.
func (r *Runner) Do(ctx context.Context, c Call) rueidis.RedisResult {
	began := time.Now()
	ended := r.begun(ctx, c)
	result := r.client.Do(ctx, r.command("EVALSHA", c.Script.sha, c))
	if unknownScript(result.Error()) {
		result = r.client.Do(ctx, r.command("EVAL", c.Script.body, c))
	}
	r.observe(c.Script.name, time.Since(began), result.Error())
	if ended != nil {
		ended(0, result.Error())
	}
	return result
}

// DoMulti runs calls in one pipeline for each server involved; results are in the order of the calls.
func (r *Runner) DoMulti(ctx context.Context, calls []Call) []rueidis.RedisResult {
	if len(calls) == 1 {
		return []rueidis.RedisResult{r.Do(ctx, calls[0])}
	}
	began := time.Now()
	ended := r.begun(ctx, calls...)
	commands := make(rueidis.Commands, len(calls))
	for i, c := range calls {
		commands[i] = r.command("EVALSHA", c.Script.sha, c)
	}
	results := r.client.DoMulti(ctx, commands...)
	var again []int
	for i, result := range results {
		if unknownScript(result.Error()) {
			again = append(again, i)
		}
	}
	if len(again) > 0 {
		// Commands cannot be reused: the client has recycled them.
		commands = commands[:0]
		for _, i := range again {
			commands = append(commands, r.command("EVAL", calls[i].Script.body, calls[i]))
		}
		for j, result := range r.client.DoMulti(ctx, commands...) {
			results[again[j]] = result
		}
	}
	took := time.Since(began)
	for i, result := range results {
		r.observe(calls[i].Script.name, took, result.Error())
		if ended != nil {
			ended(i, result.Error())
		}
	}
	return results
}

func unknownScript(err error) bool {
	redisErr, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(redisErr.Error(), "NOSCRIPT")
}
