package rights

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/servers"
)

// The blocks of docs/acl.md, in order.
const (
	engineBlock = iota
	engineOfPartitions
	readerBlock
	producerBlock
	publisherBlock
	trackingBlock
	senderBlock
	hintsBlock
	setHintsBlock
	inspectorBlock
	operatorBlock
	viewerBlock
	wisherBlock
	preflightBlock
	signalBlock
	schedulerBlock
)

// page is what docs/acl.md says.
type page struct {
	blocks [][]string // the commands
	logged []string   // what ACL LOG shows all the same, as it shows it
}

func readPage(t *testing.T) (p page) {
	t.Helper()
	text, err := os.ReadFile(document)
	require.NoError(t, err)
	for _, m := range regexp.MustCompile("(?s)```text\n(ACL SETUSER.*?)```").FindAllStringSubmatch(string(text), -1) {
		p.blocks = append(p.blocks, strings.Fields(m[1]))
	}
	require.Len(t, p.blocks, schedulerBlock+1)
	_, section, found := strings.Cut(string(text), "\n## What ACL LOG shows\n")
	require.True(t, found)
	for _, m := range regexp.MustCompile("(?m)^- `([A-Z_ ]+)`:").FindAllStringSubmatch(section, -1) {
		p.logged = append(p.logged, strings.ReplaceAll(strings.ToLower(m[1]), " ", "|"))
	}
	require.Equal(t, []string{"client|setinfo", "client|maint_notifications"}, p.logged)
	return p
}

// without returns a page that lacks these rules.
func (p page) without(rules ...string) page {
	var blocks [][]string
	for _, b := range p.blocks {
		blocks = append(blocks, slices.DeleteFunc(slices.Clone(b), func(word string) bool { return slices.Contains(rules, word) }))
	}
	return page{blocks: blocks, logged: p.logged}
}

// grantBlocks gives a user, who had none, the rights of these blocks, and returns how it connects.
func (h *harness) grantBlocks(p page, blocks ...int) rueidis.ClientOption {
	h.T.Helper()
	name := p.blocks[blocks[0]][2]
	h.Do("ACL", "DELUSER", name)
	for _, b := range blocks {
		require.Equal(h.T, name, p.blocks[b][2])
		h.Do(p.blocks[b]...)
	}
	h.Do("ACL", "LOG", "RESET")
	opt := h.server.ClientOption()
	opt.Username, opt.Password = name, "secret"
	opt.ForceSingleClient = false // it finds out whether there is a cluster
	return opt
}

// aclLog returns what the server has logged, as "user object".
func aclLog(t *testing.T, s *servers.Server) (lines []string) {
	t.Helper()
	client, err := rueidis.NewClient(s.ClientOption())
	require.NoError(t, err)
	defer client.Close()
	return loggedBy(t, client)
}

func loggedBy(t testing.TB, client rueidis.Client) (lines []string) {
	t.Helper()
	entries, err := client.Do(context.Background(), client.B().Arbitrary("ACL", "LOG", "2000").Build()).ToArray()
	require.NoError(t, err)
	for _, e := range entries {
		fields, err := e.AsMap()
		require.NoError(t, err)
		user, object := fields["username"], fields["object"]
		name, err := user.ToString()
		require.NoError(t, err)
		what, err := object.ToString()
		require.NoError(t, err)
		lines = append(lines, name+" "+strings.ToLower(what))
	}
	return lines
}

// onlyWhatThePageSays requires that these lines are in the page. Redis 6.2 logs commands without what follows.
func (p page) onlyWhatThePageSays(t testing.TB, lines []string) {
	t.Helper()
	for _, line := range lines {
		_, object, _ := strings.Cut(line, " ")
		require.True(t, slices.Contains(p.logged, object) || object == "client", "%s is in ACL LOG: %v", line, lines)
	}
}

