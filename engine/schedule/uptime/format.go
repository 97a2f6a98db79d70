package main

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"time"
)

// functions are what templates call.
var functions = template.FuncMap{
	"clock":    func(t time.Time) string { return t.UTC().Format(time.TimeOnly) },
	"moment":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
	"since":    func(t time.Time) string { return rough(time.Since(t)) },
	"took":     took,
	"percent":  percent,
	"grouped":  grouped,
	"lateness": latenessBars,
	"answers":  answerBars,
	"without":  func(a, b int) int { return a - b },
}

// rough is a duration in its two largest units.
func rough(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(d, 0)/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

func took(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// percent rounds down, so that 100 % means all.
func percent(part, all int) string {
	if all == 0 {
		return "–"
	}
	hundredths := part * 10_000 / all
	if hundredths == 10_000 {
		return "100 %"
	}
	return fmt.Sprintf("%d.%02d %%", hundredths/100, hundredths%100)
}

// grouped writes a number with commas.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// bar is one bar of a chart that is 100 high.
type bar struct {
	X, Y, Height float64
	Class, Title string
}

// newBar is a bar of some part of the height.
func newBar(x int, part float64, class, title string) bar {
	height := 100 * min(max(part, 0.03), 1)
	return bar{float64(x) + 0.1, 100 - height, height, class, title}
}

// latenessBars has a bar for each of the last 60 minutes: how late the latest check was, from 1 ms to 100 s by its logarithm.
func latenessBars(all []Minute) (bars []bar) {
	now := time.Now().Truncate(time.Minute)
	for _, m := range all {
		class := ""
		switch {
		case m.Missed > 0:
			class = "bad"
		case m.Latest > promptly:
			class = "slow"
		}
		title := fmt.Sprintf("%s: %s checks, the latest %s late, %d not made", m.At.UTC().Format("15:04"), grouped(m.Checks), took(m.Latest), m.Missed)
		part := math.Log10(max(1, float64(m.Latest.Milliseconds()))) / 5
		bars = append(bars, newBar(59-int(now.Sub(m.At)/time.Minute), part, class, title))
	}
	return bars
}

// answerBars has a bar for each check, the latest on the right: how long the answer took, beside the longest.
func answerBars(past []Past) (bars []bar) {
	longest := time.Millisecond
	for _, p := range past {
		if p.Error == "" {
			longest = max(longest, p.Took)
		}
	}
	for i, p := range past {
		part, class, text := float64(p.Took)/float64(longest), "", took(p.Took)
		if p.Error != "" {
			part, class, text = 1, "bad", p.Error
		}
		bars = append(bars, newBar(historySize-1-i, part, class, p.At.UTC().Format(time.TimeOnly)+": "+text))
	}
	return bars
}
