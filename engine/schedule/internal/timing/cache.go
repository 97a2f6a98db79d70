package timing

import (
	"sync"
	"time"
)

// Bounds of what is kept. Beyond them something is forgotten, and parsed again when it is asked for; timings keep what they have.
const (
	maxCrons = 4096
	maxZones = 1024
)

// known is what was parsed: fleets have a million schedules, and few expressions.
var known = newCache(maxCrons, maxZones)

type cache struct {
	maxCrons, maxZones int

	mu struct {
		sync.Mutex
		crons map[cronKey]*cron
		zones map[string]*time.Location
	}
}

type cronKey struct{ expression, zone string }

func newCache(maxCrons, maxZones int) *cache {
	c := &cache{maxCrons: maxCrons, maxZones: maxZones}
	c.mu.crons = make(map[cronKey]*cron)
	c.mu.zones = make(map[string]*time.Location)
	return c
}

// cron returns an expression in a zone. Errors are not kept.
func (c *cache) cron(text, zone string) (*cron, error) {
	key := cronKey{text, zone}
	c.mu.Lock()
	found := c.mu.crons[key]
	c.mu.Unlock()
	if found != nil {
		return found, nil
	}
	e, err := parse(text)
	if err != nil {
		return nil, err
	}
	location, err := c.zone(zone)
	if err != nil {
		return nil, err
	}
	parsed := &cron{expression: *e, zone: location}
	c.mu.Lock()
	defer c.mu.Unlock()
	if found := c.mu.crons[key]; found != nil {
		return found, nil
	}
	put(c.mu.crons, key, parsed, c.maxCrons)
	return parsed, nil
}

func (c *cache) zone(name string) (*time.Location, error) {
	c.mu.Lock()
	found := c.mu.zones[name]
	c.mu.Unlock()
	if found != nil {
		return found, nil
	}
	zone, err := load(name) // reads a file
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	put(c.mu.zones, name, zone, c.maxZones)
	return zone, nil
}

// put adds to a full map in place of any other.
func put[K comparable, V any](m map[K]V, key K, value V, most int) {
	if len(m) >= most {
		for other := range m {
			delete(m, other)
			break
		}
	}
	m[key] = value
}
