package engine

import (
	"context"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// What servers call the channels of keyspace events by key.
const (
	keyspaceStart = "__keyspace@"
	channelEnd    = "__:"
)

// flags are those that a server has for keyspace events, after adding what is wanted where that is allowed. known is
// false when it does not say.
func (h *hints) flags(ctx context.Context, client rueidis.DedicatedClient) (have cluster.EventFlags, known bool) {
	answer, err := client.Do(ctx, client.B().ConfigGet().Parameter(cluster.EventSetting).Build()).AsStrMap()
	value, known := answer[cluster.EventSetting]
	have = cluster.EventFlags(value)
	if err != nil || !known {
		h.once("expiry notifications: CONFIG is refused, so whether servers report expired keys is up to them; going on without knowing",
			"setting", cluster.EventSetting, "err", lease.Explain(err))
		return "", false
	}
	if missing := have.Missing(); missing != "" && h.e.cfg.setEvents {
		err := client.Do(ctx, client.B().ConfigSet().ParameterValue().ParameterValue(cluster.EventSetting, value+missing).Build()).Error()
		if err == nil {
			return have + cluster.EventFlags(missing), true
		}
		h.once("expiry notifications: CONFIG SET is refused; going on with what is set", "setting", cluster.EventSetting, "value", have,
			"err", lease.Explain(err))
	}
	if !have.Reports() {
		h.once("expiry notifications: a server does not report expired keys; going on without",
			"setting", cluster.EventSetting, "value", have, "remedy", "set it to \"Kx\", or use WithKeyspaceEvents")
	}
	return have, true
}