// live runs an engine until it has owned and ended a stream, and has waited for others and looked for one.
func live(ctx context.Context, t *testing.T, opt rueidis.ClientOption, announce func(stream string), opts ...engine.Option) {
	t.Helper()
	e, err := engine.Open(opt, service, append([]engine.Option{engine.WithLeaseTTL(3 * time.Second), engine.WithLogger(slog.New(slog.DiscardHandler))}, opts...)...)
	require.NoError(t, err)
	owned := make(chan string, 10)
	ended := make(chan error, 1)
	go func() {
		ended <- e.Run(ctx, api.Funcs{Added: func(ctx context.Context, n api.Notification) error {
			if n.Stream != "again" || n.Lease.Attempt() > 0 {
				err := n.Lease.Done(ctx)
				owned <- n.Stream
				return err
			}
			return fmt.Errorf("by request")
		}})
	}()
	streams := []string{"one", "two", "again"}
	for _, s := range streams {
		announce(s)
	}
	for range streams {
		select {
		case <-owned:
		case err := <-ended:
			t.Fatalf("ended: %v", err)
		case <-ctx.Done():
			t.Fatal("not owned")
		}
	}
	require.NoError(t, e.Ready(ctx))
	require.ErrorIs(t, e.Requeue(ctx, "nobody's"), api.ErrNotAnnounced) // having searched what is delayed
	require.NoError(t, e.Shutdown(ctx))                                 // readers wait for more
	require.NoError(t, <-ended)
}

