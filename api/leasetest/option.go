package leasetest

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/streamlease/streamlease/api"
)

// Option changes what [New] makes.
type Option interface{ apply(*settings) }

type settings struct {
	token   api.Token
	entry   string
	info    json.RawMessage
	fields  []api.Field
	attempt int
	ttl     time.Duration
	expires bool

	checkpoint string
	parent     context.Context
}

type optionFunc func(*settings)

func (f optionFunc) apply(s *settings) { f(s) }

// WithInfo sets the info announced with the stream, encoded as a publisher
// does, with encoding/json. Default, and for nil: none, "{}". It panics if info
// cannot be encoded.
func WithInfo(info any) Option {
	raw := json.RawMessage("{}")
	if info != nil {
		encoded, err := json.Marshal(info)
		if err != nil {
			panic(fmt.Sprintf("leasetest: WithInfo: %v", err))
		}
		raw = encoded
	}
	return optionFunc(func(s *settings) { s.info = raw })
}

// WithField adds a field that the producer put beside the announcement. Default:
// none.
func WithField(name, value string) Option {
	return optionFunc(func(s *settings) { s.fields = append(s.fields, api.Field{Name: name, Value: value}) })
}

// WithToken sets the token. Default 1.
func WithToken(token api.Token) Option {
	return optionFunc(func(s *settings) { s.token = token })
}

// WithEntry sets the ID of the announcement. Default "1-0".
func WithEntry(id string) Option {
	return optionFunc(func(s *settings) { s.entry = id })
}

// WithAttempt sets the number of retries counted so far. Default 0.
func WithAttempt(retries int) Option {
	return optionFunc(func(s *settings) { s.attempt = retries })
}

// WithCheckpoint sets what the last owner left as the checkpoint. Default "".
func WithCheckpoint(value string) Option {
	return optionFunc(func(s *settings) { s.checkpoint = value })
}

// WithTTL makes a lease whose renewals fail: Remaining counts down from ttl,
// and the lease is lost when it reaches 0, unless the test calls Renew. With 0
// or less the lease is lost from the start. Default: always renewed, so
// Remaining stays at DefaultTTL.
func WithTTL(ttl time.Duration) Option {
	return optionFunc(func(s *settings) { s.ttl, s.expires = ttl, true })
}

// WithContext sets the context that provides the values of the lease's context.
// The lease's context does not end with it, nor with the engine's in a real
// engine. Default: no values.
func WithContext(ctx context.Context) Option {
	return optionFunc(func(s *settings) { s.parent = ctx })
}
