package simulation

import (
	"fmt"
	"slices"
	"time"
)

// job is the recovery of a dead pod in one partition.
type job struct {
	partition int
	streams   int
	from      int // tick at which the recovery begins
	begun     bool
	credit    float64 // streams that its recoverer may bring back by now
}

// Patience is the virtual time after which a simulation ends whose masters have no time left for recovery.
const Patience = 10 * time.Minute

// Recovering simulates the death of that many pods at once, until all of their streams are owned again, or for Patience.
func Recovering(c Config, lost int) (r Recovery, err error) {
	if err := c.Validate(); err != nil {
		return r, err
	}
	if lost < 1 || lost >= c.Pods {
		return r, fmt.Errorf("simulation: %d of %d pods cannot be lost: at least one has to die and at least one to survive", lost, c.Pods)
	}
	f := newFleet(c)
	for range f.span {
		f.step()
		f.work()
	}
	died := f.now
	jobs := f.kill(lost)
	r.Lost = lost
	for _, j := range jobs {
		r.Streams += j.streams
		r.Noticed = max(r.Noticed, time.Duration(j.from-died)*c.Tick)
	}
	var done []int // streams owned again, by ticks since the death
	busy := newBusy(c)
	for left := r.Streams; left > 0; {
		f.step()
		for m := range f.queue {
			r.Wait = max(r.Wait, f.queue[m])
		}
		n := f.move(jobs, lost)
		left -= n
		done = append(done, n)
		r.CPU = max(r.CPU, busy.add(f.served))
		f.work()
		if time.Duration(f.now-died)*c.Tick >= Patience {
			r.Left = left
			break
		}
	}
	r.P50, r.P99, r.Max = after(done, r.Streams, .5, c.Tick), after(done, r.Streams, .99, c.Tick), after(done, r.Streams, 1, c.Tick)
	r.Held = slices.Max(f.held)
	return r, nil
}

// Reached reports whether a share q of the streams is owned again, so that the time until then is known.
func (r Recovery) Reached(q float64) bool { return float64(r.Streams-r.Left) >= q*float64(r.Streams) }

// kill ends the first pods: all are alike. It returns the recoveries to be done.
func (f *fleet) kill(lost int) (jobs []job) {
	quarter := max(1, f.ticks(f.beat()/4))
	for pod := range lost {
		f.dead[pod] = true
		f.held[pod] = 0
		for partition := range f.Partitions {
			pair := pod*f.Partitions + partition
			j := job{partition: partition, from: int(f.last[pair]) + f.ticks(f.SessionTTL) + 1 + f.random.IntN(quarter)}
			for _, due := range f.ring[pair*f.slots : (pair+1)*f.slots] {
				j.streams += int(due)
			}
			if j.streams > 0 {
				jobs = append(jobs, j)
			}
		}
	}
	return jobs
}

// move moves the streams that recoverers can bring back in this tick and masters have time for, and returns how many those are.
func (f *fleet) move(jobs []job, lost int) (moved int) {
	looked := make([]bool, f.Partitions)
	for i := range jobs {
		j := &jobs[i]
		if j.streams == 0 || f.now < j.from {
			continue
		}
		if !j.begun {
			j.begun = true
			if !looked[j.partition] { // one look sees all pods that died together
				looked[j.partition] = true
				f.send(j.partition, f.Pods-lost, 0)
			}
		}
		m := j.partition % f.Masters
		j.credit += f.MoveRate * f.Tick.Seconds()
		free := int((f.Tick - f.served[m]) / f.Move)
		n := min(j.streams, int(j.credit), max(free, 0))
		j.credit = min(j.credit-float64(n), f.MoveRate*f.Tick.Seconds())
		j.streams -= n
		moved += n
		f.served[m] += time.Duration(n) * f.Move
		f.queue[m] += time.Duration(n) * f.Move
		for range n {
			successor := lost + f.random.IntN(f.Pods-lost)
			f.held[successor]++
			f.arm(successor, j.partition, 1+f.random.IntN(f.span))
		}
	}
	return moved
}

// after is the time until a share q of all streams was owned again, or until the end if it never was.
func after(done []int, all int, q float64, tick time.Duration) time.Duration {
	want, sum := q*float64(all), 0
	for i, n := range done {
		if sum += n; float64(sum) >= want {
			return time.Duration(i+1) * tick
		}
	}
	return time.Duration(len(done)) * tick
}

// busy is how long masters worked in the last second.
type busy struct {
	Config
	window [][]time.Duration // by tick, by master
}

func newBusy(c Config) *busy { return &busy{Config: c} }

// add adds a tick, and returns the share of a core that the busiest master used.
func (b *busy) add(served []time.Duration) float64 {
	b.window = append(b.window, slices.Clone(served))
	ticks := max(1, b.ticks(time.Second))
	if len(b.window) > ticks {
		b.window = b.window[1:]
	}
	most := time.Duration(0)
	for m := range served {
		sum := time.Duration(0)
		for _, tick := range b.window {
			sum += tick[m]
		}
		most = max(most, sum)
	}
	return float64(most) / float64(time.Duration(len(b.window))*b.Tick)
}
