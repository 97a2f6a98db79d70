package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// masterSet is the name of the master that the sentinels watch.
const masterSet = "streamlease"

// SentinelOptions say which servers to start. The zero value is a master with two replicas, watched by three sentinels.
type SentinelOptions struct {
	// Replicas is the number of replicas. 0: 2.
	Replicas int
	// Sentinels is the number of sentinels, of which a majority, 2 of 3, has to agree that the master failed. 0: 3.
	Sentinels int
	// DownAfter is how long a server may be silent before a sentinel considers it failed. 0: 1.5 s. The default of Redis is 30 s.
	DownAfter time.Duration
	// Server are the options of the master and the replicas. Its Dir and ReplicaOf must be empty. The sentinels run the same
	// binary.
	Server Options
}

// Sentinel is a master with replicas and the sentinels that watch it, on loopback.
type Sentinel struct {
	servers   []*Server
	sentinels []*Server
}

// StartSentinel starts all servers and returns when every sentinel knows all replicas and the other sentinels. ctx bounds the start
// only, which takes about three seconds.
func StartSentinel(ctx context.Context, o SentinelOptions) (*Sentinel, error) {
	if o.Server.Dir != "" || o.Server.ReplicaOf != nil {
		return nil, errors.New("servers: servers watched by sentinels have directories and masters of their own")
	}
	if o.Replicas == 0 {
		o.Replicas = 2
	}
	if o.Sentinels == 0 {
		o.Sentinels = 3
	}
	if o.DownAfter == 0 {
		o.DownAfter = 1500 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(ctx, clusterLimit)
	defer cancel()
	s := &Sentinel{}
	if err := s.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("servers: start sentinels: %w", err), s.Stop())
	}
	return s, nil
}

// start leaves it to the caller to stop what it started before an error.
func (s *Sentinel) start(ctx context.Context, o SentinelOptions) error {
	master, err := Start(ctx, o.Server)
	if err != nil {
		return err
	}
	s.servers = append(s.servers, master)
	o.Server.ReplicaOf = master
	replicas, err := startAll(ctx, o.Replicas, o.Server)
	if err != nil {
		return err
	}
	s.servers = append(s.servers, replicas...)
	for range o.Sentinels {
		one, err := startSentinel(ctx, master, o)
		if err != nil {
			return err
		}
		s.sentinels = append(s.sentinels, one)
		// By default sentinels need up to 10 s to notice a wrong replication and correct it, which is long for a test. Before Redis
		// 7.0 that cannot be changed.
		_, err = one.Call(ctx, "SENTINEL", "DEBUG", "INFO-PERIOD", "1000", "PUBLISH-PERIOD", "500")
		if err != nil && !strings.Contains(strings.ToLower(err.Error()), "unknown subcommand") {
			return err
		}
	}
	return s.AwaitReady(ctx)
}

// startSentinel starts one sentinel in a temporary directory, where it keeps its state in its configuration file.
func startSentinel(ctx context.Context, master *Server, o SentinelOptions) (*Server, error) {
	dir, err := os.MkdirTemp("", "streamlease-sentinel-")
	if err != nil {
		return nil, fmt.Errorf("servers: %w", err)
	}
	lines := []string{
		fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d %d", masterSet, master.port, o.Sentinels/2+1),
		fmt.Sprintf("sentinel down-after-milliseconds %s %d", masterSet, o.DownAfter.Milliseconds()),
		// A failed failover is retried after twice this time.
		fmt.Sprintf("sentinel failover-timeout %s %d", masterSet, (4 * o.DownAfter).Milliseconds()),
	}
	if o.Server.Password != "" {
		lines = append(lines, fmt.Sprintf("sentinel auth-pass %s %s", masterSet, o.Server.Password))
	}
	file := filepath.Join(dir, "sentinel.conf")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("servers: %w", err), os.RemoveAll(dir))
	}
	started, err := Start(ctx, Options{Binary: master.binary, Dir: dir, configFile: file})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	started.ownDir = true
	return started, nil
}

// Servers returns the master and its replicas, whatever their roles are and whether they run. At the start the master comes first.
func (s *Sentinel) Servers() []*Server { return slices.Clone(s.servers) }

// Sentinels returns the sentinels. They may be killed, paused and restarted like any server.
func (s *Sentinel) Sentinels() []*Server { return slices.Clone(s.sentinels) }

