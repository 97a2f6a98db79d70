package cluster

import (
	"fmt"
	"strings"

	"github.com/streamlease/streamlease/api"
)

const (
	// MaxServiceName and MaxConsumerID are the greatest lengths of these
	// names, in bytes. They are part of many keys and values; 200 leaves
	// room for a DNS name label by label, and bounds what they cost.
	MaxServiceName = 200
	MaxConsumerID  = 200

	// MaxStreamName is the greatest length of the name of a data stream, in
	// bytes. Redis allows 512 MB for a key; a batch of 512 names of 64 KiB is
	// 32 MB, the most that one command should carry.
	MaxStreamName = 64 << 10

	// foreignPrefix is how the consumers of the library that shares our input
	// streams are called; a consumer so named would be taken for one of them.
	foreignPrefix = "redis-consumer-"
)

// ValidateService says whether name can be that of a service: 1 to
// MaxServiceName of the characters A-Z, a-z, 0-9, '.', '_', '-', ':'. Braces
// would make a hash tag of a part of the name. An error matches
// api.ErrInvalidConfig.
func ValidateService(name string) error {
	return validateName("service", name, MaxServiceName)
}

// ValidateConsumerID says whether id can be that of a consumer: 1 to
// MaxConsumerID of the characters that ValidateService allows, not beginning
// with "redis-consumer-", as consumers of another library on the same input
// stream are called. An error matches api.ErrInvalidConfig.
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

// ValidateStream says whether name can be that of a data stream: any 1 to
// MaxStreamName bytes. An error matches api.ErrInvalidStream.
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
