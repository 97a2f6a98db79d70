package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// longest is how many characters of a name a table shows.
const longest = 60

// unreadable stands for the name of a stream whose announcement cannot be parsed.
const unreadable = "(unreadable)"

// visible returns a text with everything escaped that a terminal would not show as a character of its own: control characters, marks
// that change the direction of writing, bytes that are not UTF-8.
func visible(text string) string {
	if clean(text) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		if r == utf8.RuneError && n == 1 || !unicode.IsPrint(r) {
			quoted := strconv.Quote(text[:n])
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteString(text[:n])
		}
		text = text[n:]
	}
	return b.String()
}

func clean(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// named returns a name as tables show it: as it is where that is clear, else in quotes with escapes, and cut in the middle if it is long.
func named(name string) string { return namedIn(name, longest) }

// namedIn is named for up to most characters.
func namedIn(name string, most int) string {
	if name == "" {
		return unreadable
	}
	short := shortened(name, most)
	if !clean(short) || strings.ContainsAny(short, `"\`) || strings.TrimSpace(short) != short {
		short = strconv.Quote(short)
	}
	if len(short) == len(name) || utf8.RuneCountInString(name) <= most {
		return short
	}
	return fmt.Sprintf("%s (%d bytes)", short, len(name))
}

// shortened cuts a text of more than most characters in the middle.
func shortened(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	head, tail := most*2/3, most-most*2/3-1
	start, end := 0, len(text)
	for range head {
		_, n := utf8.DecodeRuneInString(text[start:])
		start += n
	}
	for range tail {
		_, n := utf8.DecodeLastRuneInString(text[:end])
		end -= n
	}
	return text[:start] + "…" + text[end:]
}