// Each user of the page does what it is for, and the server has refused it nothing but what the page says.
func TestDocumentedUsersAreRefusedOnlyWhatThePageSays(t *testing.T) {
	p := readPage(t)
	each(t, func(t *testing.T, h *harness) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
		defer cancel()
		announce := func(stream string) {
			_, err := h.Client.Do(ctx, h.Client.B().Xadd().Key(h.layout.Keys(0).Input).Id("*").FieldValue().
				FieldValue("lbs-input", `{"DataStreamName":"`+stream+`"}`).Build()).ToString()
			require.NoError(t, err)
		}
		many := engine.WithPartitions(partitions)
		publish := func(opt rueidis.ClientOption) {
			publisher, err := engine.NewPublisher(h.connect(opt), service, many)
			require.NoError(t, err)
			_, err = publisher.Publish(ctx, "published", nil)
			require.NoError(t, err)
			_, err = publisher.PublishMany(ctx, api.Announcement{Stream: "a"}, api.Announcement{Stream: "b"})
			require.NoError(t, err)
		}
		produce := func(opt rueidis.ClientOption) {
			client := h.connect(opt)
			for n := range partitions {
				_, err := client.Do(ctx, client.B().Xadd().Key(h.layout.Keys(n).Input).Id("*").FieldValue().
					FieldValue("lbs-input", `{"DataStreamName":"s"}`).Build()).ToString()
				require.NoError(t, err)
			}
		}
		inspect := func(opt rueidis.ClientOption) {
			i, err := scan.NewInspector(h.connect(opt), service, scan.InspectorConfig{})
			require.NoError(t, err)
			_, err = i.Backlog(ctx)
			require.NoError(t, err)
			_, err = i.Consumers(ctx)
			require.NoError(t, err)
			_, err = i.CountLetters(ctx, scan.Selection{})
			require.NoError(t, err)
			_, err = i.SendBack(ctx, scan.Selection{})
			require.NoError(t, err)
			_, err = i.Drop(ctx, scan.Selection{})
			require.NoError(t, err)
		}
		look := func(opt rueidis.ClientOption) {
			i, err := scan.NewInspector(h.connect(opt), service, scan.InspectorConfig{})
			require.NoError(t, err)
			_, err = i.Balance(ctx)
			require.NoError(t, err)
			_, err = i.Wishes(ctx)
			require.NoError(t, err)
		}
		ask := func(opt rueidis.ClientOption) {
			i, err := scan.NewInspector(h.connect(opt), service, scan.InspectorConfig{})
			require.NoError(t, err)
			require.NoError(t, i.Ask(ctx, scan.Wish{Kind: scan.WishFreeze, For: time.Hour}))
			require.NoError(t, i.Withdraw(ctx, scan.WishFreeze, ""))
			require.NoError(t, i.Ask(ctx, scan.Wish{Kind: scan.WishPause, Consumer: "pod", For: time.Hour}))
		}
		operate := func(opt rueidis.ClientOption) {
			i, err := scan.NewInspector(h.connect(opt), service, scan.InspectorConfig{})
			require.NoError(t, err)
			_, err = i.Survey(ctx)
			require.NoError(t, err)
			_, err = i.Repartition(ctx, 5, nil)
			require.NoError(t, err)
			_, err = i.DeleteService(ctx, nil)
			require.NoError(t, err)
		}
		for _, c := range []struct {
			name   string
			blocks []int
			do     func(opt rueidis.ClientOption)
		}{
			{"engine", []int{engineBlock}, func(opt rueidis.ClientOption) { live(ctx, t, opt, announce) }},
			{"engine with partitions", []int{engineOfPartitions}, func(opt rueidis.ClientOption) { live(ctx, t, opt, announce, many) }},
			{"engine with hints", []int{engineOfPartitions, hintsBlock}, func(opt rueidis.ClientOption) {
				live(ctx, t, opt, announce, many, engine.WithExpired())
			}},
			{"engine that sets events", []int{engineOfPartitions, hintsBlock, setHintsBlock}, func(opt rueidis.ClientOption) {
				live(ctx, t, opt, announce, many, engine.WithExpired(), engine.WithKeyspaceEvents())
			}},
			{"feed", []int{engineOfPartitions, readerBlock}, func(opt rueidis.ClientOption) { h.read(ctx, opt, announce) }},
			{"publisher", []int{publisherBlock}, func(opt rueidis.ClientOption) {
				tuned, err := engine.ClientOption(rueidis.ClientOption{InitAddress: opt.InitAddress, Username: opt.Username, Password: opt.Password})
				require.NoError(t, err)
				publish(tuned)
			}},
			{"publisher with the client's defaults", []int{publisherBlock, trackingBlock}, func(opt rueidis.ClientOption) {
				publish(rueidis.ClientOption{InitAddress: opt.InitAddress, Username: opt.Username, Password: opt.Password})
			}},
			{"publisher that asks who owns the stream", []int{publisherBlock, senderBlock}, func(opt rueidis.ClientOption) {
				tuned, err := engine.ClientOption(rueidis.ClientOption{InitAddress: opt.InitAddress, Username: opt.Username, Password: opt.Password})
				require.NoError(t, err)
				publisher, err := engine.NewPublisher(h.connect(tuned), service, many)
				require.NoError(t, err)
				for range 2 { // announces; finds that it stands
					for n := range partitions {
						_, err = publisher.Publish(ctx, fmt.Sprint("stream-", n), nil, engine.OnlyIfUnowned())
						require.NoError(t, err)
					}
				}
			}},
			{"producer", []int{producerBlock}, produce},
			{"inspector", []int{engineOfPartitions, inspectorBlock}, inspect},
			{"viewer", []int{viewerBlock}, look},
			{"viewer that wishes something", []int{viewerBlock, wisherBlock}, func(opt rueidis.ClientOption) { look(opt); ask(opt) }},
			{"scheduler", []int{schedulerBlock}, func(opt rueidis.ClientOption) {
				tuned, err := engine.ClientOption(opt)
				require.NoError(t, err)
				tuned.ForceSingleClient = false
				h.schedule(ctx, tuned)
			}},
			{"operator", []int{engineOfPartitions, operatorBlock}, operate},
		} {
			if c.name == "engine with partitions" {
				h.Do("FLUSHALL") // the record says one partition
			}
			c.do(h.grantBlocks(p, c.blocks...))
			lines := loggedBy(t, h.Client)
			if c.name == "viewer" {
				require.Contains(t, lines, "chat-viewer hdel")
				lines = slices.DeleteFunc(lines, func(line string) bool { return line == "chat-viewer hdel" })
			}
			p.onlyWhatThePageSays(t, lines)
		}
	})
}

