package engine

import (
	"context"
	"fmt"

	"github.com/streamlease/streamlease/lease"
)

// Signal sends a signal to the owner of a data stream, who gets it within about a second (a beat) as api.Signaled, with payload, which may be
// empty and has at most api.MaxSignal bytes. It is a hint, kept for nobody: if the stream is not owned, it is lost; so it may be in a failover,
// behind 10,000 others, or if the handler does not keep up; and it may be delivered twice. What must not be lost is data elsewhere, at which
// a signal says to look.
//
// Every process of the service reads every signal of the partition: stay below 100 a second for each. The user of the client needs +xadd on
// {<input stream>}:signals.
//
// Nothing is sent twice: after an error of the connection, or the end of ctx, it may have been sent all the same. Errors match
// api.ErrInvalidStream and api.ErrTooLarge, or are as with Publish.
func (p *Publisher) Signal(ctx context.Context, stream string, payload []byte) error {
	if err := lease.CheckSignal(p.layout, stream, payload); err != nil {
		return signalling(stream, err)
	}
	if err := p.agree(ctx); err != nil {
		return signalling(stream, err)
	}
	err := p.client.Do(ctx, lease.SignalCommand(p.client.B(), p.layout, stream, payload)).Error()
	if _, refused := lease.Refusal(err); err != nil && !refused {
		err = fmt.Errorf("no answer, it may have been sent all the same: %w", err)
	}
	return signalling(stream, lease.Explain(err))
}

func signalling(stream string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("signalling stream %.*q: %w", errorName, stream, err)
}
