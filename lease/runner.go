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
}

// NewRunner runs scripts on client, which stays the caller's. observe may be nil.
func NewRunner(client rueidis.Client, observe func(script string, took time.Duration, err error)) *Runner {
	if observe == nil {
		observe = func(string, time.Duration, error) {}
	}
	return &Runner{client: client, observe: observe}
}

// Call is one run of a script. All its keys are in one slot.
type Call struct {
	Script *Script
	Keys   []string
	Args   []string
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
	result := r.client.Do(ctx, r.command("EVALSHA", c.Script.sha, c))
	if unknownScript(result.Error()) {
		result = r.client.Do(ctx, r.command("EVAL", c.Script.body, c))
	}
	r.observe(c.Script.name, time.Since(began), result.Error())
	return result
}

// DoMulti runs calls in one pipeline for each server involved; results are in the order of the calls.
func (r *Runner) DoMulti(ctx context.Context, calls []Call) []rueidis.RedisResult {
	if len(calls) == 1 {
		return []rueidis.RedisResult{r.Do(ctx, calls[0])}
	}
	began := time.Now()
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
	}
	return results
}

// DoWith runs a call whose script takes the key of signals as the last of its keys, or does without.
func (r *Runner) DoWith(ctx context.Context, g *Signals, p int, c Call) rueidis.RedisResult {
	return r.doWith(ctx, p, []Call{c}, g.extra())[0]
}

// doWith runs calls whose scripts take extra keys, or do without. A server that refuses an extra key refuses the whole call: to this
// user, or because a slot migrates and the key is not on the same of two servers as the others, which an absent key never is. Then
// nothing was done, and the call is made again without it: while a slot migrates without any of them, otherwise without one more of
// them at a time, in their order, until it is known which of them the user has no right to.
func (r *Runner) doWith(ctx context.Context, p int, calls []Call, extras ...*optional) []rueidis.RedisResult {
	use := inUse(p, extras)
	with := calls
	if len(use) > 0 {
		with = make([]Call, len(calls))
		for i := range calls {
			with[i] = calls[i].withKeys(p, use)
		}
	}
	results := r.DoMulti(ctx, with)
	for n := range use {
		if !r.without(ctx, p, calls, results, use, n) {
			break
		}
	}
	return results
}

// without makes those calls again that were refused because of extra keys, with one of them less, and replaces their results. It
// reports whether there may be more to leave out.
func (r *Runner) without(ctx context.Context, p int, calls []Call, results []rueidis.RedisResult, use []*optional, n int) bool {
	rest := use[n+1:]
	var refused []int
	var why error
	for i, result := range results {
		switch code, _ := Refusal(result.Error()); code {
		case "TRYAGAIN":
			rest = nil
			fallthrough
		case "NOPERM":
			refused, why = append(refused, i), result.Error()
		}
	}
	if len(refused) == 0 {
		return false
	}
	again := make([]Call, len(refused))
	for j, i := range refused {
		again[j] = calls[i].withKeys(p, rest)
	}
	denied := false
	for j, result := range r.DoMulti(ctx, again) {
		results[refused[j]] = result
		code, _ := Refusal(result.Error())
		denied = denied || code == "NOPERM"
	}
	code, _ := Refusal(why)
	switch {
	case code == "TRYAGAIN":
		for _, o := range use {
			o.leaveOut(p, optionalMigrating)
		}
		return false
	case !denied:
		use[n].refuse(p, why)
	}
	return denied
}

func unknownScript(err error) bool {
	redisErr, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(redisErr.Error(), "NOSCRIPT")
}