// passes requires that the preflight finds nothing that an engine cannot do without.
func (h *harness) passes(client rueidis.Client, opts ...engine.Option) {
	h.T.Helper()
	report, err := engine.Preflight(context.Background(), client, service, opts...)
	require.NoError(h.T, err)
	require.NoError(h.T, report.Err())
}

// What the page says of rights that were left out: what is refused then, and what that does.
func TestWhatThePageSaysOfRightsThatAreLeftOut(t *testing.T) {
	p := readPage(t)
	each(t, func(t *testing.T, h *harness) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		shown := func(user string, objects ...string) {
			t.Helper()
			lines := loggedBy(t, h.Client)
			require.True(t, slices.ContainsFunc(objects, func(object string) bool {
				short, _, _ := strings.Cut(object, "|")
				return slices.Contains(lines, user+" "+object) || slices.Contains(lines, user+" "+short)
			}), "%v: %v", objects, lines)
		}
		opt := h.grantBlocks(p, publisherBlock)
		_, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: opt.InitAddress, Username: opt.Username, Password: opt.Password})
		require.ErrorIs(t, err, rueidis.ErrNoCache)
		shown("chat-publisher", "client|tracking")

		opt = h.grantBlocks(p.without("+cluster|slots", "+cluster|shards"), producerBlock)
		client := h.connect(opt)
		require.NoError(t, client.Do(ctx, client.B().Ping().Build()).Error(), "it goes on as on one server")
		shown("chat-producer", "cluster|slots", "cluster|shards")

		opt = h.grantBlocks(p.without("+client|unblock"), engineBlock)
		live(ctx, t, opt, func(stream string) {
			h.Do("XADD", h.layout.Keys(0).Input, "*", "lbs-input", `{"DataStreamName":"`+stream+`"}`)
		})
		shown("chat", "client|unblock")

		// A preflight looks for what other numbers of partitions left, and tries what it cannot ask about.
		leftovers := regexp.MustCompile(`^chat (hdel|chat-input-\d+)$`)
		h.Do("CONFIG", "SET", "acllog-max-len", "2000")
		for _, asks := range []bool{true, false} {
			blocks := []int{engineBlock}
			if asks {
				blocks = append(blocks, preflightBlock)
			}
			h.passes(h.connect(h.grantBlocks(p, blocks...)))
			tried := slices.DeleteFunc(loggedBy(t, h.Client), leftovers.MatchString)
			if asks && major(t, h) >= 7 { // older servers cannot be asked
				p.onlyWhatThePageSays(t, tried)
				continue
			}
			shown("chat", "xrevrange")
		}

		if major(t, h) >= 7 {
			h.grantBlocks(p, producerBlock) // that it may write without reading
			h.Do("ACL", "SETUSER", "chat-producer", "resetkeys", "%W~chat-input")
			opt.Username = "chat-producer"
			client := h.connect(opt)
			require.NoError(t, client.Do(ctx, client.B().Xadd().Key("chat-input").Id("*").FieldValue().FieldValue("f", "v").Build()).Error())
		}
	})
}

// major returns the version of Redis that a server is, or is compatible with.
func major(t *testing.T, h *harness) (n int) {
	t.Helper()
	info, err := h.server.Call(t.Context(), "INFO", "server")
	require.NoError(t, err)
	_, rest, _ := strings.Cut(info, "redis_version:")
	_, err = fmt.Sscanf(rest, "%d", &n)
	require.NoError(t, err)
	return n
}

// nothingElseRefused requires the same of several servers.
func nothingElseRefused(t *testing.T, where []*servers.Server) {
	t.Helper()
	p := readPage(t)
	for _, s := range where {
		p.onlyWhatThePageSays(t, aclLog(t, s))
	}
}
