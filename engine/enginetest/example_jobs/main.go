package main

import (
	"cmp"
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/rueidis"
	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
)

// fanOut keeps batches while their messages, in the order of each job, wait for one of size calls. None begins after stop has ended.
func fanOut(stop context.Context, size int, do func(context.Context, api.Lease, feed.Message) error) feed.Handler {
	pool := make(chan struct{}, size)
	return func(ctx context.Context, b *feed.Batch) error {
		pending := b.Keep()
		go func() {
			for _, m := range b.Messages {
				pool <- struct{}{}
				err := api.Snooze(0) // no failure: the next owner goes on here
				if stop.Err() == nil {
					err = do(ctx, b.Lease, m)
				}
				<-pool
				if err != nil {
					pending.Retry(err) // from this message on
					return
				}
				pending.Upto(m.ID)
			}
			pending.Handled()
		}()
		return nil
	}
}

// post may call a URL again: its receiver knows repeats by the key, and answers 409 to a token below the greatest of the job.
func post(ctx context.Context, l api.Lease, m feed.Message) error {
	url, _ := m.Get("url")
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return feed.At(m.ID, api.Permanent(err)) // never again, wherever it is in the batch
	}
	r.Header = http.Header{"Idempotency-Key": {l.Stream() + "/" + m.ID}, "Fencing-Token": {l.Token().String()}}
	answer, err := (&http.Client{Timeout: 10 * time.Second}).Do(r) // a drain waits for longer
	if err != nil {
		return err
	}
	answer.Body.Close()
	if code := answer.StatusCode; code < 300 {
		return nil
	} else if code >= 500 || code == http.StatusConflict || code == http.StatusTooManyRequests {
		return errors.New(answer.Status)
	}
	return feed.At(m.ID, api.Permanent(errors.New(answer.Status)))
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	e, err := engine.Open(rueidis.ClientOption{InitAddress: []string{cmp.Or(os.Getenv("REDIS_ADDR"), "127.0.0.1:6379")}}, "jobs")
	if err != nil {
		log.Fatal(err)
	}
	f, err := feed.New(e, fanOut(ctx, 64, post), feed.Config{}) // OnFailure: feed.Skip would skip a bad URL, instead of failing its job
	if err != nil {
		log.Fatal(err)
	}
	if err := f.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
