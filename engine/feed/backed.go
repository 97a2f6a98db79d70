package feed

import (
	"context"
	"sync"

	"github.com/streamlease/streamlease/engine/feed/internal/backing"
)

// backed is a core on parts that are not the engine's, for feedtest.
type backed struct {
	*core
	end     context.CancelFunc
	ticking *sync.WaitGroup
}

func (b backed) Stop() <-chan struct{} {
	b.end()
	b.ticking.Wait()
	return b.core.stop()
}

func init() {
	backing.New = func(handler, config any, p backing.Parts) (backing.Feed, any, error) {
		k, err := newCore(handler.(Handler), config.(Config), coreParts{Parts: p})
		if err != nil {
			return nil, nil, err
		}
		ctx, end := context.WithCancel(context.Background())
		var ticking sync.WaitGroup
		ticking.Go(func() { k.ticker.run(ctx) })
		return backed{k, end, &ticking}, &Feed{core: k}, nil
	}
}
