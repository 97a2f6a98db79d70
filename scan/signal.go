package scan

import (
	"context"
	"fmt"

	"github.com/streamlease/streamlease/lease"
)

// Signal sends a signal to the owner of a data stream, as engine.Publisher does, and with the same errors. It returns nil whether anybody
// owns the stream or not: Owner says who does.
func (i *Inspector) Signal(ctx context.Context, stream string, payload []byte) error {
	layout, err := i.layout(ctx)
	if err != nil {
		return err
	}
	doing := fmt.Sprintf("signalling stream %.64q", stream)
	if err := lease.CheckSignal(layout, stream, payload); err != nil {
		return fmt.Errorf("scan: %s: %w", doing, err)
	}
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	return explained(doing, i.client.Do(ctx, lease.SignalCommand(i.client.B(), layout, stream, payload)).Error())
}
