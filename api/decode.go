package api

import (
	"encoding/json"
	"fmt"
)

// DecodeInfo decodes the info that was announced with a stream into a T, by
// the rules of encoding/json. A stream announced without info decodes like
// "{}": the zero value of a struct or map.
//
// An error is [Permanent], since the same bytes would fail again: a handler
// may return it as it is, and the announcement is dead-lettered. With an error,
// the value is the zero T.
func DecodeInfo[T any](l Lease) (T, error) {
	var v T
	if err := json.Unmarshal(l.Info(), &v); err != nil {
		var zero T
		return zero, Permanent(fmt.Errorf("streamlease: decode info of stream %q: %w", l.Stream(), err))
	}
	return v, nil
}
