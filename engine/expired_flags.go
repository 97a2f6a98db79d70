package engine

import (
	"context"
	"strings"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/lease"
)

// What servers call the channels of keyspace events.
const (
	keyspaceStart = "__keyspace@"
	channelEnd    = "__:"
	expiredEvents = "__keyevent@*__:expired"

	eventsSetting = "notify-keyspace-events"
	eventsWanted  = "KEx"
)

// flags are those that a server has for keyspace events, after adding what is wanted where that is allowed. known is
// false when it does not say.
func (h *hints) flags(ctx context.Context, client rueidis.DedicatedClient) (have string, known bool) {
	answer, err := client.Do(ctx, client.B().ConfigGet().Parameter(eventsSetting).Build()).AsStrMap()
	have, known = answer[eventsSetting]
	if err != nil || !known {
		h.once("expiry notifications: CONFIG is refused, so whether servers report expired keys is up to them; going on without knowing",
			"setting", eventsSetting, "err", lease.Explain(err))
		return "", false
	}
	if missing := missingFlags(have); missing != "" && h.e.cfg.setEvents {
		err := client.Do(ctx, client.B().ConfigSet().ParameterValue().ParameterValue(eventsSetting, have+missing).Build()).Error()
		if err == nil {
			return have + missing, true
		}
		h.once("expiry notifications: CONFIG SET is refused; going on with what is set", "setting", eventsSetting, "value", have,
			"err", lease.Explain(err))
	}
	if !reports(have) {
		h.once("expiry notifications: a server does not report expired keys; going on without",
			"setting", eventsSetting, "value", have, "remedy", "set it to \"Kx\", or use WithKeyspaceEvents")
	}
	return have, true
}

// missingFlags are those that are wanted and not among have. "A" stands for all kinds of events, not for K and E.
func missingFlags(have string) (missing string) {
	for _, flag := range eventsWanted {
		if !strings.ContainsRune(have, flag) && (flag != 'x' || !strings.Contains(have, "A")) {
			missing += string(flag)
		}
	}
	return missing
}

// reports says whether a server with these flags reports expired keys.
func reports(have string) bool {
	return strings.ContainsAny(have, "xA") && strings.ContainsAny(have, "KE")
}

// pattern is the channels to subscribe to: by key, which brings our leases alone, unless it brings all that ever happens
// to them, every renewal of everybody included (g, $); else by event, which brings the expired keys of everybody.
func (h *hints) pattern(have string, known bool) string {
	byKey := known && strings.Contains(have, "K") && reports(have) &&
		(!strings.ContainsAny(have, "g$A") || !strings.Contains(have, "E"))
	if !byKey {
		return expiredEvents
	}
	// Names of services have no character that a pattern gives a meaning to.
	return keyspaceStart + "*" + channelEnd + "{" + h.e.layout.Service() + "-input*}:lease:*"
}
