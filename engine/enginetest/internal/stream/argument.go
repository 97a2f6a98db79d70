package stream

import (
	"strconv"
	"strings"
)

const errInteger = Error("ERR value is not an integer or out of range")

// text returns an argument as far as C reads it as a string: up to a zero byte. Redis reads options and IDs so.
func text(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s
}

// is reports whether an argument is an option, in letters of any case.
func is(arg, option string) bool {
	arg = text(arg)
	return len(arg) == len(option) && strings.EqualFold(arg, option)
}

// parseInt reads a number in its only canonical form: no sign but -, no zeros in front, no spaces.
func parseInt(s string) (int64, error) {
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil || strconv.FormatInt(v, 10) != s {
		return 0, errInteger
	}
	return v, nil
}

// parseIntOr is parseInt with another error.
func parseIntOr(s string, otherwise Error) (int64, error) {
	v, err := parseInt(s)
	if err != nil {
		return 0, otherwise
	}
	return v, nil
}

// parseUint reads a part of an ID. Redis is lenient there: what is not a canonical number is left to strtoull, which takes spaces, a
// plus and zeros in front, and wraps what is negative.
func parseUint(s string) (uint64, bool) {
	if v, err := parseInt(s); err == nil {
		return uint64(v), v >= 0
	}
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	negative := strings.HasPrefix(s, "-")
	if negative || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	v, err := strconv.ParseUint(s, 10, 64)
	if negative {
		v = -v
	}
	return v, err == nil
}
