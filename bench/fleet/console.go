package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/engine/schedule/scheduleview"
	page "github.com/streamlease/streamlease/scan/console"
)

// console serves the pages of both services. Whoever reaches it may act: it is for the host on which the fleet runs.
type console struct {
	server   *http.Server
	listener net.Listener
	pages    []*page.Console
	ended    chan error
}

func openConsole(ctx context.Context, client rueidis.Client, listen string) (*console, error) {
	table, err := schedule.NewTable(client, scheduled)
	if err != nil {
		return nil, err
	}
	act := page.WithActions(func(*http.Request, page.Action) (string, error) { return "somebody on this host", nil })
	c := &console{ended: make(chan error, 1), pages: []*page.Console{
		page.New(client, service, act),
		page.New(client, scheduled, act, page.WithSchedules(scheduleview.New(table))),
	}}
	mux := http.NewServeMux()
	mux.Handle("/"+service+"/", c.pages[0])
	mux.Handle("/"+scheduled+"/", c.pages[1])
	mux.Handle("/{$}", http.RedirectHandler("/"+service+"/", http.StatusFound))
	var l net.ListenConfig
	if c.listener, err = l.Listen(ctx, "tcp", listen); err != nil {
		return nil, err
	}
	c.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { c.ended <- c.server.Serve(c.listener) }()
	return c, nil
}

func (c *console) addr() string { return c.listener.Addr().String() }

func (c *console) close() error {
	for _, p := range c.pages {
		p.Close()
	}
	err := c.server.Close()
	if ended := <-c.ended; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}
