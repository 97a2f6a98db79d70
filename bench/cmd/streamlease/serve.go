package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/redis/rueidis"
	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/scan/console"
)

const (
	// servedHeader is how long a browser may take to say what it wants.
	servedHeader = 5 * time.Second
	// servedEnd is how long answers that are under way have at the end.
	servedEnd = 5 * time.Second
)

const serveHelp = `Serves the operators' page of each service, as docs/console.md describes it. The address is for this host only unless -listen says otherwise: nobody
is asked who they are, and whoever reaches it sees names of streams, what was announced with them, and errors of handlers. From elsewhere, use
a tunnel: ssh -L 8080:127.0.0.1:8080 HOST.

Nothing can be changed without -actions. With it, and -listen on a loopback address, everybody who has an account on this host or a tunnel to it
may change the service, and the log names the user that this command runs as.

Behind a proxy that authenticates users, -user-header names the header in which it says who asks, X-Forwarded-User for one. The proxy has to
remove that header from what comes from outside, and nobody else may reach the address: whoever does is whom they say they are. Requests to
change something that do not have it exactly once are refused.`

// serve is the subcommand that serves the page of the operators.
func (e *env) serve() *cli.Command {
	return &cli.Command{
		Name: "serve", Usage: "serve the operators' page of a service, or of several", Description: serveHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "listen", Value: "127.0.0.1:8080", Usage: "address to listen on"},
			&cli.StringSliceFlag{Name: "service", Usage: "name of a service, at /NAME/; may be given several times, else that in $" + EnvService},
			&cli.BoolFlag{Name: "actions", Usage: "let viewers change what the services do"},
			&cli.StringFlag{Name: "user-header", Usage: "`HEADER` in which a proxy says who asks"},
			&cli.StringFlag{Name: "cert", Usage: "`FILE` with the certificate, for HTTPS"},
			&cli.StringFlag{Name: "key", Usage: "`FILE` with its key"},
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			o, err := e.serving(cmd)
			if err != nil {
				return err
			}
			client, err := connect(address.Of(cmd, address.Default))
			if err != nil {
				return err
			}
			defer client.Close()
			p, err := e.pages(&o, client, cmd)
			if err != nil {
				return err
			}
			defer p.close()
			return e.serveOn(ctx, &o, p, e.printer(cmd))
		},
	}
}

// serving is what the command line says about the pages.
type serving struct {
	listen   string
	services []string
	actions  bool
	header   string // "": there is no proxy that says who asks
	loopback bool   // only this host reaches the pages
	tls      *tls.Config
}

func (e *env) serving(cmd *cli.Command) (o serving, err error) {
	if cmd.NArg() > 0 {
		return o, usage("%s takes no arguments", cmd.FullName())
	}
	o = serving{
		listen: cmd.String("listen"), services: cmd.StringSlice("service"), actions: cmd.Bool("actions"), header: cmd.String("user-header"),
	}
	if len(o.services) == 0 {
		o.services = []string{service(cmd.Root())}
	}
	slices.Sort(o.services)
	if o.services = slices.Compact(o.services); o.services[0] == "" {
		return o, usage("-service is missing, and $%s is empty", EnvService)
	}
	host, _, err := net.SplitHostPort(o.listen)
	if err != nil {
		return o, usage("-listen: %w", err)
	}
	if o.loopback = isLoopback(host); o.actions && !o.loopback && o.header == "" {
		return o, usage("-actions: %s is not a loopback address, so anybody could change the service; have a proxy in front that says who asks, and name its -user-header", o.listen)
	}
	cert, key := cmd.String("cert"), cmd.String("key")
	if (cert == "") != (key == "") {
		return o, usage("-cert and -key go together")
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return o, fmt.Errorf("-cert, -key: %w", err)
		}
		o.tls = &tls.Config{Certificates: []tls.Certificate{pair}}
	}
	return o, nil
}

// isLoopback reports whether only this host reaches a host.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// pages returns a page for each service. The caller closes them before the client.
func (e *env) pages(o *serving, client rueidis.Client, cmd *cli.Command) (*servedPages, error) {
	config := scan.InspectorConfig{Timeout: cmd.Duration("timeout"), Partitions: cmd.Int("partitions")}
	p := &servedPages{names: o.services, at: make(map[string]*console.Console), log: slog.New(slog.NewTextHandler(e.errs, nil)), local: o.loopback && o.header == ""}
	for _, name := range o.services {
		if _, err := scan.NewInspector(client, name, config); err != nil {
			return nil, usage("%w", err)
		}
		opts := []console.Option{
			console.WithInspector(config), console.WithLogger(p.log), console.WithPositions(feed.HandledUpTo),
			console.WithSchedules(&servedSchedules{client: client, service: name, config: config, log: p.log}),
		}
		if o.actions {
			opts = append(opts, console.WithActions(o.who()))
		}
		p.at[name] = console.New(client, name, opts...)
	}
	return p, nil
}

// who returns what says who asks for an action.
func (o *serving) who() func(*http.Request, console.Action) (string, error) {
	header := o.header
	if header == "" {
		self := reason("")
		return func(*http.Request, console.Action) (string, error) { return self, nil }
	}
	return func(r *http.Request, _ console.Action) (string, error) {
		if all := r.Header.Values(header); len(all) == 1 && all[0] != "" {
			return all[0], nil
		}
		return "", fmt.Errorf("nothing was changed: the proxy in front of this page has to say who you are, once, in the header %s", header)
	}
}

// serveOn serves the pages until ctx ends.
func (e *env) serveOn(ctx context.Context, o *serving, p *servedPages, out *printer) error {
	var l net.ListenConfig
	listener, err := l.Listen(ctx, "tcp", o.listen)
	if err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	scheme := "http"
	if o.tls != nil {
		scheme = "https"
	}
	out.tell("%s://%s/", scheme, listener.Addr())
	if !o.loopback && o.header == "" {
		fmt.Fprintln(e.errs, "streamlease: whoever reaches this address sees the service; nobody is asked who they are")
	}
	server := &http.Server{
		Handler: p, TLSConfig: o.tls, ReadHeaderTimeout: servedHeader, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelWarn),
	}
	server.RegisterOnShutdown(p.close) // live pages would keep their connections open
	ended := make(chan error, 1)
	go func() {
		if o.tls != nil {
			ended <- server.ServeTLS(listener, "", "")
			return
		}
		ended <- server.Serve(listener)
	}()
	select {
	case err = <-ended:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), servedEnd)
	defer cancel()
	if err = server.Shutdown(bounded); err != nil {
		err = server.Close() // somebody is slow
	}
	if failed := <-ended; !errors.Is(failed, http.ErrServerClosed) {
		err = errors.Join(err, failed)
	}
	return err
}
