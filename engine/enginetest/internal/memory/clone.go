package memory

// clone returns a dataset with another identity and all that d has but scripts: as a replica that is promoted, or a server
// that comes back from its disk. Redis neither replicates scripts nor writes them to disk.
func (d *dataset) clone(id string) *dataset {
	c := newDataset(id, d.owner)
	c.at(d.now)
	for _, key := range d.mini.Keys() {
		d.copyKey(c, key)
		if ttl := d.mini.TTL(key); ttl > 0 {
			c.mini.SetTTL(key, ttl)
			c.watch(key)
		}
	}
	return c
}

func (d *dataset) copyKey(c *dataset, key string) {
	from, to := d.mini, c.mini
	switch from.Type(key) {
	case "string":
		value, _ := from.Get(key)
		_ = to.Set(key, value)
	case "hash":
		fields, _ := from.HKeys(key)
		for _, f := range fields {
			to.HSet(key, f, from.HGet(key, f))
		}
	case "zset":
		_, _ = to.ZAdd(key, 0, "")
		c.sets[key] = d.sets[key].clone()
	case "set":
		members, _ := from.SMembers(key)
		_, _ = to.SAdd(key, members...)
	case "list":
		items, _ := from.List(key)
		_, _ = to.RPush(key, items...)
	case "stream":
		if s := d.streams[key]; s != nil {
			_, _ = to.XAdd(key, "1-1", []string{"placeholder", ""})
			c.streams[key] = s.Clone()
		}
	}
}
