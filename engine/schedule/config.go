package schedule

// DefaultWorkers is how many ticks are handled at a time, unless Config says so. Goroutines come and go with the work. They are many, since
// checks that time out pile up: 333 a second for 5 s are 1,667.
const DefaultWorkers = 2048

// maxWorkers is the most that Config.Workers may be.
const maxWorkers = 1 << 20

// Config configures a [Runner]. The zero value is ready to use.
type Config struct {
	// Workers is how many ticks are handled at a time; what is due beyond that waits, and is late. Zero: 2,048. From 1 to 1,048,576.
	Workers int
}

// checked returns a configuration with its defaults.
func (c Config) checked() (Config, error) {
	if c.Workers == 0 {
		c.Workers = DefaultWorkers
	}
	if c.Workers < 1 || c.Workers > maxWorkers {
		return c, invalid("Workers is %d; use 1 to %d, or 0 for %d", c.Workers, maxWorkers, DefaultWorkers)
	}
	return c, nil
}
