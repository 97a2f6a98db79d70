package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/test/servers"
)

// options are the flags.
type options struct {
	program, listen string
	monitors        int
	every           time.Duration
	stay            bool
}

// sick is how many sites misbehave in each of three ways.
const sick = 10

// show is what the demo has started, and what it looks at.
type show struct {
	options
	began time.Time
	sites *sites
	hook  *hook
	fleet *fleet
	proof *proof
	redis rueidis.Client

	pageArgs  []string // of the process that has the page
	processes []*process
}

func (s *show) say(format string, args ...any) { say(s.began, format, args...) }

// demo is the whole run. Everything that it started has ended when it returns.
func demo(ctx context.Context, o options) (err error) {
	s := &show{options: o, began: time.Now()}
	closing := func(close func() error) { err = errors.Join(err, close()) }
	server, err := servers.Start(ctx, servers.Options{})
	if err != nil {
		return err
	}
	defer closing(server.Stop)
	if s.redis, err = rueidis.NewClient(server.ClientOption()); err != nil {
		return err
	}
	defer s.redis.Close()
	if s.sites, err = startSites(o.monitors); err != nil {
		return err
	}
	defer closing(s.sites.close)
	if s.hook, err = startHook(); err != nil {
		return err
	}
	defer closing(s.hook.close)
	dir := server.Dir() // it is removed with the server
	file := filepath.Join(dir, "monitors.json")
	if err := s.writeMonitors(file); err != nil {
		return err
	}
	db := filepath.Join(dir, "uptime.db")
	if s.listen, err = address(s.listen); err != nil {
		return err
	}
	s.pageArgs = []string{"-db", db}
	s.fleet = &fleet{program: o.program, dir: dir, args: []string{"-redis", "redis://" + server.Addr(), "-monitors", file, "-webhook", s.hook.address}}
	if s.proof, err = openProof(db); err != nil {
		return err
	}
	defer closing(s.proof.close)
	defer closing(s.stopAll)

	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := s.play(bounded); err != nil || !o.stay {
		return err
	}
	s.say("The page stays at http://%s until you interrupt this. To break sites: curl -d from=0 -d to=10 -d way=broken %s/sites", s.listen, s.sites.address)
	<-ctx.Done()
	return nil
}

// writeMonitors writes the file of monitors.
func (s *show) writeMonitors(file string) error {
	var all []map[string]string
	for i := range s.monitors {
		all = append(all, map[string]string{
			"name": fmt.Sprintf("shop %03d/front page", i), "target": fmt.Sprintf("%s/site/%d", s.sites.address, i),
			"every": s.every.String(), "timeout": "2s", "contains": expected,
		})
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// address returns one on which nobody listens, for port 0.
func address(listen string) (string, error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// start starts a process without a page.
func (s *show) start(ctx context.Context, name string) (*process, error) {
	listen, err := address("127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p, err := s.fleet.start(ctx, name, listen)
	if err == nil {
		s.processes = append(s.processes, p)
	}
	return p, err
}

// startPage starts the process that has the page.
func (s *show) startPage(ctx context.Context, name string) (*process, error) {
	p, err := s.fleet.start(ctx, name, s.listen, s.pageArgs...)
	if err == nil {
		s.processes = append(s.processes, p)
	}
	return p, err
}

// stopAll has all processes drain that have not ended.
func (s *show) stopAll() (err error) {
	for _, p := range s.processes {
		if p.killed {
			continue
		}
		_, failed := p.stop()
		err = errors.Join(err, failed)
	}
	return err
}
