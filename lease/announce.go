package lease

import (
	"fmt"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
)

// AnnounceUnowned returns the call that announces a stream unless it is owned, or last, which the caller announced before, stands; "": none
// is known. fields are names and values in turn.
func AnnounceUnowned(layout *cluster.Layout, stream, last string, fields []string) Call {
	k := layout.Keys(layout.Of(stream))
	call := AnnounceUnlooked(layout, stream, last, fields)
	call.Keys = append(call.Keys, k.Lease(stream))
	return call
}

// AnnounceUnlooked is AnnounceUnowned for a slot that migrates: it does not look at the lease, which LookOwned must have done before.
func AnnounceUnlooked(layout *cluster.Layout, stream, last string, fields []string) Call {
	return Call{
		Script: scriptAnnounce,
		Keys:   []string{layout.Keys(layout.Of(stream)).Input},
		Args:   append([]string{layout.Group(), last}, fields...),
	}
}

// LookOwned returns the call that finds out whether a stream is owned.
func LookOwned(layout *cluster.Layout, stream string) Call {
	return Call{Script: scriptOwned, Keys: []string{layout.Keys(layout.Of(stream)).Lease(stream)}}
}

// ParseOwned parses the answer to LookOwned: whether the stream is owned; and if its lease is shut, the entry that this is held for, which goes
// with it.
func ParseOwned(result rueidis.RedisResult) (owned bool, leaving string, err error) {
	answer, err := result.AsStrSlice()
	switch {
	case err != nil:
		return false, "", err
	case len(answer) == 2 && (answer[0] == "o" || answer[0] == "f"):
		return answer[0] == "o", answer[1], nil
	}
	return false, "", orMalformed("owned", nil)
}

// ParseAnnounced parses the answer: the entry that was announced, or stands; "" if the stream is owned.
func ParseAnnounced(result rueidis.RedisResult) (entry string, err error) {
	answer, err := result.AsStrSlice()
	switch {
	case err != nil:
		return "", err
	case len(answer) == 2 && (answer[0] == "o" || (answer[0] == "a" || answer[0] == "s") && isID(answer[1])):
		return answer[1], nil
	}
	return "", fmt.Errorf("announce: malformed answer %.80q", answer)
}
