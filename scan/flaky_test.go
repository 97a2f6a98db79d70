package scan_test

import (
	"context"
	"errors"
	"slices"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// flaky is a client that fails.
type flaky struct {
	rueidis.Client
	before func(script string) error // an error means that the call is not made
	after  func(script string) error // an error means that the answer is lost
	quiet  bool                      // neither is called for what changes nothing
}

// changes reports whether a script or command changes something.
func changes(name string) bool {
	return slices.Contains([]string{"stop", "start", "claim", "unlink", "moved", "raise", "XADD", "ZADD"}, name)
}

var errFlaky = errors.New("the connection broke")

func scriptOf(cmd rueidis.Completed) string {
	words := cmd.Commands()
	for _, s := range scan.Scripts() {
		if len(words) > 1 && (words[1] == s.SHA() || words[1] == s.Body()) {
			return s.Name()
		}
	}
	return words[0]
}

func failed(err error) rueidis.RedisResult { return rueidis.NewErrorResult(err) }

func (f *flaky) Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	name := scriptOf(cmd)
	if f.before != nil {
		if err := f.before(name); err != nil {
			return failed(err)
		}
	}
	result := f.Client.Do(ctx, cmd)
	if code, _ := lease.Refusal(result.Error()); code == "NOSCRIPT" {
		return result // it did not run
	}
	if f.after != nil {
		if err := f.after(name); err != nil {
			return failed(err)
		}
	}
	return result
}

func (f *flaky) DoMulti(ctx context.Context, multi ...rueidis.Completed) []rueidis.RedisResult {
	if name := scriptOf(multi[0]); f.quiet && !changes(name) {
		return f.Client.DoMulti(ctx, multi...)
	}
	results := make([]rueidis.RedisResult, len(multi))
	for n, cmd := range multi {
		results[n] = f.Do(ctx, cmd)
	}
	return results
}

// flakyAt returns a client that fails at the n-th call that changes something, and from then on, as if its process were dead.
// With lost set that call is made, and its answer is lost.
func (f *fleet) flakyAt(n int, lost bool) (client *flaky, calls *int) {
	calls = new(int)
	count := func(script string) error {
		if changes(script) {
			*calls++
		}
		if *calls >= n {
			return errFlaky
		}
		return nil
	}
	if !lost {
		return &flaky{Client: f.Client, before: count, quiet: true}, calls
	}
	dead := func(string) error {
		if *calls >= n {
			return errFlaky
		}
		return nil
	}
	return &flaky{Client: f.Client, before: dead, after: count, quiet: true}, calls
}
