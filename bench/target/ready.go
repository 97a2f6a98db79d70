package target

import (
	"context"
	"fmt"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/engine"
)

// AwaitReady waits until an engine is ready that runs and sends its error when it ends, which it must not do before.
func AwaitReady(ctx context.Context, e *engine.Engine, ended <-chan error) error {
	err := measure.Poll(ctx, Timeout, func() (bool, error) {
		select {
		case err := <-ended:
			return false, fmt.Errorf("the engine ended: %w", err)
		default:
			return e.Ready(ctx) == nil, nil
		}
	})
	if err != nil {
		return fmt.Errorf("waiting for the engine: %w", err)
	}
	return nil
}
