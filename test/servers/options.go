package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// EnvBinary names the environment variable with the server to run if [Options.Binary] is empty. The process itself must be the
// server, since signals go to it: a wrapper script has to end in exec.
const EnvBinary = "STREAMLEASE_REDIS_SERVER"

// ErrNoBinary is returned if there is no redis-server to run. The error that wraps it says how to install one.
var ErrNoBinary = errors.New("servers: no redis-server")

// Options say which server to start. The zero value is a master without a password that keeps nothing on disk.
type Options struct {
	// Binary is the server to run, a path or a name in PATH. Empty: the value of $STREAMLEASE_REDIS_SERVER, or redis-server.
	Binary string
	// Dir is the working directory of the server. Empty: a temporary one, removed by Stop.
	Dir string
	// Args follow the arguments that this package chooses, so they take precedence: "--maxmemory", "2mb".
	Args []string
	// Persist turns on the append-only file, synced before every reply, so that acknowledged writes survive Kill and Restart.
	Persist bool
	// OwnClock gives the server a wall clock that [Server.SetClock] moves. It needs Linux and a C compiler: without either, Start
	// returns an error that wraps [ErrNoClock].
	OwnClock bool
	// Password is required of every client, and used by ClientOption. Empty: none.
	Password string
	// ReplicaOf is the master to follow; it must have the same password. Start returns once the link is up.
	// Nil: a master.
	ReplicaOf *Server

	// configFile makes the server a sentinel, which reads this file at the start and rewrites it.
	configFile string
}

// Option changes the options with which New starts a server.
type Option func(*Options)

// Args adds configuration to the command line: Args("--maxmemory", "2mb").
func Args(args ...string) Option {
	return func(o *Options) { o.Args = append(o.Args, args...) }
}

// Persist makes acknowledged writes survive Kill and Restart; see [Options.Persist].
func Persist() Option { return func(o *Options) { o.Persist = true } }

// OwnClock gives the server a wall clock that can be moved; see [Options.OwnClock].
func OwnClock() Option { return func(o *Options) { o.OwnClock = true } }

// Password is required of every client.
func Password(password string) Option { return func(o *Options) { o.Password = password } }

// ReplicaOf makes the server a read-only replica of master.
func ReplicaOf(master *Server) Option { return func(o *Options) { o.ReplicaOf = master } }

func (o *Options) findBinary() (string, error) {
	name := o.Binary
	if name == "" {
		name = os.Getenv(EnvBinary)
	}
	if name == "" {
		name = "redis-server"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w (%w): install it with `apt-get install redis-server` or `make deps`, or set %s",
			ErrNoBinary, err, EnvBinary)
	}
	return path, nil
}

// commandLine starts with a flag, so that the server does not look for a configuration file, or with the name of one.
func (o *Options) commandLine(dir string, port int) []string {
	args := []string{
		"--port", fmt.Sprint(port),
		"--bind", "127.0.0.1",
		"--daemonize", "no",
		"--dir", dir,
	}
	if o.configFile != "" {
		return append(append([]string{o.configFile, "--sentinel"}, args...), o.Args...)
	}
	args = append(args,
		"--save", "",
		// With the default delay the first synchronization of a replica takes five seconds.
		"--repl-diskless-sync-delay", "0",
	)
	if o.Persist {
		args = append(args, "--appendonly", "yes", "--appendfsync", "always")
	} else {
		args = append(args, "--appendonly", "no")
	}
	if o.Password != "" {
		args = append(args, "--requirepass", o.Password, "--masterauth", o.Password)
	}
	if o.ReplicaOf != nil {
		args = append(args, "--replicaof", "127.0.0.1", fmt.Sprint(o.ReplicaOf.Port()))
	}
	return append(args, o.Args...)
}
