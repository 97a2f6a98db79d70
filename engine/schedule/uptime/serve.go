package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/streamlease/streamlease/engine"
)

// listen returns a function that serves HTTP until its context ends, and then for at most a second.
func listen(address string, handler http.Handler, log *slog.Logger) (serve func(context.Context), err error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	log.Info("listening", "address", "http://"+listener.Addr().String())
	return func(ctx context.Context) {
		// Requests end with ctx: server-sent events go on for ever otherwise.
		server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
		stopped := context.AfterFunc(ctx, func() {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			server.Shutdown(last)
		})
		defer stopped()
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("HTTP", "error", err)
		}
	}, nil
}

// ready answers a readiness probe.
func ready(e *engine.Engine) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := e.Ready(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	}
}
