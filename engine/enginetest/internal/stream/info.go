package stream

func xinfoHelp(*call) (Reply, error) {
	return help("XINFO",
		"CONSUMERS <key> <groupname>",
		"    Show consumers of <groupname>.",
		"GROUPS <key>",
		"    Show the stream consumer groups.",
		"STREAM <key> [FULL [COUNT <count>]",
		"    Show information about the stream."), nil
}

// shown returns the stream that a subcommand of XINFO is about, which has to exist.
func (c *call) shown() (*Stream, error) {
	s, err := c.keys.Stream(c.args[2])
	if err == nil && s == nil {
		err = errNoKey
	}
	return s, err
}

func xinfoGroups(c *call) (Reply, error) {
	s, err := c.shown()
	if err != nil {
		return nil, err
	}
	reply := []Reply{}
	for _, name := range s.groupNames() {
		g := s.groups[name]
		reply = append(reply, Map{
			"name", name,
			"consumers", int64(len(g.consumers)),
			"pending", int64(g.pending.size),
			"last-delivered-id", g.last.String(),
			"entries-read", g.readReply(),
			"lag", g.lag(s),
		})
	}
	return reply, nil
}

func xinfoConsumers(c *call) (Reply, error) {
	s, err := c.shown()
	if err != nil {
		return nil, err
	}
	g := s.groups[c.args[3]]
	if g == nil {
		return nil, errNoGroup(c.args[2], c.args[3])
	}
	reply := []Reply{}
	for _, name := range g.consumerNames() {
		reply = append(reply, Map{
			"name", name,
			"pending", int64(g.consumers[name].pending.size),
			"idle", max(c.now-g.consumers[name].seen, 0),
		})
	}
	return reply, nil
}

func xinfoStream(c *call) (Reply, error) {
	s, err := c.shown()
	if err != nil {
		return nil, err
	}
	reply := Map{
		"length", int64(s.length),
		"radix-tree-keys", int64(len(s.nodes)),
		"radix-tree-nodes", s.treeNodes(),
		"last-generated-id", s.last.String(),
		"max-deleted-entry-id", s.maxDeleted.String(),
		"entries-added", s.added,
		"recorded-first-entry-id", s.first.String(),
	}
	switch options := c.args[3:]; {
	case len(options) == 0:
		return append(reply,
			"groups", int64(len(s.groups)),
			"first-entry", s.edge(s.first),
			"last-entry", s.edge(s.top()),
		), nil
	case len(options) == 2 || len(options) > 3 || !is(options[0], "FULL") || len(options) == 3 && !is(options[1], "COUNT"):
		return nil, c.errSubcommand()
	case len(options) == 1:
		return append(reply, s.full(defaultCount)...), nil
	default:
		count, err := parseInt(options[2])
		if count < 0 {
			count = defaultCount
		}
		return append(reply, s.full(count)...), err
	}
}

// defaultCount is how much XINFO STREAM FULL lists of each kind.
const defaultCount = 10

func (s *Stream) edge(id ID) Reply {
	if e := s.get(id); e != nil {
		return e.reply()
	}
	return Null{}
}

// full returns what XINFO STREAM FULL says of entries and groups: at most count of each kind if it is above zero.
func (s *Stream) full(count int64) Map {
	groups := []Reply{}
	for _, name := range s.groupNames() {
		g := s.groups[name]
		groups = append(groups, Map{
			"name", name,
			"last-delivered-id", g.last.String(),
			"entries-read", g.readReply(),
			"lag", g.lag(s),
			"pel-count", int64(g.pending.size),
			"pending", g.pending.full(count, func(id ID, p *pending) Reply {
				return []Reply{id.String(), p.consumer.name, p.delivered, p.count}
			}),
			"consumers", g.full(count),
		})
	}
	return Map{"entries", take(s.entries(minID, maxID), count), "groups", groups}
}

func (g *group) full(count int64) []Reply {
	reply := []Reply{}
	for _, name := range g.consumerNames() {
		c := g.consumers[name]
		reply = append(reply, Map{
			"name", name,
			"seen-time", c.seen,
			"pel-count", int64(c.pending.size),
			"pending", c.pending.full(count, func(id ID, p *pending) Reply {
				return []Reply{id.String(), p.delivered, p.count}
			}),
		})
	}
	return reply
}

func (x *index[V]) full(count int64, line func(ID, V) Reply) []Reply {
	reply := []Reply{}
	for id, value := range x.from(minID) {
		reply = append(reply, line(id, value))
		if int64(len(reply)) == count {
			break
		}
	}
	return reply
}
