package servers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// migrateLimit bounds how long two nodes may block for one MIGRATE.
const migrateLimit = 10 * time.Second

// Move is the migration of a slot from one master to another, key by key. It may rest half-way for as long as a test wants.
type Move struct {
	Slot     uint16
	From, To *Server

	c *Cluster
}

// BeginMove marks a slot as migrating on both masters; no key moves yet. From now on the old master redirects requests for keys
// that it does not have to the new one.
func (c *Cluster) BeginMove(ctx context.Context, slot uint16, to *Server) (*Move, error) {
	from, err := c.Owner(ctx, slot)
	if err != nil {
		return nil, err
	}
	if from == to {
		return nil, fmt.Errorf("servers: %s has slot %d already", to.Addr(), slot)
	}
	m := &Move{Slot: slot, From: from, To: to, c: c}
	if err := m.set(ctx, to, "IMPORTING", from); err != nil {
		return nil, err
	}
	return m, m.set(ctx, from, "MIGRATING", to)
}

// set runs CLUSTER SETSLOT on one node, with another as the argument.
func (m *Move) set(ctx context.Context, on *Server, what string, about *Server) error {
	_, err := on.Call(ctx, "CLUSTER", "SETSLOT", strconv.Itoa(int(m.Slot)), what, m.c.ID(about))
	return err
}

// Left returns up to n keys of the slot that have not moved yet.
func (m *Move) Left(ctx context.Context, n int) ([]string, error) {
	client, err := rueidis.NewClient(m.From.ClientOption())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return client.Do(ctx, client.B().ClusterGetkeysinslot().Slot(int64(m.Slot)).Count(int64(n)).Build()).AsStrSlice()
}

// Keys moves these keys. Keys that the old master does not have are ignored.
func (m *Move) Keys(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	command := []string{"MIGRATE", "127.0.0.1", strconv.Itoa(m.To.port), "", "0", strconv.FormatInt(migrateLimit.Milliseconds(), 10)}
	if password := m.From.opts.Password; password != "" {
		command = append(command, "AUTH", password)
	}
	_, err := m.From.Call(ctx, append(append(command, "KEYS"), keys...)...)
	return err
}

// Some moves up to n keys and returns how many it moved: 0 when all have moved.
func (m *Move) Some(ctx context.Context, n int) (moved int, err error) {
	keys, err := m.Left(ctx, n)
	if err != nil {
		return 0, err
	}
	return len(keys), m.Keys(ctx, keys...)
}

// Finish moves the remaining keys and assigns the slot to the new master. The other masters may find out later;
// [Cluster.AwaitReady] waits for them.
func (m *Move) Finish(ctx context.Context) error {
	const page = 100
	for {
		switch moved, err := m.Some(ctx, page); {
		case err != nil:
			return err
		case moved == 0:
			// The new one first: otherwise nobody would own the slot if this failed in between.
			return errors.Join(m.set(ctx, m.To, "NODE", m.To), m.set(ctx, m.From, "NODE", m.To))
		}
	}
}
