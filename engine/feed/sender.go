package feed

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
)

// ErrNotAnnounced: Send added the message, whose ID it returned, or may have added it, and could not see to it that the stream has an
// owner. If it has none, the message waits for the next that is sent to the stream. Announce the stream again, with Publish and
// engine.OnlyIfUnowned, until that succeeds. Do not send the message again, unless the error matches ErrMaybeAdded, too.
var ErrNotAnnounced = errors.New("feed: the message was added, but its stream was not announced")

// ErrMaybeAdded: the answer to adding a message was lost, so it may be in the stream or not. Sending it again may add it twice: give
// messages an ID of your own in a field if that matters to whoever handles them.
var ErrMaybeAdded = errors.New("feed: no answer, the message may have been added all the same")

// Sender sends messages to data streams, and announces a stream that nobody owns. It starts no goroutine and need not be closed. It is
// safe for concurrent use.
type Sender struct {
	publisher *engine.Publisher
	client    rueidis.Client
}

// NewSender makes a sender that announces with p, and adds messages with the client of p. It sends nothing yet.
//
// Its user needs the rights of a publisher that uses engine.OnlyIfUnowned (docs/acl.md), and XADD on the data streams.
func NewSender(p *engine.Publisher) *Sender { return &Sender{publisher: p, client: p.Client()} }

// Send adds a message to a stream, with an ID of the server's, which it returns, and then announces the stream unless it has an owner, or an
// announcement of this sender's stands (see engine.OnlyIfUnowned). It costs two round trips, one after the other: the order is
// what leaves no message without an owner. There is at least one field; names may repeat.
//
// The error matches
//   - ErrNotAnnounced if the message was added and the stream may have no owner: the ID is returned with it;
//   - ErrMaybeAdded if it is not known whether the message was added. The stream has been announced then, or the error matches
//     ErrNotAnnounced as well;
//   - api.ErrInvalidStream or api.ErrTooLarge for a name that cannot be announced, for which nothing is sent.
//
// With any other error the message was not added. Nothing is retried: ctx bounds both steps. A process that dies between them, or a
// server that forgets the announcement in a failover, leaves the message as ErrNotAnnounced does. So a producer that starts, and that
// may have died like this, announces the streams that it has been sending to.
func (s *Sender) Send(ctx context.Context, stream string, fields ...Field) (id string, err error) {
	if len(fields) == 0 {
		return "", fmt.Errorf("%w: a message for stream %.64q has no field", api.ErrInvalidConfig, stream)
	}
	if err := s.publisher.Check(stream); err != nil {
		return "", err
	}
	add := s.client.B().Xadd().Key(stream).Id("*").FieldValue()
	for _, f := range fields {
		add = add.FieldValue(f.Name, f.Value)
	}
	id, err = s.client.Do(ctx, add.Build()).ToString()
	var unsure error
	if err != nil {
		if _, refused := lease.Refusal(err); refused {
			return "", fmt.Errorf("adding a message to stream %.64q: %w", stream, lease.Explain(err))
		}
		unsure = fmt.Errorf("%w (stream %.64q): %w", ErrMaybeAdded, stream, err)
	}
	if _, err := s.publisher.Publish(ctx, stream, nil, engine.OnlyIfUnowned()); err != nil {
		return id, errors.Join(unsure, fmt.Errorf("%w: %w", ErrNotAnnounced, err))
	}
	return id, unsure
}
