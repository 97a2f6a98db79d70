package expiry

import (
	"context"

	"github.com/redis/rueidis"
)

// flags returns the flags that a server has, after adding those that are missing where that is allowed. known is false when
// it does not say.
func (w *Watcher) flags(ctx context.Context, client rueidis.DedicatedClient) (have Flags, known bool) {
	answer, err := client.Do(ctx, client.B().ConfigGet().Parameter(Setting).Build()).AsStrMap()
	value, known := answer[Setting]
	have = Flags(value)
	if err != nil || !known {
		w.warnOnce("expiry notifications: CONFIG is refused, so whether servers report expired keys is up to them; going on without knowing",
			err, "setting", Setting)
		return "", false
	}
	if missing := have.Missing(); missing != "" && w.cfg.Set {
		err := client.Do(ctx, client.B().ConfigSet().ParameterValue().ParameterValue(Setting, value+missing).Build()).Error()
		if err == nil {
			return have + Flags(missing), true
		}
		w.warnOnce("expiry notifications: CONFIG SET is refused; going on with what is set", err, "setting", Setting, "value", have)
	}
	if !have.Reports() {
		w.warnOnce("expiry notifications: a server does not report expired keys; going on without", nil,
			"setting", Setting, "value", have, "remedy", "set it to \"Kx\", or use WithKeyspaceEvents")
	}
	return have, true
}
