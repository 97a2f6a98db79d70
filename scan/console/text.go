package console

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/streamlease/streamlease/lease"
)

const (
	// shortName is how many characters of a name a table shows.
	shortName = 64
	// longLine is how many characters of a reason a table shows.
	longLine = 200
	// mostText is how much of a body, a state or a checkpoint is shown, in bytes.
	mostText = 16 << 10
)

// visible returns a text in which nothing is hidden: what is not printed, turns the direction of writing or is no UTF-8 is
// escaped as in Go.
func visible(text string) string {
	clean := true
	for _, r := range text {
		if r == utf8.RuneError || hidden(r) {
			clean = false
			break
		}
	}
	if clean {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case hidden(r) && r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case hidden(r) && r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		case hidden(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteString(text[:size])
		}
		text = text[size:]
	}
	return b.String()
}

// hidden reports whether a character does not show, or changes how others do: controls, formats such as the right-to-left override,
// separators of lines, spaces that look like others, private ones.
func hidden(r rune) bool {
	return r != ' ' && !unicode.IsGraphic(r) || unicode.Is(unicode.Zs, r) && r != ' ' || unmarked(r)
}

// unmarked reports whether a graphic character shows nothing of itself: the variation selectors and fillers.
func unmarked(r rune) bool {
	return r >= 0xfe00 && r <= 0xfe0f || r >= 0xe0100 && r <= 0xe01ef || r == 0x115f || r == 0x1160 || r == 0x3164 || r == 0xffa0 || r == 0x34f
}

// short is visible, cut in the middle to some characters.
func short(text string) string { return cutMiddle(text, shortName) }

// line is the same, for a reason, which says more.
func line(text string) string { return cutMiddle(text, longLine) }

func cutMiddle(text string, most int) string {
	// Only the ends of a long text are looked at.
	if len(text) > 8*most {
		head, tail := visible(text[:4*most]), visible(text[len(text)-4*most:])
		return firstRunes(head, most*2/3) + "…" + lastRunes(tail, most/3)
	}
	text = visible(text)
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return firstRunes(text, most*2/3) + "…" + lastRunes(text, most/3)
}

func firstRunes(text string, n int) string {
	for i := range text {
		if n == 0 {
			return text[:i]
		}
		n--
	}
	return text
}

func lastRunes(text string, n int) string {
	end := len(text)
	for ; n > 0 && end > 0; n-- {
		_, size := utf8.DecodeLastRuneInString(text[:end])
		end -= size
	}
	return text[end:]
}

// body is a text of some lines, visible, and cut at mostText.
func body(text string) string {
	cut := ""
	if len(text) > mostText {
		cut = fmt.Sprintf("\n… %s more", bytesText(len(text)-mostText))
		text = text[:mostText]
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		parts := strings.Split(line, "\t")
		for n := range parts {
			parts[n] = visible(parts[n])
		}
		lines[i] = strings.Join(parts, "\t")
	}
	return strings.Join(lines, "\n") + cut
}

// count writes a number with thin groups of three digits: 100,000.
func count(n int) string {
	text := strconv.Itoa(n)
	sign := ""
	if n < 0 {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// plural writes a number with its noun: "1 stream", "2 streams", "2 processes".
func plural(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "s"):
		return count(n) + " " + noun + "es"
	}
	return count(n) + " " + noun + "s"
}

func bytesText(n int) string {
	switch {
	case n >= 1<<20:
		return strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64) + " MiB"
	case n >= 1<<10:
		return strconv.FormatFloat(float64(n)/(1<<10), 'f', 1, 64) + " KiB"
	}
	return plural(n, "byte")
}

// number writes a weight or a share: as many decimals as tell something.
func number(x float64) string {
	switch {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return "unknown"
	case x >= 100 || x == math.Trunc(x) && math.Abs(x) < 1e15:
		return count(int(math.Round(min(x, 1e15))))
	case x >= 10:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}

// span writes a duration with its two greatest units: "3 min 20 s".
func span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Second:
		return strconv.Itoa(int(d.Milliseconds())) + " ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < time.Hour:
		return two(int(d.Minutes()), "min", int(d.Seconds())%60, "s")
	case d < 48*time.Hour:
		return two(int(d.Hours()), "h", int(d.Minutes())%60, "min")
	}
	return two(int(d.Hours())/24, "days", int(d.Hours())%24, "h")
}

func two(great int, unit string, small int, smallUnit string) string {
	text := strconv.Itoa(great) + " " + unit
	if small == 0 {
		return text
	}
	return text + " " + strconv.Itoa(small) + " " + smallUnit
}

// runOf returns the run that a consumer belongs to: its name in all partitions, as engine.Engine.ID returns it.
func runOf(consumer string) string {
	id := lease.ConsumerID(consumer)
	suffix, _, _ := strings.Cut(consumer[len(id):], "-")
	return id + suffix
}
