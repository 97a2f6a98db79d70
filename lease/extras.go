package lease

import (
	"context"

	"github.com/redis/rueidis"
)

// DoWith runs a call whose script takes the key of signals as the last of its keys, or does without.
func (r *Runner) DoWith(ctx context.Context, g *Signals, p int, c Call) rueidis.RedisResult {
	return r.doWith(ctx, p, []Call{c}, g.extra())[0]
}

// withKeys returns the call with the keys of extras.
func (c Call) withKeys(p int, extras []*optional) Call {
	c.Keys = c.Keys[:len(c.Keys):len(c.Keys)]
	for _, o := range extras {
		c.Keys = append(c.Keys, o.keys(p)...)
	}
	return c
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
