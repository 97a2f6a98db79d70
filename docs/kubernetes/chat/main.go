package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, log)
	stop()
	if err != nil {
		log.Error("chat", "error", err)
		os.Exit(1)
	}
}

// run owns streams until ctx ends and they are handed back.
func run(ctx context.Context, log *slog.Logger) error {
	redis, options, err := configuration()
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	e, err := engine.Open(redis, "chat", append(options, engine.WithRegisterer(registry), engine.WithLogger(log))...)
	if err != nil {
		return err
	}
	f, err := feed.New(e, func(_ context.Context, b *feed.Batch) error {
		for _, m := range b.Messages {
			log.Info("message", "stream", b.Lease.Stream(), "id", m.ID, "fields", fmt.Sprint(m.Fields)) // your work
		}
		return nil
	}, feed.Config{})
	if err != nil {
		return err
	}

	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("LISTEN"), ":8080"))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler(e, registry), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	log.Info("serving", "address", listener.Addr().String())
	err = f.Run(ctx)
	return errors.Join(err, server.Close()) // probes and scrapes were answered until the last stream was handed back
}

func handler(e *engine.Engine, registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) {
		if err := e.Ready(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /live", func(http.ResponseWriter, *http.Request) {}) // that it answers is enough
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

// configuration is what the deployment says in environment variables. What is unset has the defaults of the library.
func configuration() (redis rueidis.ClientOption, options []engine.Option, err error) {
	if redis, err = rueidis.ParseURL(cmp.Or(os.Getenv("REDIS_URL"), "redis://127.0.0.1:6379")); err != nil {
		return redis, nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	redis.Password = cmp.Or(os.Getenv("REDIS_PASSWORD"), redis.Password)
	options = append(options, engine.WithLockFile(os.Getenv("LOCK_FILE")))
	if s := os.Getenv("MAX_STREAMS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			return redis, nil, fmt.Errorf("MAX_STREAMS: %w", err)
		}
		options = append(options, engine.WithMaxStreams(n))
	}
	if s := os.Getenv("DRAIN_TIMEOUT"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			return redis, nil, fmt.Errorf("DRAIN_TIMEOUT: %w", err)
		}
		options = append(options, engine.WithDrainTimeout(d))
	}
	return redis, options, nil
}
