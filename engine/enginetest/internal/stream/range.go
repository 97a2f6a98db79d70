package stream

func xrange(c *call) (Reply, error) {
	from, to := c.args[2], c.args[3]
	reverse := c.name == "xrevrange"
	if reverse {
		from, to = to, from
	}
	start, err := parseStart(from)
	if err != nil {
		return nil, err
	}
	end, err := parseEnd(to)
	if err != nil {
		return nil, err
	}
	count, err := parseRangeCount(c.args[4:])
	if err != nil {
		return nil, err
	}
	s, err := c.keys.Stream(c.args[1])
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return []Reply{}, nil
	case count == 0:
		return NullArray{}, nil
	}
	entries := s.entries(start, end)
	if reverse {
		entries = s.backward(start, end)
	}
	return take(entries, count), nil
}

// parseRangeCount returns -1 if there is no COUNT. What is below zero is zero.
func parseRangeCount(args []string) (count int64, err error) {
	count = -1
	for ; len(args) > 0; args = args[2:] {
		if !is(args[0], "COUNT") || len(args) == 1 {
			return 0, errSyntax
		}
		if count, err = parseInt(args[1]); err != nil {
			return 0, err
		}
		count = max(count, 0)
	}
	return count, nil
}
