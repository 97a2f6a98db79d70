package cluster

import (
	"fmt"
	"strings"

	"github.com/streamlease/streamlease/api"
)

const (
	// MaxServiceName and MaxConsumerID are the greatest lengths of these
	// names, in bytes. The names are part of many keys and values; 200 leaves
	// room for a DNS name label by label, and bounds their cost.
	MaxServiceName = 200
	MaxConsumerID  = 200

	// MaxStreamName is the greatest length of a data stream's name, in bytes.
	// Redis allows 512 MB for a key; a batch of 512 names of 64 KiB is 32 MB,
	// the most that one command should carry.
	MaxStreamName = 64 << 10

	// foreignPrefix is how the consumer names of the library that shares our
	// input streams begin; a consumer of ours with such a name would be taken
	// for one of theirs.
	foreignPrefix = "redis-consumer-"
)

// ValidateService returns an error unless name is a valid service name: 1 to
// MaxServiceName of the characters A-Z, a-z, 0-9, '.', '_', '-', ':'. Braces are
// refused, since they would turn a part of the name into a hash tag. The error
// matches api.ErrInvalidConfig.
func ValidateService(name string) error {
	return validateName("service", name, MaxServiceName)
}

// ValidateConsumerID returns an error unless id is a valid consumer ID: 1 to
// MaxConsumerID of the characters that ValidateService allows, not beginning
// with "redis-consumer-", which names consumers of another library on the same
// input stream. The error matches api.ErrInvalidConfig.
func ValidateConsumerID(id string) error {
	if err := validateName("consumer id", id, MaxConsumerID); err != nil {
		return err
	}
	if strings.HasPrefix(id, foreignPrefix) {
		return fmt.Errorf("%w: consumer id: %q begins with %q, which marks consumers of another library; use another prefix",
			api.ErrInvalidConfig, id, foreignPrefix)
	}
	return nil
}

// ValidateStream returns an error unless name is a valid data stream name: any 1
// to MaxStreamName bytes. The error matches api.ErrInvalidStream.
func ValidateStream(name string) error {
	if name == "" {
		return fmt.Errorf("%w: the name is empty; give the key of the data stream", api.ErrInvalidStream)
	}
	if len(name) > MaxStreamName {
		return fmt.Errorf("%w: %q… has %d bytes, the limit is %d; use a shorter name",
			api.ErrInvalidStream, name[:32], len(name), MaxStreamName)
	}
	return nil
}

func validateName(field, name string, limit int) error {
	if name == "" {
		return fmt.Errorf("%w: %s: %q is empty; give it 1 to %d letters, digits, '.', '_', '-' or ':'",
			api.ErrInvalidConfig, field, name, limit)
	}
	if len(name) > limit {
		return fmt.Errorf("%w: %s: %q… has %d bytes, the limit is %d; use a shorter name",
			api.ErrInvalidConfig, field, name[:32], len(name), limit)
	}
	for i := range len(name) {
		if !nameByte(name[i]) {
			return fmt.Errorf("%w: %s: %q has %q at byte %d; use letters, digits, '.', '_', '-' and ':' only",
				api.ErrInvalidConfig, field, name, name[i:i+1], i)
		}
	}
	return nil
}

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '.' || c == '_' || c == '-' || c == ':'
}
