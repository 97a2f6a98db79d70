package main

import (
	"context"
	"flag"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/schedule"
)

// options are the flags.
type options struct {
	redis, service, name, monitors, webhook, listen, db string
	keep                                                time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.redis, "redis", "redis://127.0.0.1:6379", "URL of Redis")
	flag.StringVar(&o.service, "service", "uptime", "name of the service, the same in all processes of the fleet")
	flag.StringVar(&o.name, "name", "", "name of this process; default: that of the pod or host")
	flag.StringVar(&o.monitors, "monitors", "", "JSON file of the monitors, which replaces those that there are; default: leave them")
	flag.StringVar(&o.webhook, "webhook", "", "URL to post alerts to; default: alerts are in the log only")
	flag.StringVar(&o.listen, "listen", "", "address for HTTP: /metrics, /ready, and with -db the page; default: none")
	flag.StringVar(&o.db, "db", "", "SQLite file for the history; give it to one process; default: none")
	flag.DurationVar(&o.keep, "keep", 90*24*time.Hour, "how long the history goes back")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, slog.Default())
	stop()
	if err != nil {
		slog.Error("uptime", "error", err)
		os.Exit(1)
	}
}

// run watches until ctx ends.
func run(ctx context.Context, o options, log *slog.Logger) error {
	redis, err := rueidis.ParseURL(o.redis)
	if err != nil {
		return err
	}
	redis.DisableCache = true
	client, err := rueidis.NewClient(redis)
	if err != nil {
		return err
	}
	defer client.Close()
	table, err := schedule.NewTable(client, o.service, engine.WithLogger(log))
	if err != nil {
		return err
	}
	if o.monitors != "" {
		if err := declare(ctx, table, o.monitors, log); err != nil {
			return err
		}
	}

	registry := prometheus.NewRegistry()
	e, err := engine.Open(redis, o.service, engine.WithConsumerID(o.name), engine.WithLogger(log), engine.WithRegisterer(registry))
	if err != nil {
		return err
	}
	stream := &reports{client, o.service + ":reports"}
	w := &watcher{
		checker: newChecker(), network: newNetwork(client, o.service+":network", e.ID(), log),
		alerter: &alerter{o.webhook, &http.Client{}, log}, reports: stream, self: e.ID(), log: log,
	}
	runner, err := schedule.New(e, w.open, schedule.Config{})
	if err != nil {
		return err
	}

	beside := []func(context.Context){w.network.run}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /ready", ready(e))
	if o.db != "" {
		h, err := openHistory(ctx, o.db)
		if err != nil {
			return err
		}
		defer h.close()
		p := &page{table: table, history: h, overview: &overviewer{table: table, history: h}, events: &events{}, log: log}
		r := &recorder{reports: stream, history: h, events: p.events, keep: o.keep, log: log}
		mux.Handle("/", p.handler())
		beside = append(beside, r.run)
	}
	if o.listen != "" {
		serve, err := listen(o.listen, mux, log)
		if err != nil {
			return err
		}
		beside = append(beside, serve)
	}
	return runWith(ctx, runner.Run, beside)
}

// runWith runs a main part until ctx ends and it has returned, and others for as long. So in a drain the last reports are recorded, too.
func runWith(ctx context.Context, run func(context.Context) error, beside []func(context.Context)) error {
	background, end := context.WithCancel(context.WithoutCancel(ctx))
	var group sync.WaitGroup
	defer group.Wait()
	defer end()
	for _, f := range beside {
		group.Go(func() { f(background) })
	}
	return run(ctx)
}

// declare makes the monitors of a file those that there are. Those which are the same stay untouched.
func declare(ctx context.Context, table *schedule.Table, file string, log *slog.Logger) error {
	all, err := loadMonitors(file)
	if err != nil {
		return err
	}
	done, err := table.Sync(ctx, specs(all), schedule.Prune())
	log.Info("monitors", "created", done.Created, "edited", done.Edited, "unchanged", done.Unchanged, "deleted", done.Deleted)
	return err
}