// Master returns the master that a majority of the sentinels names, according to those that answer.
func (s *Sentinel) Master(ctx context.Context) (*Server, error) {
	votes := make(map[*Server]int)
	var err error
	for _, one := range s.sentinels {
		if !one.answers() {
			continue
		}
		fields, infoErr := masterFields(ctx, one)
		if infoErr != nil {
			err = errors.Join(err, infoErr)
			continue
		}
		if i := slices.IndexFunc(s.servers, func(m *Server) bool { return m.Addr() == fields["address"] }); i >= 0 {
			votes[s.servers[i]]++
		}
	}
	for m, n := range votes {
		if 2*n > len(s.sentinels) {
			return m, nil
		}
	}
	return nil, errors.Join(errors.New("servers: the sentinels do not agree on a master"), err)
}

// AwaitMaster waits until the sentinels name a master other than this one, and returns it.
func (s *Sentinel) AwaitMaster(ctx context.Context, not *Server) (found *Server, err error) {
	ctx, cancel := context.WithTimeout(ctx, clusterLimit)
	defer cancel()
	var last error
	err = poll(ctx, func() bool {
		found, last = s.Master(ctx)
		return last == nil && found != not
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("servers: no other master: %w", err), last)
	}
	return found, nil
}

// masterFields returns what a sentinel's INFO says about the master: name=…,status=ok,address=…,slaves=2,sentinels=3.
func masterFields(ctx context.Context, sentinel *Server) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, viewLimit)
	defer cancel()
	info, err := sentinel.Info(ctx, "sentinel")
	if err != nil {
		return nil, err
	}
	fields := make(map[string]string)
	for field := range strings.SplitSeq(info["master0"], ",") {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	return fields, nil
}

// AwaitReady waits until the running sentinels report that the master is ok, agree on it, and know all other servers and each
// other, and every running replica is in step with the master.
func (s *Sentinel) AwaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, clusterLimit)
	defer cancel()
	var last error
	err := poll(ctx, func() bool {
		err := s.ready(ctx)
		if ctx.Err() == nil {
			last = err
		}
		return err == nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}

func (s *Sentinel) ready(ctx context.Context) error {
	master, err := s.Master(ctx)
	if err != nil {
		return err
	}
	for _, one := range s.sentinels {
		if !one.answers() {
			continue
		}
		fields, err := masterFields(ctx, one)
		if err != nil {
			return err
		}
		want := map[string]string{"name": masterSet, "status": "ok", "address": master.Addr(),
			"slaves": fmt.Sprint(len(s.servers) - 1), "sentinels": fmt.Sprint(len(s.sentinels))}
		for name, value := range want {
			if fields[name] != value {
				return fmt.Errorf("servers: sentinel %s: %s is %s, not %s", one.Addr(), name, fields[name], value)
			}
		}
	}
	for _, one := range s.servers {
		if one == master || !one.answers() {
			continue
		}
		replication, err := one.Info(ctx, "replication")
		if err != nil {
			return err
		}
		if replication["master_port"] != fmt.Sprint(master.port) || replication["master_link_status"] != "up" {
			return fmt.Errorf("servers: %s is not in step with %s", one.Addr(), master.Addr())
		}
	}
	return nil
}

// Failover makes the sentinels promote a replica although nothing failed, and returns the new master when they have.
func (s *Sentinel) Failover(ctx context.Context) (*Server, error) {
	old, err := s.Master(ctx)
	if err != nil {
		return nil, err
	}
	for _, one := range s.sentinels {
		if one.answers() {
			if _, err := one.Call(ctx, "SENTINEL", "FAILOVER", masterSet); err != nil {
				return nil, err
			}
			return s.AwaitMaster(ctx, old)
		}
	}
	return nil, errors.New("servers: no sentinel runs")
}

// Restart brings back a killed server. It starts empty and as a master, and the sentinels make it a replica of the current master.
func (s *Sentinel) Restart(ctx context.Context, server *Server) error {
	server.forgetMaster()
	return server.Restart(ctx, false)
}

// ClientOption returns options for a client that asks the sentinels for the master, now and whenever it changes.
func (s *Sentinel) ClientOption() rueidis.ClientOption {
	o := rueidis.ClientOption{
		Password:     s.servers[0].opts.Password,
		DisableCache: true,
		Sentinel:     rueidis.SentinelOption{MasterSet: masterSet},
	}
	for _, one := range s.sentinels {
		o.InitAddress = append(o.InitAddress, one.Addr())
	}
	return o
}

// Stop ends all servers for good, the sentinels first, and removes their files. Stopping again does nothing.
func (s *Sentinel) Stop() error { return errors.Join(stopAll(s.sentinels), stopAll(s.servers)) }
