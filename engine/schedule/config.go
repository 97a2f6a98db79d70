package schedule

import "context"

// DefaultWorkers is how many ticks are handled at a time, unless Config says so. Goroutines come and go with the work. They are many, since
// checks that time out pile up: 333 a second for 5 s are 1,667.
const DefaultWorkers = 2048

// maxWorkers is the most that Config.Workers may be.
const maxWorkers = 1 << 20

// maxMiddleware is the most that Config.Middleware may have.
const maxMiddleware = 1000

// Config configures a [Runner]. The zero value is ready to use.
type Config struct {
	// Workers is how many ticks are handled at a time; what is due beyond that waits, and is late. Zero: 2,048. From 1 to 1,048,576.
	Workers int

	// Middleware wraps Task.Tick of every task, the first one outermost: it gets the context and the error of each tick, and passes on the
	// tick that it was given. A panic in it is one of the task. Nothing else of a task is wrapped. Nil: none. At most 1,000, none of
	// which is nil or returns nil.
	Middleware []func(TaskFunc) TaskFunc
}

// checked returns a configuration with its defaults.
func (c Config) checked() (Config, error) {
	if c.Workers == 0 {
		c.Workers = DefaultWorkers
	}
	if c.Workers < 1 || c.Workers > maxWorkers {
		return c, invalid("Workers is %d; use 1 to %d, or 0 for %d", c.Workers, maxWorkers, DefaultWorkers)
	}
	if n := len(c.Middleware); n > maxMiddleware {
		return c, invalid("Middleware has %d functions; use at most %d", n, maxMiddleware)
	}
	return c, nil
}

// handler returns what handles a tick: its task, with the middleware around it.
func (c Config) handler() (TaskFunc, error) {
	h := TaskFunc(func(ctx context.Context, t *Tick) error { return t.task.Tick(ctx, t) })
	for i := len(c.Middleware) - 1; i >= 0; i-- {
		m := c.Middleware[i]
		if m == nil {
			return nil, invalid("Middleware %d of %d is nil; leave it out", i+1, len(c.Middleware))
		}
		if h = m(h); h == nil {
			return nil, invalid("Middleware %d of %d returned nil; return a function", i+1, len(c.Middleware))
		}
	}
	return h, nil
}
