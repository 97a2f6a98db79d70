package report

import "github.com/streamlease/streamlease/bench/bar"

// Steps shows from now on how many of n steps are done, until End. It returns nil where no progress is shown.
func (r *Report) Steps(what string, n int) *bar.Bar {
	if r.Progress == nil {
		return nil
	}
	return bar.New(r.Progress, what, n, true)
}
