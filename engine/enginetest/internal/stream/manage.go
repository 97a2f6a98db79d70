package stream

const (
	errEntriesRead = Error("ERR value for ENTRIESREAD must be positive or -1")
	errKeyMissing  = Error("ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM " +
		"option to create an empty stream automatically.")
	errBusyGroup = Error("BUSYGROUP Consumer Group name already exists")
)

func xgroupCreate(c *call) (Reply, error) {
	mkStream, read, err := c.groupOptions(true)
	if err != nil {
		return nil, err
	}
	s, err := c.keys.Stream(c.args[2])
	switch {
	case err != nil:
		return nil, err
	case s == nil && !mkStream:
		return nil, errKeyMissing
	case len(c.args) > 8:
		return nil, c.errSubcommand()
	}
	var id ID
	if text(c.args[4]) != "$" {
		if id, err = parseStrictID(c.args[4], 0); err != nil {
			return nil, err
		}
	} else if s != nil {
		id = s.last
	}
	if s == nil {
		s = c.keys.Create(c.args[2])
	}
	if s.groups[c.args[3]] != nil {
		return nil, errBusyGroup
	}
	s.groups[c.args[3]] = newGroup(id, read)
	return okReply, nil
}

func xgroupSetID(c *call) (Reply, error) {
	_, read, err := c.groupOptions(false)
	if err != nil {
		return nil, err
	}
	s, g, err := c.managed()
	switch {
	case err != nil:
		return nil, err
	case len(c.args) != 5 && len(c.args) != 7:
		return nil, c.errSubcommand()
	}
	id := s.last
	if text(c.args[4]) != "$" {
		if id, err = parseID(c.args[4], 0); err != nil {
			return nil, err
		}
	}
	g.last, g.read = id, read
	return okReply, nil
}

// groupOptions reads the options of XGROUP CREATE and SETID. Without ENTRIESREAD the number is unknown.
func (c *call) groupOptions(create bool) (mkStream bool, read int64, err error) {
	read = unknown
	args := c.args[5:]
	for i := 0; i < len(args); i++ {
		switch {
		case create && is(args[i], "MKSTREAM"):
			mkStream = true
		case is(args[i], "ENTRIESREAD") && i+1 < len(args):
			i++
			if read, err = parseInt(args[i]); err != nil {
				return false, 0, err
			}
			if read < 0 && read != unknown {
				return false, 0, errEntriesRead
			}
		default:
			return false, 0, c.errSubcommand()
		}
	}
	return mkStream, read, nil
}

// managed returns the group that a subcommand of XGROUP is about, which has to exist.
func (c *call) managed() (*Stream, *group, error) {
	s, err := c.keys.Stream(c.args[2])
	switch {
	case err != nil:
		return nil, nil, err
	case s == nil:
		return nil, nil, errKeyMissing
	case s.groups[c.args[3]] == nil:
		return nil, nil, errNoGroup(c.args[2], c.args[3])
	}
	return s, s.groups[c.args[3]], nil
}

func errNoGroup(key, group string) Error {
	return errorf("NOGROUP No such consumer group '%s' for key name '%s'", group, key)
}

func xgroupDestroy(c *call) (Reply, error) {
	s, err := c.keys.Stream(c.args[2])
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return nil, errKeyMissing
	case s.groups[c.args[3]] == nil:
		return int64(0), nil
	}
	delete(s.groups, c.args[3])
	return int64(1), nil
}

func xgroupCreateConsumer(c *call) (Reply, error) {
	_, g, err := c.managed()
	if err != nil {
		return nil, err
	}
	if g.consumers[c.args[4]] != nil {
		return int64(0), nil
	}
	g.consumer(c.args[4], c.now)
	return int64(1), nil
}

func xgroupDelConsumer(c *call) (Reply, error) {
	_, g, err := c.managed()
	if err != nil {
		return nil, err
	}
	consumer := g.consumers[c.args[4]]
	if consumer == nil {
		return int64(0), nil
	}
	for id := range consumer.pending.from(minID) {
		g.pending.remove(id)
	}
	delete(g.consumers, c.args[4])
	return int64(consumer.pending.size), nil
}

func xgroupHelp(*call) (Reply, error) {
	return help("XGROUP",
		"CREATE <key> <groupname> <id|$> [option]",
		"    Create a new consumer group. Options are:",
		"    * MKSTREAM",
		"      Create the empty stream if it does not exist.",
		"    * ENTRIESREAD entries_read",
		"      Set the group's entries_read counter (internal use).",
		"CREATECONSUMER <key> <groupname> <consumer>",
		"    Create a new consumer in the specified group.",
		"DELCONSUMER <key> <groupname> <consumer>",
		"    Remove the specified consumer.",
		"DESTROY <key> <groupname>",
		"    Remove the specified group.",
		"SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
		"    Set the current group ID and entries_read counter."), nil
}
