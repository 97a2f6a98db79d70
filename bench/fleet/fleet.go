package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/test/servers"
)

// fleet is the server and the processes.
type fleet struct {
	options
	server  *servers.Server
	client  rueidis.Client
	members []*member
	started int // so far
	console *console
	traffic *traffic
}

// member is one process.
type member struct {
	*pod.Process
	name    string
	metrics string
}

func start(ctx context.Context, o options) (*fleet, error) {
	f := &fleet{options: o}
	if err := f.begin(ctx); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func (f *fleet) begin(ctx context.Context) (err error) {
	if f.server, err = servers.Start(ctx, servers.Options{}); err != nil {
		return err
	}
	option, err := address.Option(f.url())
	if err != nil {
		return err
	}
	if f.client, err = rueidis.NewClient(option); err != nil {
		return err
	}
	for range f.processes {
		if _, err := f.add(ctx); err != nil {
			return err
		}
	}
	if f.console, err = openConsole(ctx, f.client, f.listen); err != nil {
		return err
	}
	f.traffic, err = startTraffic(ctx, f.client, f.options)
	return err
}

func (f *fleet) url() string { return "redis://" + f.server.Addr() }

// add starts one more process, and returns when it is at work.
func (f *fleet) add(ctx context.Context) (*member, error) {
	m := &member{name: service + "-" + strconv.Itoa(f.started)}
	f.started++
	var err error
	if m.Process, err = pod.StartSelf(context.WithoutCancel(ctx), f.url(), "", child, "-name", m.name); err != nil {
		return nil, err
	}
	f.members = append(f.members, m)
	a, err := m.ask()
	m.metrics = a.Metrics
	return m, err
}

func (m *member) ask() (answer, error) { return pod.Ask[answer](m.Process, "look") }

// take removes a process from the list: the named one, or the oldest.
func (f *fleet) take(name string) (*member, error) {
	i := 0
	if name != "" {
		i = slices.IndexFunc(f.members, func(m *member) bool { return m.name == name })
	}
	if i < 0 || i >= len(f.members) {
		return nil, fmt.Errorf("no process %s runs", name)
	}
	m := f.members[i]
	f.members = slices.Delete(f.members, i, i+1)
	return m, nil
}

// kill ends a process as a crash does, and returns its name.
func (f *fleet) kill(name string) (string, error) {
	m, err := f.take(name)
	if err != nil {
		return "", err
	}
	return m.name, m.Kill()
}

// deploy replaces the processes one after the other: a new one starts before an old one ends.
func (f *fleet) deploy(ctx context.Context, said func(format string, args ...any)) error {
	for range len(f.members) {
		m, err := f.add(ctx)
		if err != nil {
			return err
		}
		old, err := f.take("")
		if err != nil {
			return err
		}
		said("%s has started; %s ends", m.name, old.name)
		if err := wait(ctx, settleTime); err != nil {
			return errors.Join(err, old.Terminate())
		}
		if err := old.Terminate(); err != nil {
			return err
		}
	}
	return nil
}

// settleTime is what docs/kubernetes advises as minReadySeconds.
const settleTime = 5 * time.Second

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close ends everything, in the reverse order of start.
func (f *fleet) close() (err error) {
	if f.traffic != nil {
		err = f.traffic.stop()
	}
	if f.console != nil {
		err = errors.Join(err, f.console.close())
	}
	for _, m := range f.members {
		err = errors.Join(err, m.Stop())
	}
	if f.client != nil {
		f.client.Close()
	}
	if f.server != nil {
		err = errors.Join(err, f.server.Stop())
	}
	return err
}
