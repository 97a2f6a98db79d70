package preflight

import (
	"errors"
	"slices"
	"strings"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/lease"
)

// answer is a server's answer to the question whether a command is allowed.
type answer uint8

const (
	unknown answer = iota
	allowed
	noCommand // the command is not allowed
	noKey     // the key is not
	noChannel // the channel is not
	missing   // the server does not know the command
	wrongType // allowed, but a key of another type is in the way
)

// classify reads the reply to a question. A dry run replies "OK", or a sentence that is not an error.
func classify(result rueidis.RedisResult, asked string) answer {
	if err := result.Error(); err != nil && !rueidis.IsRedisNil(err) {
		return classifyError(err, asked)
	}
	if text, err := result.ToString(); err == nil && strings.Contains(strings.ToLower(text), "no permissions") {
		return refusal(text)
	}
	return allowed
}

func classifyError(err error, asked string) answer {
	if err == nil {
		return allowed
	}
	text := err.Error()
	code, refused := lease.Refusal(err)
	switch {
	case !refused && !isServerError(err):
		return unknown
	case code == "NOPERM" || slices.ContainsFunc(refusals, func(words string) bool { return strings.Contains(strings.ToLower(text), words) }):
		return refusal(text)
	case code == "WRONGTYPE":
		return wrongType
	case strings.Contains(text, "unknown command"), strings.Contains(text, "nknown subcommand"):
		return missing
	case asked == "EVAL" && strings.Contains(text, "compiling script"):
		return unknown
	}
	return allowed
}

// refusals are parts of the errors with which servers refuse a command of a script: the first two are those of Redis 7.0, the
// third that of later versions.
var refusals = []string{"can't run this command", "can't access", "no permissions"}

func isServerError(err error) bool {
	var reply *rueidis.RedisError
	return errors.As(err, &reply)
}

// refusal finds out what is refused from the server's error, whose words differ between versions.
func refusal(text string) answer {
	switch {
	case strings.Contains(text, "channel"):
		return noChannel
	case strings.Contains(text, " key"):
		return noKey
	}
	return noCommand
}
